//! A metric and its bands.

use super::analysis::Around;
use super::fields::Fields;
use super::problem::Code;
use super::source;
use super::value::{self, Read};
use crate::ids::{MetricName, StepName};
use crate::metrics::Shape;
use crate::policy::{
    AnalysisPolicy, Counter, Direction, Lasting, Measure, MetricPolicy, Missing, NOT_COMPARED_BP, Unit,
};
use crate::route::Sticky;
use crate::weight::WeightBp;

/// Burn above which a canary goes back (annex: Bands).
pub(super) const BURN_RED_MILLI: u64 = 3_000;

/// Share of its limit, in percent, above which an instance's memory is red (annex: Bands).
const MEMORY_RED_PERCENT: u64 = 90;

/// Share of sessions, in parts per million, above which a new type of client error is red (annex).
const CLIENT_ERRORS_RED_PPM: u64 = 1_000;

/// The part of the baseline below which a business metric is red (annex: down 5 %).
const BUSINESS_RED_BP: u32 = 9_500;

/// What a metric of this name measures, if the name says it.
fn measure_of(word: &str) -> Option<Measure> {
    let latency = |quantile_bp| Some(Measure::Latency { quantile_bp });
    match word {
        "error_rate" => Some(Measure::ErrorRate),
        "latency_p50" => latency(5_000),
        "latency_p90" => latency(9_000),
        "latency_p95" => latency(9_500),
        "latency_p99" => latency(9_900),
        "throughput" => Some(Measure::Throughput),
        "burn" => Some(Measure::Burn { budget_ppm: 1_000, window_ms: 0, by: Counter::Router }),
        "memory" => Some(Measure::Memory),
        "cpu" => Some(Measure::Cpu),
        "restarts" => Some(Measure::Restarts),
        "cost" => Some(Measure::Cost),
        _ => None,
    }
}

/// Reads a metric and puts it among the policy's.
pub(super) fn read(name: &str, fields: &Fields<'_, '_>, policy: &mut AnalysisPolicy, around: &Around<'_>) {
    let name = match MetricName::new(name) {
        Ok(name) => name,
        Err(error) => {
            fields.context.problem(Code::BadValue, fields.at, &fields.path, &error.to_string(), "");
            return;
        }
    };
    let Some(measure) = measure(&name, fields, policy) else { return };
    let place = policy.metrics.iter().position(|known| known.name == name);
    let base = match place {
        Some(place) => MetricPolicy { measure, ..policy.metrics[place].clone() },
        None => base(name, measure, policy, around),
    };
    let metric = bands(fields, kind(fields, base, around), around);
    check(fields, &metric, around);
    match place {
        Some(place) => policy.metrics[place] = metric,
        None => policy.metrics.push(metric),
    }
}

/// What a metric measures: what its query was taken apart into, or what it says, or its name.
fn measure(name: &MetricName, fields: &Fields<'_, '_>, policy: &AnalysisPolicy) -> Option<Measure> {
    let by_query = policy.shape_of(name).map(Shape::measure);
    let word = fields.word("measure");
    let asks = by_query.is_some() || source::asks(fields);
    if asks && fields.given("measure").is_some() {
        let hint = "remove `measure`: the query says it";
        fields.problem(Code::Conflict, "measure", "a metric by query measures its query", hint);
    }
    let found = match word {
        _ if asks => Some(by_query?),
        Some(word) => measure_of(word),
        None if fields.given("measure").is_some() => return None,
        None if fields.given("objective").is_some() => measure_of("burn"),
        None => measure_of(name.as_str()),
    };
    let Some(found) = found else {
        unknown(name, fields);
        return None;
    };
    slo(fields, found)
}

fn unknown(name: &MetricName, fields: &Fields<'_, '_>) {
    let message = format!("what `{name}` measures is not said");
    let known = super::keys::MEASURES.iter().map(|(word, _)| *word);
    let hint = match value::nearest(name.as_str(), known.clone()) {
        Some(near) => format!("did you mean `{near}`? Else add `measure`"),
        None => format!("add `measure` with one of: {}", known.collect::<Vec<_>>().join(", ")),
    };
    fields.context.problem(Code::MissingKey, fields.at, &fields.path, &message, &hint);
}

