//! How the canary is judged.

use super::by_query::{self, Included};
use super::fields::Fields;
use super::problem::Code;
use super::source;
use super::traffic::Traffic;
use super::value::{self, Read};
use crate::ids::{MetricName, StepName};
use crate::metrics::{Shape, TakeApart};
use crate::policy::{AnalysisPolicy, Exclusion, Measure, MetricPolicy, Preflight, Profile};
use crate::service::Strategy;
use crate::weight::WeightBp;

/// Reads the analysis; the steps and endpoint classes its metrics name must exist.
pub(super) fn read(
    fields: &Fields<'_, '_>,
    strategy: Option<&Strategy>,
    traffic: Option<&Traffic>,
    included: Option<Included<'_>>,
    promql: Option<&TakeApart<'_>>,
) -> Option<AnalysisPolicy> {
    let profile = match fields.word("profile")? {
        "strict" => Profile::Strict,
        _ => Profile::Standard,
    };
    let mut policy = AnalysisPolicy::of(profile);
    policy.sources = source::named(fields);
    source::put(fields, &mut policy.sources, promql);
    for (name, inner) in fields.named("metrics") {
        metric(&name, &inner, &mut policy, strategy, traffic);
    }
    for key in ["false_alarm", "false_pass"] {
        let Some(ppm) = fields.fine_share(key) else { continue };
        if ppm == 0 || ppm > 500_000 {
            let message = format!("{key} must be above 0% and at most 50%");
            fields.problem(Code::OutOfRange, key, &message, "1% and 5% are usual");
        }
        match key {
            "false_alarm" => policy.false_alarm_ppm = ppm,
            _ => policy.false_pass_ppm = ppm,
        }
    }
    if fields.given("exclude").is_some() {
        policy.exclude = exclusions(fields);
    }
    policy.harm_budget_requests = fields.whole("harm_budget");
    policy.preflight = match fields.word("preflight") {
        Some("refuse") => Preflight::Refuse,
        Some("off") => Preflight::Off,
        _ => Preflight::Warn,
    };
    by_query::apply(fields, &mut policy, included, strategy);
    source::unused(fields, &policy.sources);
    if !policy.metrics.iter().any(|metric| metric.required) {
        let hint = "leave at least one metric `required`, or set `analysis: false` on the steps";
        fields.problem(Code::Conflict, "metrics", "no metric decides anything", hint);
    }
    Some(policy)
}

fn exclusions(fields: &Fields<'_, '_>) -> Vec<Exclusion> {
    let mut rules: Vec<Exclusion> = Vec::new();
    for inner in fields.sections("exclude") {
        let (up_to, increase) = (inner.share("up_to"), inner.multiple("increase"));
        let (Some(Ok(up_to)), Some(ratio_bp)) = (up_to.map(WeightBp::new), increase) else { continue };
        if rules.last().is_some_and(|last| last.up_to >= up_to) {
            let message = format!("{up_to} does not lie above the rule before it");
            inner.problem(Code::NotRising, "up_to", &message, "order the rules by weight");
        }
        if ratio_bp <= 10_000 {
            let hint = "write more than 1x";
            inner.problem(
                Code::OutOfRange,
                "increase",
                "no amount of requests excludes any increase at all",
                hint,
            );
        }
        rules.push(Exclusion { up_to, ratio_bp });
    }
    rules
}

/// What a metric of this name measures, if the name says it.
fn measure_of(word: &str) -> Option<Measure> {
    let quantile_bp = match word {
        "error_rate" => return Some(Measure::ErrorRate),
        "latency_p50" => 5_000,
        "latency_p90" => 9_000,
        "latency_p95" => 9_500,
        "latency_p99" => 9_900,
        _ => return None,
    };
    Some(Measure::Latency { quantile_bp })
}

fn metric(
    name: &str,
    fields: &Fields<'_, '_>,
    policy: &mut AnalysisPolicy,
    strategy: Option<&Strategy>,
    traffic: Option<&Traffic>,
) {
    let name = match MetricName::new(name) {
        Ok(name) => name,
        Err(error) => {
            fields.context.problem(Code::BadValue, fields.at, &fields.path, &error.to_string(), "");
            return;
        }
    };
    let by_query = policy.shape_of(&name).map(Shape::measure);
    let measure = match fields.word("measure") {
        _ if by_query.is_some() || source::asks(fields) => {
            if fields.given("measure").is_some() {
                let hint = "remove `measure`: the query says it";
                fields.problem(Code::Conflict, "measure", "a metric by query measures its query", hint);
            }
            match by_query {
                Some(measure) => Some(measure),
                None => return,
            }
        }
        Some(word) => measure_of(word),
        None if fields.given("measure").is_some() => return,
        None => measure_of(name.as_str()),
    };
    let Some(measure) = measure else {
        let message = format!("what `{name}` measures is not said");
        let known = ["error_rate", "latency_p50", "latency_p90", "latency_p95", "latency_p99"];
        let hint = match value::nearest(name.as_str(), known.into_iter()) {
            Some(near) => format!("did you mean `{near}`? Else add `measure`"),
            None => format!("add `measure` with one of: {}", known.join(", ")),
        };
        fields.context.problem(Code::MissingKey, fields.at, &fields.path, &message, &hint);
        return;
    };
    let place = policy.metrics.iter().position(|known| known.name == name);
    let like = policy
        .metrics
        .iter()
        .position(|known| std::mem::discriminant(&known.measure) == std::mem::discriminant(&kin(measure)));
    let mut base = policy.metrics[place.or(like).expect("a profile has a metric of either kind")].clone();
    if measure.is_query() {
        (base.hold_above, base.rollback_above) = (None, None);
    }
    let metric = bands(fields, MetricPolicy { name, measure, ..base }, strategy, traffic);
    match place {
        Some(place) => policy.metrics[place] = metric,
        None => policy.metrics.push(metric),
    }
}

