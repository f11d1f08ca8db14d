//! Reads a `CanaryConfig` (R4.1): steps, metrics by query, thresholds, and what a failure means.
//!
//! Queries stay text here: taking them apart needs a parser of their language, which is the
//! business of the source they are put to. Numbers are kept as written, in millionths.

mod asks;

pub use asks::Asks;

use super::fields::{Context, Fields};
use super::keys::{self, CANARY_CONFIG};
use super::node::{Node, Place};
use super::problem::{Code, Problem};
use super::value::{self, Fault, Read};
use super::{parse, source, strategy};
use crate::ids::{MetricName, StepName};
use crate::metrics::{Query, TakeApart, Trouble};
use crate::plan::Step;
use crate::presets;
use crate::weight::WeightBp;
use std::collections::BTreeSet;

/// Between two values of a source that is asked as it is.
const PLAIN_EVERY_MS: u64 = 60_000;

/// A canary's analysis as its owner describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanaryConfig {
    /// What the document is called.
    pub name: String,
    /// The steps, rising to all the traffic; none: the service's own strategy.
    pub steps: Option<Vec<Step>>,
    /// The metrics in the order of the file; at least one.
    pub metrics: Vec<Metric>,
    /// So many looks in a row a metric must fail before it counts as failed; at least 1.
    pub failures: u32,
}

/// A metric by query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// Its name, unique in the document.
    pub name: MetricName,
    /// What is asked, as people read it; a query as written.
    pub query: String,
    /// What is asked.
    pub asks: Asks,
    /// What its value may be.
    pub threshold: Threshold,
    /// First step at which it counts, from 0.
    pub from_step: u16,
    /// So long it must fail without a break to count as failed.
    pub bad_for_ms: u64,
    /// So long it must be well without a break to pass.
    pub good_for_ms: u64,
    /// Whether its failure sends the release back; otherwise it holds.
    pub critical: bool,
    /// Whether it decides; otherwise it is shown only.
    pub required: bool,
    /// Share of the false-alarm chance, relative to the other metrics.
    pub weight: u32,
    query_at: Place,
    path: String,
}

/// What a metric's value may be; at least one bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Threshold {
    /// Times the baseline, in basis points.
    pub increase_bp: Option<u32>,
    /// The value itself, in millionths of the query's unit.
    pub absolute_micro: Option<u64>,
    /// The value in microseconds, where the query gives seconds.
    pub absolute_us: Option<u64>,
    /// So many times lower than the baseline, in basis points.
    pub decrease_bp: Option<u32>,
    /// Whether it bounds from below: lower is worse.
    pub is_lowest: bool,
}

impl Metric {
    /// Its name and its query, where it has one.
    fn promql(&self) -> Option<(MetricName, String)> {
        match &self.asks {
            Asks::Query(text) => Some((self.name.clone(), text.clone())),
            _ => None,
        }
    }
}

impl CanaryConfig {
    /// The queries as they are, for a source whose language is not taken apart.
    pub fn plain_queries(&self) -> Vec<Query> {
        let query = |metric: &Metric| Query {
            metric: metric.name.clone(),
            text: metric.query.clone(),
            shape: metric.asks.plain(PLAIN_EVERY_MS),
        };
        self.metrics.iter().map(query).collect()
    }

    /// The queries taken apart, in the order of the metrics. PromQL may name other metrics that are PromQL; counters
    /// are asked for as they are named.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn take_apart(
        &self,
        labels: &BTreeSet<String>,
        promql: &TakeApart<'_>,
    ) -> Result<Vec<Query>, Vec<Trouble>> {
        let whole: Vec<_> = self.metrics.iter().filter_map(Metric::promql).collect();
        let mut troubles = Vec::new();
        let mut found = promql(&whole, labels).unwrap_or_else(|more| {
            troubles.extend(more);
            Vec::new()
        });
        for metric in &self.metrics {
            let selector = |text: &str| source::selector((&metric.name, text), labels, promql);
            match metric.asks.counters(selector) {
                Ok(None) => {}
                Ok(Some(shape)) => {
                    found.push(Query { metric: metric.name.clone(), text: metric.query.clone(), shape });
                }
                Err(more) => troubles.extend(more),
            }
        }
        if !troubles.is_empty() {
            return Err(troubles);
        }
        found.sort_by_key(|query| self.metrics.iter().position(|metric| metric.name == query.metric));
        Ok(found)
    }

    /// A problem with a metric's query, where it stands in the document that was read.
    pub fn query_problem(
        &self,
        text: &str,
        metric: &MetricName,
        message: &str,
        hint: &str,
    ) -> Option<Problem> {
        let metric = self.metrics.iter().find(|known| &known.name == metric)?;
        let context = Context::new(text.trim_start_matches('\u{feff}'), "/");
        context.problem(Code::BadValue, metric.query_at, &metric.path, message, hint);
        context.into_problems().pop()
    }
}