/// The measure with its objective, where it has one.
fn slo(fields: &Fields<'_, '_>, measure: Measure) -> Option<Measure> {
    let (objective, window_ms) = (fields.fine_share("objective"), fields.span("window")?);
    if fields.given("objective").is_none() {
        if matches!(measure, Measure::Burn { .. }) {
            let hint = "add objective: 99.9%";
            fields.context.problem(
                Code::MissingKey,
                fields.at,
                &fields.path,
                "burn needs an objective",
                hint,
            );
            return None;
        }
        return Some(measure);
    }
    let by = match measure {
        Measure::QueryCounts if fields.given("good").is_some() => Counter::Good,
        Measure::QueryCounts => Counter::Bad,
        Measure::ErrorRate | Measure::Burn { .. } => Counter::Router,
        _ => {
            let hint = "give it `bad` or `good`, and `total`; or no query, for the built-in failures";
            fields.problem(Code::Conflict, "objective", "an objective is for a share of requests", hint);
            return None;
        }
    };
    Some(Measure::Burn { budget_ppm: budget(fields, objective?)?, window_ms, by })
}

/// The share that may fail, in parts per million.
pub(super) fn budget(fields: &Fields<'_, '_>, objective_ppm: u32) -> Option<u32> {
    if (1..1_000_000).contains(&objective_ppm) {
        return Some(1_000_000 - objective_ppm);
    }
    let hint = "99.9% is usual";
    fields.problem(Code::OutOfRange, "objective", "it leaves no budget, or promises nothing", hint);
    None
}

/// A metric as it is before its owner says anything.
pub(super) fn base(
    name: MetricName,
    measure: Measure,
    policy: &AnalysisPolicy,
    around: &Around<'_>,
) -> MetricPolicy {
    let like = |wanted: fn(Measure) -> bool| {
        let found = policy.metrics.iter().find(|metric| wanted(metric.measure));
        found.cloned().unwrap_or_else(|| {
            let all = AnalysisPolicy::of(policy.profile).metrics;
            all.into_iter()
                .find(|metric| wanted(metric.measure))
                .expect("a profile has a metric of either kind")
        })
    };
    let errors = || like(|measure| measure == Measure::ErrorRate);
    let plain = MetricPolicy { weight: 3, ..MetricPolicy::plain(name.clone(), measure) };
    let compared = |tolerance_bp, red_bp| MetricPolicy { tolerance_bp, red_bp, ..plain.clone() };
    match measure {
        Measure::ErrorRate => MetricPolicy { name, measure, ..errors() },
        Measure::Latency { .. } => {
            MetricPolicy { name, measure, ..like(|measure| matches!(measure, Measure::Latency { .. })) }
        }
        Measure::QueryCounts | Measure::QueryValues { .. } => {
            MetricPolicy { name, measure, hold_above: None, rollback_above: None, required: true, ..errors() }
        }
        Measure::QueryMoments | Measure::QueryTypes => own(plain.clone()),
        Measure::QueryBuckets { .. } => {
            let latency = like(|measure| matches!(measure, Measure::Latency { .. }));
            MetricPolicy { name, measure, hold_above: None, rollback_above: None, required: true, ..latency }
        }
        Measure::Burn { budget_ppm, .. } => MetricPolicy {
            slack_ppm: (budget_ppm / 10).max(1_000),
            rollback_above: Some(BURN_RED_MILLI),
            from_step: later(around, 1),
            ..compared(11_000, 20_000)
        },
        Measure::Throughput => compared(11_000, 20_000),
        Measure::Memory => {
            let limit = around.limits.and_then(|limits| limits.memory_bytes);
            let band = |bytes: u64| (u128::from(bytes) * u128::from(MEMORY_RED_PERCENT) / 100) as u64;
            MetricPolicy { rollback_above: limit.map(band), ..plain }
        }
        Measure::Cpu => plain,
        Measure::Restarts => MetricPolicy { hold_above: Some(10_000), ..plain },
        Measure::Cost => MetricPolicy { required: false, ..compared(12_000, 20_000) },
    }
}

