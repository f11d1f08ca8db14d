//! Metrics by query: the source in `taxiway.yaml`, the metrics in a `CanaryConfig` beside it (R4.1).

use super::canary_config::{Asks, CanaryConfig, Metric, Threshold};
use super::fields::Fields;
use super::problem::Code;
use super::{metric, source, template};
use crate::metrics::{Api, Query, Shape};
use crate::plan::Step;
use crate::policy::{AnalysisPolicy, Direction, Lasting, Measure, MetricPolicy, NOT_COMPARED_BP};
use crate::service::{Strategy, StrategyKind};
use std::collections::BTreeSet;

/// What stands beside the description: the document its `analysis.file` names, its queries taken
/// apart in the order of its metrics.
#[derive(Debug, Clone, Copy)]
pub struct Included<'a> {
    /// The document.
    pub config: &'a CanaryConfig,
    /// Its queries.
    pub queries: &'a [Query],
}

/// The document a description names, before either is read as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its absolute path.
    pub path: String,
    /// The labels by which canary and baseline are told apart.
    pub labels: BTreeSet<String>,
    /// Whether its queries are PromQL; otherwise they are put to the source as they are.
    pub is_promql: bool,
    /// How it is used, where it is a template.
    pub template: Option<template::Use>,
}

/// What the analysis names; none where it names no file. Problems are noted.
pub(super) fn named(fields: &Fields<'_, '_>) -> Option<Named> {
    let used = template::used(fields);
    let path = fields.path("file").or_else(|| used.as_ref().map(|(path, _)| path.clone()))?;
    let source = source::beside(fields, &source::named(fields))?;
    let labels = source.canary.keys().chain(source.baseline.keys()).cloned().collect();
    Some(Named {
        path,
        labels,
        is_promql: matches!(source.api, Api::Prometheus { .. }),
        template: used.map(|(_, used)| used),
    })
}

/// The strategy whose steps the document has; none where it has none.
pub(super) fn strategy(file: &Fields<'_, '_>, included: Option<Included<'_>>) -> Option<Strategy> {
    let steps: Vec<Step> = included?.config.steps.clone()?;
    if file.given("strategy").is_some() {
        let hint = "remove `strategy` here, or `spec.steps` there";
        file.problem(Code::Conflict, "strategy", "the file of the analysis has steps too", hint);
    }
    Some(Strategy { kind: StrategyKind::Canary, preset: "custom".to_owned(), steps, retire_after_ms: 0 })
}

