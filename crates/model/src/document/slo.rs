//! Objectives of a description: the plain form, and OpenSLO documents beside it (R7.5).

use super::analysis::Around;
use super::fields::Fields;
use super::metric;
use super::node::Value;
use super::openslo::{Indicator, Slo};
use super::problem::Code;
use super::value;
use crate::ids::MetricName;
use crate::metrics::{Api, Query, Shape, Source};
use crate::policy::{AnalysisPolicy, Counter, Measure, POINT_MS};
use std::collections::BTreeMap;

/// How often and how long a source that only OpenSLO documents name is asked.
const PACE_MS: u64 = 5_000;

/// The files of objectives that an analysis names, as absolute paths.
pub(super) fn files(fields: &Fields<'_, '_>) -> Vec<String> {
    match fields.given("slo").map(|node| &node.value) {
        None | Some(Value::Map(_)) => Vec::new(),
        Some(_) => {
            let paths = fields.many("slo", |text| Ok(text.to_owned()));
            paths.iter().map(|path| fields.context.absolute(path)).collect()
        }
    }
}

/// Adds the objectives to what is judged.
pub(super) fn apply(fields: &Fields<'_, '_>, policy: &mut AnalysisPolicy, around: &Around<'_>) {
    let Some(given) = fields.given("slo") else { return };
    if matches!(given.value, Value::Map(_)) {
        plain(fields, policy, around);
        return;
    }
    if files(fields).is_empty() {
        return;
    }
    let Some(objectives) = around.slos else {
        let hint = "read the description by its path: it names files beside it";
        fields.problem(Code::Conflict, "slo", "the files it names were not read", hint);
        return;
    };
    for slo in &objectives.slos {
        if let Some(place) = source(fields, slo, &objectives.prometheus, policy)
            && let Some((query, by)) = query(fields, slo, &policy.sources[place], around)
        {
            policy.sources[place].queries.push(query);
            let measure = Measure::Burn { budget_ppm: slo.budget_ppm, window_ms: slo.window_ms, by };
            add(fields, slo.name.clone(), measure, policy, around);
        }
    }
}

/// The plain form: the burn of the built-in failures.
fn plain(fields: &Fields<'_, '_>, policy: &mut AnalysisPolicy, around: &Around<'_>) {
    let Some(inner) = fields.section("slo") else { return };
    let (objective, window_ms) = (inner.fine_share("objective"), inner.span("window"));
    let (Some(objective), Some(window_ms)) = (objective, window_ms) else { return };
    let Some(budget_ppm) = metric::budget(&inner, objective) else { return };
    let name = MetricName::new("burn").expect("a valid name");
    let measure = Measure::Burn { budget_ppm, window_ms, by: Counter::Router };
    add(fields, name, measure, policy, around);
}

fn add(
    fields: &Fields<'_, '_>,
    name: MetricName,
    measure: Measure,
    policy: &mut AnalysisPolicy,
    around: &Around<'_>,
) {
    if policy.metrics.iter().any(|metric| metric.name == name) {
        let message = format!("there is a metric `{name}` too");
        fields.problem(Code::DuplicateName, "slo", &message, "rename one of them");
        return;
    }
    let burn = metric::base(name, measure, policy, around);
    policy.metrics.push(burn);
}

/// The place of the source an objective is asked of: the one it names, here or as a data source of
/// its own, or the only one there is.
fn source(
    fields: &Fields<'_, '_>,
    slo: &Slo,
    prometheus: &BTreeMap<String, String>,
    policy: &mut AnalysisPolicy,
) -> Option<usize> {
    let fault = |message: &str, hint: &str| {
        fields.problem(Code::BadValue, "slo", &format!("{}: {message}", slo.place), hint);
        None
    };
    let Some(name) = &slo.source else {
        return match policy.sources.len() {
            1 => Some(0),
            0 => fault("it names no data source", "add one to `analysis.sources`"),
            _ => fault("it names no data source, and there are several", "add metricSourceRef: NAME"),
        };
    };
    if let Some(place) = policy.sources.iter().position(|known| known.name == *name) {
        return Some(place);
    }
    let Some(url) = prometheus.get(name) else {
        let names: Vec<&str> = policy.sources.iter().map(|known| known.name.as_str()).collect();
        let hint = match value::nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add `{name}` to `analysis.sources`, or a DataSource of type Prometheus"),
        };
        return fault(&format!("there is no source `{name}`"), &hint);
    };
    let version = BTreeMap::from([("version".to_owned(), "{version}".to_owned())]);
    policy.sources.push(Source {
        name: name.clone(),
        api: Api::Prometheus { url: url.clone(), credentials: None },
        interval_ms: PACE_MS,
        timeout_ms: PACE_MS,
        bucket_ms: 0,
        delay_ms: 0,
        canary: version.clone(),
        baseline: version,
        queries: Vec::new(),
    });
    Some(policy.sources.len() - 1)
}

