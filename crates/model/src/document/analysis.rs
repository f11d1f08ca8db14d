//! How the canary is judged.

use super::by_query::{self, Included};
use super::fields::Fields;
use super::openslo::Objectives;
use super::problem::Code;
use super::traffic::Traffic;
use super::{metric, slo, source, value};
use crate::ids::MetricName;
use crate::metrics::TakeApart;
use crate::policy::{AnalysisPolicy, Baseline, Exclusion, Measure, Preflight, Prices, Profile};
use crate::service::{ProcessLimits, Strategy, StrategyKind};
use crate::weight::WeightBp;

/// What the metrics of an analysis may name, and what they are read with.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) strategy: Option<&'a Strategy>,
    pub(super) traffic: Option<&'a Traffic>,
    pub(super) limits: Option<&'a ProcessLimits>,
    pub(super) included: Option<Included<'a>>,
    pub(super) promql: Option<&'a TakeApart<'a>>,
    pub(super) slos: Option<&'a Objectives>,
}

/// Reads the analysis; the steps and endpoint classes its metrics name must exist.
pub(super) fn read(fields: &Fields<'_, '_>, around: &Around<'_>) -> Option<AnalysisPolicy> {
    let profile = match fields.word("profile")? {
        "strict" => Profile::Strict,
        _ => Profile::Standard,
    };
    let mut policy = AnalysisPolicy::of(profile);
    policy.sources = source::named(fields);
    source::put(fields, &mut policy.sources, around.promql);
    policy.prices = prices(fields);
    for (name, inner) in fields.named("metrics") {
        metric::read(&name, &inner, &mut policy, around);
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
    if fields.word("baseline") == Some("fresh") {
        policy.baseline = Baseline::Fresh;
        beside_a_canary(fields, around.strategy);
    }
    by_query::apply(fields, &mut policy, around.included, around.strategy);
    slo::apply(fields, &mut policy, around);
    cost(fields, &mut policy, around);
    source::unused(fields, &policy.sources);
    if policy.baseline == Baseline::Fresh {
        told_apart(fields, &policy);
    }
    // Where metrics could not be read, that is the problem.
    if !policy.metrics.iter().any(|metric| metric.required) && !fields.context.has_problems() {
        let hint = "leave at least one metric `required`, or set `analysis: false` on the steps";
        fields.problem(Code::Conflict, "metrics", "no metric decides anything", hint);
    }
    Some(policy)
}

/// A fresh baseline needs a canary beside it that has a share of the traffic.
fn beside_a_canary(fields: &Fields<'_, '_>, strategy: Option<&Strategy>) {
    let Some(strategy) = strategy else { return };
    let kind = match strategy.kind {
        StrategyKind::Canary => None,
        StrategyKind::BlueGreen => Some("blue/green gives everything to one side at once"),
        StrategyKind::Rolling => Some("rolling replaces the old instances one by one"),
        StrategyKind::Recreate => Some("recreate stops the old instances first"),
    };
    let shared = |weight: WeightBp| weight > WeightBp::ZERO && weight < WeightBp::ALL;
    let message = match kind {
        Some(why) => format!("a fresh baseline runs beside a canary, and {why}"),
        None if !strategy.steps.iter().any(|step| shared(step.weight)) => {
            "no step splits the traffic, so a fresh baseline would never be compared with".to_owned()
        }
        None => return,
    };
    let hint = "use a canary with steps between 0% and 100%, or leave `baseline` out";
    fields.problem(Code::Conflict, "baseline", &message, hint);
}

/// What a source counts of the running version is of all its instances, unless it can tell the fresh
/// ones from the others.
fn told_apart(fields: &Fields<'_, '_>, policy: &AnalysisPolicy) {
    for source in policy.sources.iter().filter(|source| !source.queries.is_empty()) {
        if source.selects_by_group() {
            continue;
        }
        let message = format!("source `{}` cannot tell the fresh instances from the others", source.name);
        let hint = "add `{group}` to both sides: canary: {version: \"{version}\", group: \"{group}\"}, the same as baseline; instances find their group in TAXIWAY_GROUP";
        fields.problem(Code::Conflict, "baseline", &message, hint);
    }
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

fn prices(fields: &Fields<'_, '_>) -> Option<Prices> {
    let inner = fields.section("cost")?;
    let amount = |key: &str| {
        let text = inner.text(key)?;
        match value::decimal_micro(&text) {
            Ok(micro) => Some(micro),
            Err(fault) => {
                inner.problem(fault.code, key, &fault.message, &fault.hint);
                None
            }
        }
    };
    let (cpu, memory, currency) = (amount("cpu_hour"), amount("memory_gib_hour"), inner.text("currency"));
    Some(Prices { cpu_hour_micro: cpu?, memory_gib_hour_micro: memory?, currency: currency? })
}

/// Prices judge the metric `cost`, for show unless it says more; the metric needs prices.
fn cost(fields: &Fields<'_, '_>, policy: &mut AnalysisPolicy, around: &Around<'_>) {
    let judged = policy.metrics.iter().any(|metric| metric.measure == Measure::Cost);
    match (fields.given("cost").is_some(), judged) {
        (true, false) => {
            let name = MetricName::new("cost").expect("a valid name");
            let cost = metric::base(name, Measure::Cost, policy, around);
            policy.metrics.push(cost);
        }
        (false, true) => {
            let hint = "add analysis.cost: {cpu_hour: 0.04, memory_gib_hour: 0.005}";
            fields.problem(Code::MissingKey, "metrics", "cost is judged, and there are no prices", hint);
        }
        _ => {}
    }
}