/// Puts the document's metrics in the place of the profile's. Built-in metrics that the
/// description itself names are judged beside them.
pub(super) fn apply(
    fields: &Fields<'_, '_>,
    policy: &mut AnalysisPolicy,
    included: Option<Included<'_>>,
    strategy: Option<&Strategy>,
) {
    template::used(fields);
    if fields.given("file").is_some() && fields.given("template").is_some() {
        let hint = "keep `file` for a CanaryConfig, or `template` for a template";
        fields.problem(Code::Conflict, "template", "the analysis has a file too", hint);
    }
    let file = if fields.given("template").is_some() { "template" } else { "file" };
    match (fields.given(file).is_some(), fields.given("source").is_some(), included) {
        (false, false, _) => return,
        (false, true, _) => {
            let hint = "add `file` with a CanaryConfig, or `template`, or remove `source`";
            fields.problem(Code::Conflict, "source", "nothing is asked of this source", hint);
        }
        (true, false, _) => {
            let hint = "add source: {prometheus: {url: http://…}}";
            fields.problem(Code::MissingKey, file, "its queries have no source", hint);
        }
        (true, true, None) => {
            let hint = "read the description by its path: it names a file beside it";
            fields.problem(Code::Conflict, file, "the file it names was not read", hint);
        }
        (true, true, Some(_)) => {}
    }
    fields.path("file");
    let Some(Included { config, queries }) = included else { return };
    if let Some(mut source) = source::beside(fields, &policy.sources) {
        let plain = queries.iter().filter(|_| !matches!(source.api, Api::Prometheus { .. }));
        for query in plain {
            if let Some((message, hint)) = source::fault(&source, &query.shape) {
                let message = format!("`{}`: {message}", query.metric);
                fields.problem(Code::BadValue, "source", &message, &hint);
            }
        }
        if let Some(known) = policy.sources.iter_mut().find(|known| known.name == source.name) {
            known.queries.extend(queries.iter().cloned());
        } else {
            source.queries = queries.to_vec();
            policy.sources.push(source);
        }
    }
    let own: BTreeSet<String> = fields.named("metrics").into_iter().map(|(name, _)| name).collect();
    let mut metrics = Vec::new();
    for (metric, query) in config.metrics.iter().zip(queries) {
        if own.contains(metric.name.as_str()) {
            let message = format!("`{}` is a metric of the file too", metric.name);
            fields.problem(Code::DuplicateName, "metrics", &message, "rename one of them");
        }
        if strategy.is_some_and(|strategy| usize::from(metric.from_step) >= strategy.steps.len()) {
            let message =
                format!("`{}` begins at step {}, and there is none", metric.name, metric.from_step + 1);
            fields.problem(Code::OutOfRange, file, &message, "mend `from_step` there");
        }
        match by_query(policy, config, metric, &query.shape) {
            Ok(metric) => metrics.push(metric),
            Err((message, hint)) => {
                fields.problem(Code::WrongUnit, file, &format!("`{}` {message}", metric.name), hint);
            }
        }
    }
    policy.metrics.retain(|metric| own.contains(metric.name.as_str()));
    metrics.append(&mut policy.metrics);
    policy.metrics = metrics;
}

/// The bands of a metric, in the unit of what its query was taken apart into.
fn by_query(
    policy: &AnalysisPolicy,
    config: &CanaryConfig,
    metric: &Metric,
    shape: &Shape,
) -> Result<MetricPolicy, (&'static str, &'static str)> {
    let threshold = metric.threshold;
    fits(metric, shape)?;
    let limit = limit(threshold, shape)?;
    let base = base(policy, metric, shape);
    let (tolerance_bp, red_bp) = compared(metric, &base);
    let lasting =
        Lasting { failures: config.failures, bad_for_ms: metric.bad_for_ms, good_for_ms: metric.good_for_ms };
    let at_once = Lasting { failures: 1, bad_for_ms: 0, good_for_ms: 0 };
    let (above, below) = if threshold.is_lowest { (None, limit) } else { (limit, None) };
    let is_types = matches!(shape, Shape::Types { .. });
    // Any new type holds, whatever becomes of one in many sessions.
    let any = base.hold_above.filter(|_| is_types && metric.critical);
    Ok(MetricPolicy {
        name: metric.name.clone(),
        measure: shape.measure(),
        direction: if threshold.is_lowest { Direction::LowerIsWorse } else { base.direction },
        slack_ppm: if threshold.is_lowest { 0 } else { base.slack_ppm },
        tolerance_bp,
        red_bp,
        hold_above: any.or(above.filter(|_| !metric.critical)),
        rollback_above: above.filter(|_| metric.critical),
        hold_below: below.filter(|_| !metric.critical),
        rollback_below: below.filter(|_| metric.critical),
        required: metric.required,
        weight: metric.weight,
        from_step: metric.from_step,
        endpoint: None,
        lasting: (lasting != at_once).then_some(lasting),
        ..base
    })
}

/// A metric of its kind, before its threshold.
fn base(policy: &AnalysisPolicy, metric: &Metric, shape: &Shape) -> MetricPolicy {
    if matches!(shape, Shape::Moments { .. } | Shape::Values { .. } | Shape::Types { .. }) {
        return metric::own(MetricPolicy::plain(metric.name.clone(), shape.measure()));
    }
    let like = |base: &&MetricPolicy| match shape {
        Shape::Buckets { .. } => matches!(base.measure, Measure::Latency { .. }),
        _ => base.measure == Measure::ErrorRate,
    };
    policy.metrics.iter().find(like).expect("a profile has a metric of either kind").clone()
}