/// What means and types of errors are before their owner says anything, whatever the profile.
pub(super) fn own(plain: MetricPolicy) -> MetricPolicy {
    if plain.measure == Measure::QueryMoments {
        // A mean varies less than a quantile and more than a share: what is said of it counts.
        return MetricPolicy { tolerance_bp: 11_000, red_bp: 15_000, ..plain };
    }
    MetricPolicy { hold_above: Some(0), rollback_above: Some(CLIENT_ERRORS_RED_PPM), ..plain }
}

/// The step at which the annex's preset begins with a metric; the first in every other strategy.
fn later(around: &Around<'_>, step: u16) -> u16 {
    let preset = around.strategy.filter(|strategy| strategy.preset == "canary");
    preset.map_or(0, |strategy| step.min(strategy.steps.len().saturating_sub(1) as u16))
}

/// The metric with the bands of its kind.
fn kind(fields: &Fields<'_, '_>, base: MetricPolicy, around: &Around<'_>) -> MetricPolicy {
    let counted = fields.given("good").is_some() && base.measure == Measure::QueryCounts;
    let fewer = MetricPolicy {
        direction: Direction::LowerIsWorse,
        tolerance_bp: 9_000,
        red_bp: 5_000,
        slack_ppm: 0,
        ..base.clone()
    };
    let Some(word) = fields.word("kind") else { return if counted { fewer } else { base } };
    if word == "business" && base.measure == Measure::QueryTypes {
        let hint = "remove `by`, or write kind: client_errors";
        fields.problem(Code::Conflict, "kind", "types of errors are not a business figure", hint);
        return base;
    }
    if !base.measure.is_query() || matches!(base.measure, Measure::Burn { .. }) {
        let hint = "add `source`, and `bad` or `good` with `total`, or `value`";
        fields.problem(Code::Conflict, "kind", "only a metric by query has a kind", hint);
        return base;
    }
    if word == "business" {
        let (tolerance_bp, red_bp) = (10_000, BUSINESS_RED_BP);
        return MetricPolicy { tolerance_bp, red_bp, from_step: later(around, 2), ..fewer };
    }
    if base.measure == Measure::QueryTypes {
        return base;
    }
    if base.measure != Measure::QueryCounts {
        let hint =
            "count sessions: `bad` those with a new type of error, `total` all; or all errors `by` type";
        fields.problem(Code::Conflict, "kind", "client errors are a share of sessions", hint);
    }
    MetricPolicy {
        tolerance_bp: NOT_COMPARED_BP,
        red_bp: NOT_COMPARED_BP,
        hold_above: Some(0),
        rollback_above: Some(CLIENT_ERRORS_RED_PPM),
        ..base
    }
}

/// The metric with what its owner has set.
fn bands(fields: &Fields<'_, '_>, mut metric: MetricPolicy, around: &Around<'_>) -> MetricPolicy {
    direction(fields, &mut metric);
    relative(fields, &mut metric);
    metric.unit = unit(fields).unwrap_or(metric.unit);
    let (measure, unit) = (metric.measure, metric.unit);
    let read = |text: &str| absolute(measure, unit, around, text);
    for (key, band) in [
        ("hold_above", &mut metric.hold_above),
        ("rollback_above", &mut metric.rollback_above),
        ("hold_below", &mut metric.hold_below),
        ("rollback_below", &mut metric.rollback_below),
    ] {
        if let Some(given) = fields.band(key, read) {
            *band = given.value();
        }
    }
    in_order(fields, &mut metric);
    metric.critical = fields.flag("critical").unwrap_or(metric.critical);
    metric.required = fields.flag("required").unwrap_or(metric.required);
    metric.weight = fields.whole("weight").map_or(metric.weight, |weight| weight as u32);
    if let Some(step) = fields.name("from_step", StepName::new) {
        metric.from_step = index_of(fields, &step, around);
    }
    if let Some(endpoint) = fields.name("endpoint", MetricName::new) {
        metric.endpoint = Some(class_of(fields, endpoint.as_str(), around));
    }
    let (bad_for_ms, good_for_ms) = (fields.span("bad_for"), fields.span("good_for"));
    if let (Some(bad_for_ms), Some(good_for_ms)) = (bad_for_ms, good_for_ms)
        && (bad_for_ms > 0 || good_for_ms > 0)
    {
        metric.lasting = Some(Lasting { failures: 1, bad_for_ms, good_for_ms });
    }
    for (key, policy) in [("on_no_data", &mut metric.on_no_data), ("on_error", &mut metric.on_error)] {
        *policy = match fields.word(key) {
            Some("hold") => Missing::Hold,
            Some("ignore") => Missing::Ignore,
            _ => Missing::Rollback,
        };
        if *policy == Missing::Ignore && metric.required {
            let message = "what decides cannot be ignored: no data is not health";
            fields.problem(Code::Conflict, key, message, "add required: false, or write hold");
        }
    }
    metric
}

