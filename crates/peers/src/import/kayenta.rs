//! Kayenta's canary configurations.

use std::collections::BTreeMap;

use regex::Regex;
use taxiway_model::document::plain::{Misfit, Plain};

use super::{Draft, DraftMetric, name, number};
use crate::kayenta::classify::{Direction, Effect};
use crate::kayenta::{Metric, config};

/// Where Kayenta's increase has no least size, this one is written: an increase that its judge would call High for a
/// steady series, whose interval must clear a quarter.
const INCREASE: f64 = 1.25;

/// A matcher by the scope, with the comma behind it.
const SCOPED: &str = r#"[A-Za-z_][A-Za-z0-9_]*\s*=~?\s*"[^"]*\$\{scope\}[^"]*"\s*,?\s*"#;

pub(super) fn draft(document: &Plain, arguments: &BTreeMap<String, String>) -> Result<Draft, Misfit> {
    let config = config::read(document)?;
    let mut draft = Draft { peer: "Kayenta", name: name(&config.name, &[]), ..Draft::default() };
    draft.notes.push(
        "Kayenta ranks a series of points and adds groups up to a score; here each metric is tested on its own against \
         the baseline, its evidence holds at every look, and a metric that fails decides. Groups, their weights and the \
         thresholds of the score have no counterpart."
            .to_owned(),
    );
    for metric in &config.metrics {
        carry(&mut draft, metric, &config, arguments);
    }
    Ok(draft)
}

fn carry(draft: &mut Draft, metric: &Metric, config: &config::Config, arguments: &BTreeMap<String, String>) {
    let settings = &metric.settings;
    let mut leave = |why: &str| draft.left.push(format!("Left out: `{}`, {why}.", metric.name));
    if settings.direction == Direction::Decrease {
        leave("where lower is worse; a CanaryConfig bounds increases, so turn the query around");
        return;
    }
    let Some((query, mut notes)) = query(metric, config, arguments) else {
        leave("whose query is not of Prometheus; see `sources` of the reference");
        return;
    };
    if settings.direction == Direction::Either {
        notes.push("Kayenta calls a decrease bad too; here only an increase is.".to_owned());
    }
    let least = if settings.critical {
        settings.critical_at.increase.max(settings.allowed.increase)
    } else {
        settings.allowed.increase
    };
    let ratio = if settings.effect == Effect::MeanRatio && least > 1.0 {
        least
    } else {
        let why = if settings.effect == Effect::Cles {
            "measures the effect by ranks"
        } else {
            "has no least size"
        };
        notes.push(format!("Kayenta {why}; {INCREASE} was written for it."));
        INCREASE
    };
    if settings.must_have_data {
        notes.push("mustHaveData: missing data holds the release here, whatever the metric.".to_owned());
    }
    let name = name(&metric.name, &draft.metrics);
    draft.metrics.push(DraftMetric {
        notes,
        name,
        query,
        threshold: vec![("max_increase_ratio", number(ratio))],
        critical: settings.critical,
        required: !metric.muted,
    });
}

/// The PromQL of a metric: its inline template, or the average of its series as Kayenta asks for it.
fn query(
    metric: &Metric,
    config: &config::Config,
    arguments: &BTreeMap<String, String>,
) -> Option<(String, Vec<String>)> {
    let query = metric.query.as_ref()?;
    let text = |key: &str| query.text_of(key).ok().flatten();
    let kind = text("type").or_else(|| text("serviceType"))?;
    if kind != "prometheus" {
        return None;
    }
    let template = text("customInlineTemplate").filter(|it| !it.trim().is_empty());
    let named = text("customFilterTemplate").and_then(|name| config.templates.get(&name).cloned());
    let mut notes = Vec::new();
    let query = match (template, text("metricName")) {
        (Some(template), _) => template.trim().trim_start_matches("PromQL:").trim().to_owned(),
        (None, Some(series)) => {
            let bindings = query.get("labelBindings").map(|it| it.items()).unwrap_or_default();
            let labels: Vec<String> = bindings.iter().filter_map(|it| it.text().map(str::to_owned)).collect();
            if named.is_some() {
                notes.push(
                    "Its filter template chose the canary's series; the labels of `source` do that here."
                        .to_owned(),
                );
            }
            format!("avg({series}{{{}}})", labels.join(","))
        }
        (None, None) => return None,
    };
    let mut query = query;
    for (variable, value) in arguments {
        query = query.replace(&format!("${{{variable}}}"), value);
    }
    // The scope is what tells control and experiment apart.
    let scoped = Regex::new(SCOPED).expect("the pattern is one").replace_all(&query, "").into_owned();
    if scoped != query {
        notes.push(
            "Its matcher of `${scope}` chose the side; the labels of `source` do that here.".to_owned(),
        );
        query = scoped;
    }
    if query.contains("${") {
        notes.push(
            "The query has variables of the scope: write their values in, or give them by --with.".to_owned(),
        );
    }
    Some((query, notes))
}