/// What is tolerated, and what is red: what is tolerated stays the profile's, unless the bound lies within it.
fn compared(metric: &Metric, base: &MetricPolicy) -> (u32, u32) {
    let Threshold { increase_bp, decrease_bp, .. } = metric.threshold;
    match (increase_bp, decrease_bp.map(metric::mirrored)) {
        (Some(bp), _) if metric.critical => (base.tolerance_bp.min(bp), bp.max(base.tolerance_bp + 1)),
        (Some(bp), _) => (bp, NOT_COMPARED_BP),
        (None, Some(bp)) if metric.critical => {
            let tolerated = metric::mirrored(base.tolerance_bp);
            (tolerated.max(bp), bp.min(tolerated - 1))
        }
        (None, Some(bp)) => (bp, 1),
        (None, None) => (NOT_COMPARED_BP, NOT_COMPARED_BP),
    }
}

/// Whether what is asked can be bounded in this way.
fn fits(metric: &Metric, shape: &Shape) -> Result<(), (&'static str, &'static str)> {
    let Threshold { increase_bp, is_lowest, .. } = metric.threshold;
    match (&metric.asks, shape) {
        (Asks::Counts { is_good: true, .. }, _) if !is_lowest => Err((
            "counts good ones, and fewer of them are worse",
            "bound it by max_decrease_ratio or min_absolute_percent, or count `bad` ones",
        )),
        (Asks::Counts { is_good: false, .. }, _) if is_lowest => Err((
            "counts bad ones, and more of them are worse",
            "bound it by max_increase_ratio or max_absolute_percent, or count `good` ones",
        )),
        (_, Shape::Types { .. }) if is_lowest || increase_bp.is_some() => Err((
            "is counted by type, and a new type has no counterpart in the baseline",
            "bound it by max_absolute_percent: a share of the sessions",
        )),
        (_, Shape::Buckets { .. }) if is_lowest => {
            Err(("is a time, and longer is worse", "bound it by max_increase_ratio or max_absolute_ms"))
        }
        _ => Ok(()),
    }
}

/// The absolute limit: parts per million of counts, microseconds of buckets, millionths of values.
fn limit(threshold: Threshold, shape: &Shape) -> Result<Option<u64>, (&'static str, &'static str)> {
    let scaled = |micro: u64, unit: u64, scale: u64| {
        u64::try_from(u128::from(micro) * u128::from(unit) / u128::from(scale.max(1))).unwrap_or(u64::MAX)
    };
    match (shape, threshold.absolute_us, threshold.absolute_micro) {
        (_, None, None) => Ok(None),
        (Shape::Counts { .. }, Some(_), _) => {
            Err(("is bounded in milliseconds, and its query is a share", "bound it by max_absolute"))
        }
        (Shape::Counts { scale_micro, .. }, None, Some(micro)) => {
            match scaled(micro, 1_000_000, *scale_micro) {
                0 => Err(("has a limit below one in a million", "write a larger one")),
                ppm if ppm >= 1_000_000 => {
                    Err(("has a limit that it cannot exceed", "its query is a share times a factor"))
                }
                ppm => Ok(Some(ppm)),
            }
        }
        (Shape::Buckets { .. }, Some(us), _) => Ok(Some(us)),
        (Shape::Buckets { unit_us, scale_micro, .. }, None, Some(micro)) => {
            Ok(Some(scaled(micro, *unit_us, *scale_micro)))
        }
        // Seconds, as Prometheus has them everywhere: a millionth of one is a microsecond.
        (Shape::Scalar { .. } | Shape::Moments { .. } | Shape::Values { .. }, us, micro) => Ok(us.or(micro)),
        (Shape::Types { .. }, None, Some(micro)) => Ok(Some(micro)),
        (Shape::Types { .. }, ..) => {
            Err(("is counted by type, and bounded in milliseconds", "bound it by max_absolute_percent"))
        }
    }
}