fn direction(fields: &Fields<'_, '_>, metric: &mut MetricPolicy) {
    let given = match fields.word("direction") {
        None => return,
        Some("lower_is_worse") => Direction::LowerIsWorse,
        Some("either") => Direction::Either,
        Some(_) => Direction::HigherIsWorse,
    };
    let fits =
        matches!(metric.measure, Measure::QueryCounts | Measure::QueryValues { .. } | Measure::QueryMoments);
    if !fits && given != Direction::HigherIsWorse {
        let hint = "give it a source with counts or values, or remove `direction`";
        fields.problem(Code::Conflict, "direction", "only counts and values of a source have one", hint);
        return;
    }
    if metric.direction != given {
        // The same distances, the other way; either way is tested as above and mirrored below.
        let turns = (metric.direction == Direction::LowerIsWorse) != (given == Direction::LowerIsWorse);
        if turns && metric.is_compared() {
            metric.tolerance_bp = mirrored(metric.tolerance_bp);
            metric.red_bp = mirrored(metric.red_bp);
        }
        if given != Direction::HigherIsWorse {
            metric.slack_ppm = 0;
        }
        metric.direction = given;
    }
}

pub(super) fn mirrored(bp: u32) -> u32 {
    100_000_000 / bp.max(1)
}

/// What is tolerated and what is red, relative to the baseline.
fn relative(fields: &Fields<'_, '_>, metric: &mut MetricPolicy) {
    let lower = metric.direction == Direction::LowerIsWorse;
    let (tolerance, red) = (fields.percent("tolerance"), fields.multiple("red"));
    if metric.measure == Measure::QueryTypes && (tolerance.is_some() || red.is_some()) {
        let key = if tolerance.is_some() { "tolerance" } else { "red" };
        let hint = "use `hold_above` and `rollback_above`: shares of the sessions";
        fields.problem(Code::Conflict, key, "a new type has no counterpart in the baseline", hint);
        return;
    }
    let was_compared = metric.is_compared();
    if let Some(over) = tolerance {
        metric.tolerance_bp = if lower { 10_000_u32.saturating_sub(over).max(1) } else { 10_000 + over };
    }
    if let Some(red) = red {
        metric.red_bp = if lower { mirrored(red) } else { red };
    } else if tolerance.is_some() && !was_compared {
        metric.red_bp = if lower { 5_000 } else { metric.tolerance_bp.saturating_mul(2) };
    }
    if red.is_some() && !metric.is_compared() {
        fields.problem(Code::MissingKey, "red", "nothing is compared with the baseline", "add `tolerance`");
        metric.red_bp = NOT_COMPARED_BP;
        return;
    }
    slack(fields, metric);
    exclude(fields, metric, lower);
    let within = if lower {
        metric.red_bp >= metric.tolerance_bp
    } else {
        metric.is_compared() && metric.red_bp <= metric.tolerance_bp
    };
    if within {
        let key = if fields.given("red").is_some() { "red" } else { "tolerance" };
        let off = |bp: u32| bp.abs_diff(10_000) / 100;
        let side = if lower { "under" } else { "over" };
        let message = format!(
            "red begins at {}% {side} the baseline, within the tolerance of {}%",
            off(metric.red_bp),
            off(metric.tolerance_bp)
        );
        fields.problem(Code::Conflict, key, &message, "red must lie beyond the tolerance");
    }
}

/// What is added to what is tolerated: a share of requests, or of a mean an amount in its unit.
fn slack(fields: &Fields<'_, '_>, metric: &mut MetricPolicy) {
    let is_mean = metric.measure == Measure::QueryMoments;
    let unit = unit(fields).unwrap_or(metric.unit);
    let read = |text: &str| if is_mean { in_unit(unit, text) } else { value::share(text, 1_000_000, false) };
    let Some(slack) = fields.band("slack", read) else { return };
    let slack = slack.value().unwrap_or(0);
    if is_mean { metric.slack_micro = slack } else { metric.slack_ppm = slack as u32 }
}

