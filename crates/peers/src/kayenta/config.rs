//! Kayenta's canary configuration.

use std::collections::BTreeMap;

use taxiway_model::document::plain::{Misfit, Plain};

use super::classify::{Bounds, Direction, Effect, Settings};
use super::prepare::{Fences, NanStrategy};
use super::score::Thresholds;

/// The judge that is reproduced.
pub const JUDGE: &str = "NetflixACAJudge-v1.0";

/// A canary configuration, as far as the judge reads it.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its name; may be empty.
    pub name: String,
    /// The metrics in the order of the file.
    pub metrics: Vec<Metric>,
    /// Weights of groups in percent.
    pub weights: BTreeMap<String, f64>,
    /// The thresholds it brings; they are the caller's where it has none.
    pub thresholds: Option<Thresholds>,
    /// Query templates by name.
    pub templates: BTreeMap<String, String>,
}

/// A metric and how it is judged.
#[derive(Debug, Clone)]
pub struct Metric {
    /// Its name, unique.
    pub name: String,
    /// Groups it counts in.
    pub groups: Vec<String>,
    /// How it is classified.
    pub settings: Settings,
    /// How outliers are removed, if they are.
    pub outliers: Option<Fences>,
    /// Whether it is shown only.
    pub muted: bool,
    /// Its query, in the words of its source.
    pub query: Option<Plain>,
    /// Where it stands.
    pub at: (u32, u32),
}

/// Whether a document is a canary configuration: metrics and a classifier.
pub fn is_config(document: &Plain) -> bool {
    document.get("metrics").is_some()
        && (document.get("classifier").is_some() || document.get("judge").is_some())
        && document.get("apiVersion").is_none()
}

/// Reads a configuration. Fails where a value has another type than Kayenta's judge accepts: there such a value
/// fails every judgement, here the configuration.
pub fn read(document: &Plain) -> Result<Config, Misfit> {
    let judge = document.get("judge").map(|judge| judge.text_of("name")).transpose()?.flatten();
    if let Some(judge) = judge.filter(|judge| judge != JUDGE) {
        return Err(document.misfit(format!("the judge is {judge}; {JUDGE} is the one reproduced here")));
    }
    let listed = document.get("metrics").map(|metrics| metrics.items()).unwrap_or_default();
    if listed.is_empty() {
        return Err(document.misfit("there are no `metrics`"));
    }
    let mut metrics: Vec<Metric> = Vec::new();
    for item in &listed {
        let metric = metric(item)?;
        if metrics.iter().any(|known| known.name == metric.name) {
            return Err(item.misfit(format!("another metric is called `{}`", metric.name)));
        }
        metrics.push(metric);
    }
    let classifier = document.get("classifier");
    let mut weights = BTreeMap::new();
    for (group, value) in
        classifier.iter().filter_map(|it| it.get("groupWeights")).flat_map(|it| it.entries())
    {
        let weight = value.text().and_then(|text| text.parse::<f64>().ok()).filter(|it| it.is_finite());
        let weight =
            weight.ok_or_else(|| value.misfit(format!("the weight of `{group}` is not a number")))?;
        weights.insert(group, weight);
    }
    let given = classifier.and_then(|it| it.get("scoreThresholds"));
    let templates = document.get("templates").map(|it| it.entries()).unwrap_or_default();
    Ok(Config {
        name: document.text_of("name")?.unwrap_or_default(),
        metrics,
        weights,
        thresholds: given.map(|given| thresholds(&given)).transpose()?,
        templates: templates
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.text()?.to_owned())))
            .collect(),
    })
}

fn thresholds(given: &Plain) -> Result<Thresholds, Misfit> {
    let default = Thresholds::default();
    Ok(Thresholds {
        pass: given.number_of("pass")?.unwrap_or(default.pass),
        marginal: given.number_of("marginal")?.unwrap_or(default.marginal),
    })
}

fn metric(item: &Plain) -> Result<Metric, Misfit> {
    let name = item.text_of("name")?.ok_or_else(|| item.misfit("a metric has no `name`"))?;
    let groups = item.get("groups").map(|groups| groups.items()).unwrap_or_default();
    let canary = item.at(&["analysisConfigurations", "canary"]);
    let (settings, outliers, muted) = match &canary {
        Some(canary) => (settings(canary)?, outliers(canary)?, canary.flag_of("muted")?.unwrap_or(false)),
        None => (Settings::default(), None, false),
    };
    Ok(Metric {
        name,
        groups: groups.iter().filter_map(|group| group.text().map(str::to_owned)).collect(),
        settings,
        outliers,
        muted,
        query: item.get("query"),
        at: item.place(),
    })
}

/// Unknown words are read as the default, as Kayenta does.
fn settings(canary: &Plain) -> Result<Settings, Misfit> {
    let word = |key: &str| canary.text_of(key).map(Option::unwrap_or_default);
    let effect = canary.get("effectSize");
    let measure = effect.as_ref().map(|it| it.text_of("measure")).transpose()?.flatten();
    let measure = if measure.as_deref() == Some("cles") { Effect::Cles } else { Effect::MeanRatio };
    let bound = |key: &str| -> Result<f64, Misfit> {
        let given = effect.as_ref().map(|it| it.number_of(key)).transpose()?.flatten();
        Ok(given.unwrap_or(measure.neutral()))
    };
    Ok(Settings {
        direction: match word("direction")?.as_str() {
            "increase" => Direction::Increase,
            "decrease" => Direction::Decrease,
            _ => Direction::Either,
        },
        nan: if word("nanStrategy")? == "replace" { NanStrategy::Replace } else { NanStrategy::Remove },
        critical: canary.flag_of("critical")?.unwrap_or(false),
        must_have_data: canary.flag_of("mustHaveData")?.unwrap_or(false),
        effect: measure,
        allowed: Bounds { decrease: bound("allowedDecrease")?, increase: bound("allowedIncrease")? },
        critical_at: Bounds { decrease: bound("criticalDecrease")?, increase: bound("criticalIncrease")? },
    })
}

fn outliers(canary: &Plain) -> Result<Option<Fences>, Misfit> {
    let Some(outliers) = canary.get("outliers") else { return Ok(None) };
    let factor = outliers.number_of("outlierFactor")?.unwrap_or(3.0);
    if factor <= 0.0 {
        return Err(outliers.misfit("`outlierFactor` must be above 0"));
    }
    let removes = outliers.text_of("strategy")?.as_deref() == Some("remove");
    Ok(removes.then_some(Fences { factor, reduced: true }))
}