/// The built-in measure whose bands a metric begins with.
fn kin(measure: Measure) -> Measure {
    match measure {
        Measure::QueryBuckets { quantile_bp } => Measure::Latency { quantile_bp },
        Measure::QueryCounts | Measure::QueryValues { .. } => Measure::ErrorRate,
        own => own,
    }
}

/// The metric with the bands its owner has set.
fn bands(
    fields: &Fields<'_, '_>,
    mut metric: MetricPolicy,
    strategy: Option<&Strategy>,
    traffic: Option<&Traffic>,
) -> MetricPolicy {
    if let Some(over) = fields.percent("tolerance") {
        metric.tolerance_bp = 10_000 + over;
    }
    if let Some(red) = fields.multiple("red") {
        metric.red_bp = red;
    }
    if metric.red_bp <= metric.tolerance_bp {
        let key = if fields.given("red").is_some() { "red" } else { "tolerance" };
        let (red, over) = (metric.red_bp, metric.tolerance_bp - 10_000);
        let message = format!(
            "red begins at {}% over the baseline, within the tolerance of {}%",
            (red - 10_000) / 100,
            over / 100
        );
        fields.problem(Code::Conflict, key, &message, "red must lie beyond the tolerance");
    }
    if let Some(slack) = fields.fine_share("slack") {
        metric.slack_ppm = slack;
    }
    let unit = |text: &str| absolute(metric.measure, text);
    if let Some(band) = fields.band("hold_above", unit) {
        metric.hold_above = band.value();
    }
    if let Some(band) = fields.band("rollback_above", unit) {
        metric.rollback_above = band.value();
    }
    if let (Some(hold), Some(rollback)) = (metric.hold_above, metric.rollback_above)
        && hold > rollback
    {
        // A rollback band below the hold band leaves nothing to hold for.
        if fields.given("hold_above").is_some() {
            let message = "it goes back before it could hold";
            fields.problem(Code::Conflict, "hold_above", message, "hold_above lies below rollback_above");
        }
        metric.hold_above = None;
    }
    metric.required = fields.flag("required").unwrap_or(metric.required);
    metric.weight = fields.whole("weight").map_or(metric.weight, |weight| weight as u32);
    if let Some(step) = fields.name("from_step", StepName::new) {
        metric.from_step = index_of(fields, &step, strategy);
    }
    if let Some(endpoint) = fields.name("endpoint", MetricName::new) {
        metric.endpoint = Some(class_of(fields, endpoint.as_str(), traffic));
    }
    metric
}

/// An absolute band in the metric's unit: parts per million or microseconds.
fn absolute(measure: Measure, text: &str) -> Read<u64> {
    let is_share = text.ends_with('%');
    match measure {
        Measure::ErrorRate if !is_share && value::span_us(text).is_ok() => value::fault(
            Code::WrongUnit,
            format!("`{text}` is a time, and this metric is a share"),
            "write one like 1%",
        ),
        Measure::Latency { .. } if is_share => value::fault(
            Code::WrongUnit,
            format!("`{text}` is a share, and this metric is a time"),
            "write one like 500ms",
        ),
        Measure::Latency { .. } | Measure::QueryBuckets { .. } => value::span_us(text),
        Measure::QueryValues { .. } | Measure::Cost => value::decimal_micro(text),
        Measure::ErrorRate | Measure::QueryCounts | Measure::Restarts | Measure::Throughput => {
            value::share(text, 1_000_000, false)
        }
        Measure::Burn { .. } => value::decimal_micro(text).map(|micro| micro / 1_000),
        Measure::Memory => value::size(text),
        Measure::Cpu => value::cores(text),
    }
}

fn index_of(fields: &Fields<'_, '_>, step: &StepName, strategy: Option<&Strategy>) -> u16 {
    let steps = strategy.map(|strategy| strategy.steps.as_slice()).unwrap_or_default();
    if let Some(index) = steps.iter().position(|known| known.name == *step) {
        return index as u16;
    }
    if strategy.is_some() {
        let names: Vec<_> = steps.iter().map(|step| step.name.as_str()).collect();
        let hint = match value::nearest(step.as_str(), names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the steps: {}", names.join(", ")),
        };
        fields.problem(Code::BadValue, "from_step", &format!("there is no step `{step}`"), &hint);
    }
    0
}

fn class_of(fields: &Fields<'_, '_>, class: &str, traffic: Option<&Traffic>) -> String {
    if let Some(traffic) = traffic {
        let names: Vec<_> = traffic.listen.endpoint_classes.iter().map(|known| known.name.as_str()).collect();
        if class != "other" && !names.contains(&class) {
            let hint = match value::nearest(class, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "add it to `traffic.endpoints`".to_owned(),
            };
            fields.problem(
                Code::BadValue,
                "endpoint",
                &format!("there is no endpoint class `{class}`"),
                &hint,
            );
        }
    }
    class.to_owned()
}