/// The change of a mean that must be excluded before PROCEED.
fn exclude(fields: &Fields<'_, '_>, metric: &mut MetricPolicy, lower: bool) {
    let Some(change) = fields.percent("exclude") else { return };
    if metric.measure != Measure::QueryMoments {
        let hint = "remove it, or ask for a mean with `count` and `sum`, or `values`";
        fields.problem(Code::Conflict, "exclude", "only of a mean a change is excluded by itself", hint);
        return;
    }
    let fits = change > 0 && (!lower || change < 10_000);
    if !fits {
        let hint = "5% is usual";
        fields.problem(
            Code::OutOfRange,
            "exclude",
            "it must be more than nothing, and a drop less than all",
            hint,
        );
        return;
    }
    metric.exclude_bp = Some(if lower { 10_000 - change } else { 10_000 + change });
}

/// The unit as it was given.
fn unit(fields: &Fields<'_, '_>) -> Option<Unit> {
    Some(match fields.word("unit")? {
        "percent" => Unit::Percent,
        "ms" => Unit::Ms,
        "s" => Unit::S,
        "bytes" => Unit::Bytes,
        _ => Unit::Count,
    })
}

/// Bands for holding lie before those for going back.
fn in_order(fields: &Fields<'_, '_>, metric: &mut MetricPolicy) {
    let swapped = metric.hold_above.zip(metric.rollback_above).is_some_and(|(hold, back)| hold > back);
    if swapped {
        // A rollback band below the hold band leaves nothing to hold for.
        if fields.given("hold_above").is_some() {
            let message = "it goes back before it could hold";
            fields.problem(Code::Conflict, "hold_above", message, "hold_above lies below rollback_above");
        }
        metric.hold_above = None;
    }
    let swapped = metric.hold_below.zip(metric.rollback_below).is_some_and(|(hold, back)| hold < back);
    if swapped {
        let message = "it goes back before it could hold";
        fields.problem(Code::Conflict, "hold_below", message, "hold_below lies above rollback_below");
    }
    let counted =
        matches!(metric.measure, Measure::QueryCounts | Measure::QueryValues { .. } | Measure::QueryMoments);
    for (key, band) in [("hold_below", metric.hold_below), ("rollback_below", metric.rollback_below)] {
        if band.is_some() && !counted {
            let hint = "remove it, or give the metric a source";
            fields.problem(Code::Conflict, key, "only counts and values of a source have it", hint);
        }
    }
}

/// What cannot be judged as it is asked for.
fn check(fields: &Fields<'_, '_>, metric: &MetricPolicy, around: &Around<'_>) {
    let asked = metric.is_compared()
        || metric
            .hold_above
            .or(metric.rollback_above)
            .or(metric.hold_below)
            .or(metric.rollback_below)
            .is_some();
    let keys = ["tolerance", "hold_above", "rollback_above", "hold_below", "rollback_below"];
    if !asked && keys.iter().all(|key| fields.given(key).is_none()) {
        let message = format!("nothing is asked of `{}`", metric.name);
        let hint = "add `hold_above`, `rollback_above` or `tolerance`";
        fields.context.problem(Code::MissingKey, fields.at, &fields.path, &message, hint);
    }
    let whole =
        !matches!(metric.measure, Measure::ErrorRate | Measure::Latency { .. } | Measure::Burn { .. });
    if metric.endpoint.is_some() && (whole || metric.measure.is_query()) {
        let hint = "remove `endpoint`, or narrow the query";
        fields.problem(Code::Conflict, "endpoint", "only failures and latencies are told by endpoint", hint);
    }
    if metric.measure != Measure::Throughput {
        return;
    }
    if around.traffic.is_some_and(|traffic| traffic.listen.sticky != Sticky::None) {
        let message = "with sticky users the share of requests is not the one routed";
        let hint = "remove the metric, or `traffic.sticky`";
        fields.context.problem(Code::Conflict, fields.at, &fields.path, message, hint);
    }
    let steps = around.strategy.map(|strategy| strategy.steps.as_slice()).unwrap_or_default();
    let mixed = steps.iter().find(|step| step.header.is_some() && step.weight > WeightBp::ZERO);
    if let Some(step) = mixed {
        let message = format!("step `{}` routes by a header too: its share is not its weight", step.name);
        let hint = "begin with `from_step` behind it, or remove the metric";
        if metric.from_step <= steps.iter().position(|known| known == step).unwrap_or(0) as u16 {
            fields.context.problem(Code::Conflict, fields.at, &fields.path, &message, hint);
        }
    }
}