/// The query of an objective, and what it counts.
fn query(
    fields: &Fields<'_, '_>,
    slo: &Slo,
    source: &Source,
    around: &Around<'_>,
) -> Option<(Query, Counter)> {
    let note = |message: &str, hint: &str| {
        fields.problem(Code::BadValue, "slo", &format!("{}: {message}", slo.place), hint);
    };
    let is_prometheus = matches!(source.api, Api::Prometheus { .. });
    let apart = |text: String| {
        let Some(promql) = around.promql else {
            note("its PromQL was not taken apart", "read the description by its path");
            return None;
        };
        let labels = source.canary.keys().chain(source.baseline.keys()).cloned().collect();
        match promql(&[(slo.name.clone(), text)], &labels) {
            Ok(mut queries) => queries.pop(),
            Err(troubles) => {
                for trouble in troubles {
                    note(&trouble.message, &trouble.hint);
                }
                None
            }
        }
    };
    match &slo.indicator {
        Indicator::Ratio { good, part, total } => {
            let by = if *good { Counter::Good } else { Counter::Bad };
            let text = format!("{part} of {total}");
            if !is_prometheus {
                let shape = Shape::Counts { bad: part.clone(), total: total.clone(), scale_micro: 1_000_000 };
                return Some((Query { metric: slo.name.clone(), text, shape }, by));
            }
            let query = apart(format!("({}) / ({})", rated(part), rated(total)))?;
            match &query.shape {
                Shape::Counts { scale_micro: 1_000_000, .. } => Some((Query { text, ..query }, by)),
                Shape::Scalar { why, .. } => {
                    let message = format!("its ratio cannot be taken apart into counts: {why}");
                    note(&message, "write sums of counters, such as sum(http_requests_total{…})");
                    None
                }
                _ => {
                    note("its ratio is no share of counters", "write sums of counters, without factors");
                    None
                }
            }
        }
        Indicator::Threshold { value, threshold_micro, bad_above } => {
            let by =
                if *bad_above { Counter::Above(*threshold_micro) } else { Counter::Below(*threshold_micro) };
            let scalar = |expression: String| Shape::Scalar {
                expression,
                every_ms: POINT_MS,
                why: "each point in time counts as one, good or bad".to_owned(),
            };
            if !is_prometheus {
                let shape = scalar(value.clone());
                return Some((Query { metric: slo.name.clone(), text: value.clone(), shape }, by));
            }
            // A sum is not taken apart into buckets or counters: the value itself is compared.
            let query = apart(format!("({value}) + 0"))?;
            let Shape::Scalar { expression, .. } = query.shape else {
                note("it gives no value", "write an expression that gives one value");
                return None;
            };
            Some((Query { metric: query.metric, text: value.clone(), shape: scalar(expression) }, by))
        }
    }
}

/// A sum of counters as OpenSLO has it, without a rate, in the form that is taken apart.
fn rated(text: &str) -> String {
    let text = text.trim();
    if text.contains("rate(") || text.contains("increase(") {
        return text.to_owned();
    }
    let inner = text.strip_prefix("sum").map(str::trim_start).and_then(|rest| {
        let rest = rest.strip_prefix('(')?.strip_suffix(')')?;
        (!rest.contains(['(', ')'])).then_some(rest.trim())
    });
    match inner.or_else(|| (!text.contains(['(', ')'])).then_some(text)) {
        Some(selector) => format!("sum(rate({selector}[1m]))"),
        None => text.to_owned(),
    }
}