/// Reads the document. Fails with every problem found, in the order of the file.
pub fn read(bytes: &[u8]) -> Result<CanaryConfig, Vec<Problem>> {
    let text = parse::text(bytes).map_err(|problem| vec![*problem])?;
    let context = Context::new(text, "/");
    let config = parse::tree(text, &context).and_then(|root| whole(&root, &context));
    let problems = context.into_problems();
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => {
            debug_assert!(!problems.is_empty(), "a document is read, or there is a problem");
            Err(problems)
        }
    }
}

pub(super) fn whole(root: &Node, context: &Context<'_>) -> Option<CanaryConfig> {
    let file = Fields::open(context, &CANARY_CONFIG, root, "")?;
    let (version, kind) = (file.word("apiVersion"), file.word("kind"));
    let name = file.section("metadata").and_then(|inner| {
        // Of other tools, and checked for being names with texts.
        drop((inner.map("labels"), inner.map("annotations")));
        inner.text_name()
    });
    let spec = file.section("spec")?;
    let critical = spec.flag("rollback_on_failure");
    let failures = spec.whole("failure_count_threshold");
    let steps = spec.given("steps").map(|_| steps(&spec));
    let count = steps.as_ref().map(Vec::len);
    let metrics = metrics(&spec, critical.unwrap_or(true), count);
    version.and(kind)?;
    Some(CanaryConfig { name: name?, steps, metrics, failures: failures? as u32 })
}

impl Fields<'_, '_> {
    fn text_name(&self) -> Option<String> {
        self.name("name", StepName::new).map(|name| name.to_string())
    }

    /// Text that another reader understands.
    fn read_text<T>(&self, key: &str, read: impl Fn(&str) -> Read<T>) -> Option<T> {
        match read(&self.text(key)?) {
            Ok(value) => Some(value),
            Err(Fault { code, message, hint }) => {
                self.problem(code, key, &message, &hint);
                None
            }
        }
    }
}

fn steps(spec: &Fields<'_, '_>) -> Vec<Step> {
    let listed = spec.sections("steps");
    if listed.is_empty() {
        spec.problem(Code::BadValue, "steps", "there are no steps", "the last one needs percentage: 100");
    }
    let mut steps: Vec<(Step, &Fields<'_, '_>)> = Vec::new();
    let mut broken = false;
    for inner in &listed {
        let (share, bake_ms) = (inner.read_text("percentage", percentage), inner.span("duration"));
        let name = inner.name("name", StepName::new);
        let (Some(share), Some(bake_ms)) = (share, bake_ms) else {
            broken = true;
            continue;
        };
        let mut step = presets::step(&presets::name_for(share), share, bake_ms);
        if let Some(name) = name {
            step.name = name;
        }
        if share == WeightBp::ZERO {
            let hint = "write more than 0";
            inner.problem(Code::OutOfRange, "percentage", "no request reaches the canary on this step", hint);
        }
        steps.push((step, inner));
    }
    rising(&steps, broken);
    strategy::distinct(&mut steps);
    steps.into_iter().map(|(step, _)| step).collect()
}

/// Each share must be above the one before it, the last one all.
fn rising(steps: &[(Step, &Fields<'_, '_>)], broken: bool) {
    for pair in steps.windows(2) {
        let ((before, _), (step, inner)) = (&pair[0], &pair[1]);
        if step.weight <= before.weight {
            let message = format!("{} after {} exposes no more", step.weight, before.weight);
            let hint = "steps rise: write more, or change their order";
            inner.problem(Code::NotRising, "percentage", &message, hint);
        }
    }
    if let Some((last, inner)) = steps.last()
        && last.weight != WeightBp::ALL
        && !broken
    {
        let message = format!("the last step has {}", last.weight);
        inner.problem(Code::NotRising, "percentage", &message, "add a step with percentage: 100");
    }
}

/// A share without its sign: `1`, `0.5`, `25%`.
fn percentage(text: &str) -> Read<WeightBp> {
    let with_sign = if text.ends_with('%') { text.to_owned() } else { format!("{text}%") };
    let bp = value::share(&with_sign, 10_000, false).map_err(|fault| Fault {
        hint: if fault.code == Code::BadValue {
            "write a number like 5 or 0.5".to_owned()
        } else {
            fault.hint
        },
        ..fault
    })?;
    Ok(WeightBp::new(bp as u16).expect("a share is at most all"))
}