/// An absolute band in the metric's unit ([`Measure`]).
fn absolute(measure: Measure, unit: Unit, around: &Around<'_>, text: &str) -> Read<u64> {
    let is_share = text.ends_with('%');
    let of_limit = |limit: Option<u64>, key: &str| match limit {
        Some(limit) => {
            let bp = value::share(text, 10_000, false)?;
            Ok((u128::from(limit) * u128::from(bp) / 10_000) as u64)
        }
        None => value::fault(
            Code::Conflict,
            format!("`{text}` of what: the target has no limit"),
            format!("add target.limits.{key}, or write an amount"),
        ),
    };
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
        Measure::QueryValues { .. } | Measure::QueryMoments => in_unit(unit, text),
        Measure::Cost => value::decimal_micro(text),
        Measure::ErrorRate | Measure::QueryCounts | Measure::QueryTypes | Measure::Restarts => {
            value::share(text, 1_000_000, false)
        }
        Measure::Burn { .. } => {
            let plain = text.trim_end_matches('x');
            value::decimal_micro(plain).map(|micro| micro / 1_000)
        }
        Measure::Memory if is_share => {
            of_limit(around.limits.and_then(|limits| limits.memory_bytes), "memory")
        }
        Measure::Memory => value::size(text),
        Measure::Cpu if is_share => {
            of_limit(around.limits.and_then(|limits| limits.cpu_milli).map(u64::from), "cpu")
        }
        Measure::Cpu => value::cores(text),
        Measure::Throughput => value::fault(
            Code::Conflict,
            "throughput has no absolute bands",
            "use `tolerance` and `red`: the share answered against the share routed",
        ),
    }
}

/// A band on values, in millionths of their unit.
fn in_unit(unit: Unit, text: &str) -> Read<u64> {
    let too_large = |text: &str| value::fault(Code::OutOfRange, format!("{text} is too large"), "");
    match unit {
        Unit::Count => value::decimal_micro(text),
        Unit::Percent => value::share(text, 100_000_000, true),
        Unit::Ms => match value::span_us(text)?.checked_mul(1_000) {
            Some(micro) => Ok(micro),
            None => too_large(text),
        },
        Unit::S => value::span_us(text),
        Unit::Bytes => match value::size(text)?.checked_mul(1_000_000) {
            Some(micro) => Ok(micro),
            None => too_large(text),
        },
    }
}

fn index_of(fields: &Fields<'_, '_>, step: &StepName, around: &Around<'_>) -> u16 {
    let steps = around.strategy.map(|strategy| strategy.steps.as_slice()).unwrap_or_default();
    if let Some(index) = steps.iter().position(|known| known.name == *step) {
        return index as u16;
    }
    if around.strategy.is_some() {
        let names: Vec<_> = steps.iter().map(|step| step.name.as_str()).collect();
        let hint = match value::nearest(step.as_str(), names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the steps: {}", names.join(", ")),
        };
        fields.problem(Code::BadValue, "from_step", &format!("there is no step `{step}`"), &hint);
    }
    0
}

fn class_of(fields: &Fields<'_, '_>, class: &str, around: &Around<'_>) -> String {
    if let Some(traffic) = around.traffic {
        let names: Vec<_> = traffic.listen.endpoint_classes.iter().map(|known| known.name.as_str()).collect();
        if class != "other" && !names.contains(&class) {
            let hint = match value::nearest(class, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "add it to `traffic.endpoints`".to_owned(),
            };
            let message = format!("there is no endpoint class `{class}`");
            fields.problem(Code::BadValue, "endpoint", &message, &hint);
        }
    }
    class.to_owned()
}