fn metrics(spec: &Fields<'_, '_>, critical: bool, steps: Option<usize>) -> Vec<Metric> {
    let listed = spec.sections("metrics");
    if listed.is_empty() && spec.given("metrics").is_some() {
        let hint = "add at least one with name, query and threshold";
        spec.problem(Code::BadValue, "metrics", "nothing is looked at", hint);
    }
    let mut metrics: Vec<Metric> = Vec::new();
    for inner in &listed {
        let Some(metric) = metric(inner, critical) else { continue };
        if metrics.iter().any(|known| known.name == metric.name) {
            let message = format!("another metric is called `{}`", metric.name);
            inner.problem(Code::DuplicateName, "name", &message, "choose another name");
        }
        if steps.is_some_and(|steps| usize::from(metric.from_step) >= steps) {
            let message = format!("there is no step {}", metric.from_step + 1);
            let hint = format!("there are {} steps", steps.unwrap_or_default());
            inner.problem(Code::OutOfRange, "from_step", &message, &hint);
        }
        metrics.push(metric);
    }
    if !metrics.is_empty() && !metrics.iter().any(|metric| metric.required) {
        spec.problem(
            Code::Conflict,
            "metrics",
            "no metric decides anything",
            "leave at least one `required`",
        );
    }
    metrics
}

fn metric(fields: &Fields<'_, '_>, rollback: bool) -> Option<Metric> {
    let (name, asks) = (fields.name("name", MetricName::new), asks::read(fields));
    let threshold = fields.section("threshold").and_then(|inner| threshold(&inner));
    let (from_step, weight) = (fields.whole("from_step"), fields.whole("weight"));
    let (bad_for, good_for) = (fields.span("for"), fields.span("good_for"));
    let (critical, required) = (fields.flag("critical"), fields.flag("required"));
    Some(Metric {
        name: name?,
        query: asks.as_ref().map(Asks::words)?,
        asks: asks?,
        threshold: threshold?,
        from_step: from_step? as u16 - 1,
        bad_for_ms: bad_for?,
        good_for_ms: good_for?,
        critical: critical.unwrap_or(rollback),
        required: required?,
        weight: weight? as u32,
        query_at: fields.place(asks::key(fields)),
        path: fields.path_of(asks::key(fields)),
    })
}

fn threshold(fields: &Fields<'_, '_>) -> Option<Threshold> {
    let increase = fields.read_text("max_increase_ratio", ratio);
    let absolute = fields.read_text("max_absolute", value::decimal_micro);
    let percent = fields.read_text("max_absolute_percent", |text| {
        value::share(&format!("{}%", text.trim_end_matches('%')), 1_000_000, true)
    });
    let millis = fields.read_text("max_absolute_ms", |text| {
        value::decimal_micro(text.trim_end_matches("ms").trim_end()).map(|micro| micro / 1_000)
    });
    let decrease = fields.read_text("max_decrease_ratio", ratio);
    let lowest = fields.read_text("min_absolute", value::decimal_micro);
    let lowest_percent = fields.read_text("min_absolute_percent", |text| {
        value::share(&format!("{}%", text.trim_end_matches('%')), 1_000_000, true)
    });
    let given: Vec<&str> =
        keys::THRESHOLD.keys.iter().map(|key| key.name).filter(|key| fields.given(key).is_some()).collect();
    if given.is_empty() {
        let known: Vec<_> = keys::THRESHOLD.keys.iter().map(|key| key.name).collect();
        let hint = format!("add one of: {}", known.join(", "));
        fields.context.problem(Code::MissingKey, fields.at, &fields.path, "nothing is bounded here", &hint);
        return None;
    }
    let of = |ends: &[&str]| given.iter().filter(|key| ends.iter().any(|end| key.contains(end))).count();
    let conflict = |message: &str, hint: &str| {
        fields.context.problem(Code::Conflict, fields.at, &fields.path, message, hint);
    };
    let lower = of(&["decrease", "min_"]);
    if lower > 0 && lower < given.len() {
        conflict(
            "the value is bounded from above and from below",
            "keep `max_increase…` or `max_decrease…`, and its absolute",
        );
    } else if of(&["absolute"]) > 1 {
        conflict("the value is bounded in two units", "keep one `max_absolute…` or `min_absolute…`");
    }
    Some(Threshold {
        increase_bp: increase,
        absolute_micro: absolute.or(percent).or(lowest).or(lowest_percent),
        absolute_us: millis,
        decrease_bp: decrease,
        is_lowest: lower > 0,
    })
}

/// A ratio to the baseline in basis points: `2.0`, `1.5x`.
fn ratio(text: &str) -> Read<u32> {
    let micro = value::decimal_micro(text.trim_end_matches(['x', '×']))?;
    match micro / 100 {
        bp @ 10_000..=10_000_000 if micro % 100 == 0 => Ok(bp as u32),
        _ => value::fault(
            Code::OutOfRange,
            format!("{text} is not a ratio between 1 and 1000 with at most four decimals"),
            "1.2 says 20% over the baseline, 2.0 twice the baseline",
        ),
    }
}
