//! Findings as one short sentence each: what a tired person reads first.

use crate::course::Decision;
use crate::figures::{mebibytes, micros, millionths, ppm, ratio, share, span, thousands};
use crate::recording::{Ended, Recording, Truth};
use crate::report::{MetricReport, Unit};
use taxiway_model::event::Outcome;
use taxiway_model::policy::{Measure, MetricPolicy, Profile};
use taxiway_model::verdict::{FindingState, MetricFinding, Verdict};

/// A verdict as people read it.
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Proceed => "PROCEED",
        Verdict::InsufficientData => "MORE DATA",
        Verdict::Hold => "HOLD",
        Verdict::Rollback => "ROLLBACK",
    }
}

/// The sign of a verdict, so that nothing is said by colour alone.
pub fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Proceed => "✔",
        Verdict::InsufficientData => "…",
        Verdict::Hold => "!",
        Verdict::Rollback => "✘",
    }
}

/// How a release ended, whatever its verdict was.
pub(crate) fn ended(ended: &Ended) -> String {
    let how = match ended.outcome {
        Outcome::Released => "released",
        Outcome::RolledBack => "rolled back",
        Outcome::Aborted => "aborted",
        Outcome::Failed => "failed",
    };
    if ended.sentence.is_empty() { how.to_owned() } else { format!("{how}: {}", ended.sentence) }
}

/// The finding of a whole report.
pub(crate) fn headline(recording: &Recording, decision: &Decision, metrics: &[MetricReport]) -> String {
    let canary = &recording.head.canary;
    let Some(worst) = metrics.iter().filter(|metric| metric.required).max_by_key(|m| m.finding.verdict)
    else {
        return format!("Nothing is known of {canary}: there is nothing to judge");
    };
    let baseline = recording.head.baseline.as_deref().unwrap_or("the baseline");
    let times = worst.finding.ratio_bp.filter(|bp| *bp > 10_000).map(ratio);
    let because = match (worst.unit, times) {
        (Unit::Ppm, _) if worst.lower_is_worse => {
            format!("{} is worse than with {baseline}", worst.finding.metric)
        }
        (Unit::Ppm, Some(times)) => format!("it fails {times} as often as {baseline}"),
        (Unit::Ppm, None) => format!("it fails more often than {baseline}"),
        (Unit::Us, _) if is_slow_at_the_end(&worst.finding, worst.tolerance_bp) => {
            format!("its slowest requests take longer than those of {baseline}")
        }
        (Unit::Us, Some(times)) => {
            format!("its {} is {times} that of {baseline}", quantile_word(&worst.finding))
        }
        (Unit::Us, None) => format!("it is slower than {baseline}"),
        (Unit::Micro | Unit::Milli | Unit::Bytes, _) => {
            format!("{} is worse than with {baseline}", worst.finding.metric)
        }
    };
    match (decision.verdict, worst.finding.shown) {
        (Verdict::Rollback, true) => format!("Take {canary} back: {because}"),
        (Verdict::Rollback, false) => {
            format!("Take {canary} back: {} is beyond a limit", worst.finding.metric)
        }
        (Verdict::Hold, _) if worst.finding.state == FindingState::BaselineFails => {
            format!("Stop and look: {baseline} fails too, so nothing can be said of {canary}")
        }
        (Verdict::Hold, _) if !worst.finding.state.is_judged() => {
            format!("Stop and look at {canary}: {} cannot be judged", worst.finding.metric)
        }
        (Verdict::Hold, true) => format!("Stop and look at {canary}: {because}, but not far"),
        (Verdict::Hold, false) => {
            format!("Stop and look at {canary}: {} is beyond a limit", worst.finding.metric)
        }
        (Verdict::InsufficientData, _) if worst.finding.state == FindingState::SourceError => {
            format!("Not sure of {canary}: the source of {} does not answer", worst.finding.metric)
        }
        (Verdict::InsufficientData, _) if worst.finding.state == FindingState::NoData => {
            format!("Not sure of {canary}: the source of {} has nothing", worst.finding.metric)
        }
        (Verdict::InsufficientData, _) => {
            match metrics.iter().filter_map(|metric| metric.finding.wait_ms).max().filter(|ms| *ms > 0) {
                Some(ms) => format!("Not sure of {canary} yet: about {} more at this traffic", span(ms)),
                None => format!("Not sure of {canary} yet"),
            }
        }
        (Verdict::Proceed, _) => format!("{canary} may go on: nothing is shown against it"),
    }
}

/// Whether latencies are shown to be worse although the quantile that is shown first lies within its tolerance: then it is
/// the requests beyond it that are slower.
fn is_slow_at_the_end(finding: &MetricFinding, tolerance_bp: Option<u32>) -> bool {
    let within = |bp: u64| tolerance_bp.is_some_and(|tolerance| bp <= u64::from(tolerance));
    finding.shown && finding.ratio_bp.is_some_and(within)
}

/// A metric's finding.
pub(crate) fn title(
    recording: &Recording,
    policy: &MetricPolicy,
    unit: Unit,
    lower_is_worse: bool,
    finding: &MetricFinding,
) -> String {
    let canary = &recording.head.canary;
    let is_restarts = policy.measure == Measure::Restarts;
    let against = finding.baseline.as_ref();
    let no_errors = unit == Unit::Ppm
        && !lower_is_worse
        && finding.canary.bad == 0
        && against.is_none_or(|side| side.bad == 0);
    match (finding.ratio_bp, unit) {
        _ if finding.state == FindingState::NoData => "Its source has nothing: that is not health".to_owned(),
        _ if finding.state == FindingState::SourceError => {
            "Its source does not answer: that is not health".to_owned()
        }
        _ if finding.state == FindingState::BaselineFails => "The baseline fails too".to_owned(),
        _ if finding.state == FindingState::CannotKnow => "No method can tell from this evidence".to_owned(),
        _ if no_errors && finding.canary.requests > 0 => {
            let all = thousands(finding.canary.requests + against.map_or(0, |side| side.requests));
            if is_restarts {
                format!("Not one of {all} instances was restarted")
            } else {
                format!("Not one of {all} requests failed")
            }
        }
        (Some(bp), Unit::Us) if is_slow_at_the_end(finding, Some(policy.tolerance_bp)) => {
            let quantile = quantile_word(finding);
            format!("{canary}'s slowest requests take longer; its {quantile} is {} the baseline's", ratio(bp))
        }
        (Some(bp), Unit::Us) if finding.shown => {
            format!("{canary} is slower: {} takes {} as long", quantile_word(finding), ratio(bp))
        }
        (Some(bp), Unit::Ppm) if finding.shown && !lower_is_worse => {
            format!("{canary} fails {} as often", ratio(bp))
        }
        (Some(bp), _) if finding.shown => {
            format!("{canary} has {} as much {} as the baseline", ratio(bp), finding.metric)
        }
        (None, Unit::Ppm) if finding.shown && lower_is_worse => format!("{canary} is worse than tolerated"),
        (None, Unit::Ppm) if finding.shown => {
            let rate = share(finding.canary.bad, finding.canary.requests);
            format!("{canary} fails in {rate} of requests, the baseline hardly ever")
        }
        _ if finding.shown => format!("{canary} is worse than tolerated"),
        _ => match finding.verdict {
            Verdict::Rollback | Verdict::Hold => format!("{canary} is beyond a limit"),
            Verdict::InsufficientData => "No difference shown, but not enough seen to be sure".to_owned(),
            Verdict::Proceed if is_restarts => "No more restarts than allowed".to_owned(),
            Verdict::Proceed if !policy.is_compared() => "Within its limit".to_owned(),
            Verdict::Proceed => "No worse than tolerated".to_owned(),
        },
    }
}

fn quantile_word(finding: &MetricFinding) -> String {
    let name = finding.metric.as_str();
    name.rsplit('_').next().filter(|word| word.starts_with('p')).unwrap_or("latency").to_owned()
}

/// What the evidence chart of a metric says.
pub(crate) fn weighed(metric: &MetricReport) -> String {
    let finding = &metric.finding;
    match finding.state {
        FindingState::Judged => {}
        FindingState::NoData | FindingState::SourceError => {
            return "There is no evidence to weigh".to_owned();
        }
        FindingState::BaselineFails => return "It weighs nothing while the baseline fails too".to_owned(),
        FindingState::CannotKnow => return "No method can weigh this evidence".to_owned(),
    }
    match (metric.shown_ms.filter(|_| finding.shown), metric.excluded_ms) {
        (Some(ms), _) => format!("Shown to be worse than tolerated after {}", span(ms)),
        (None, Some(ms)) => format!("What must be excluded is excluded after {}", span(ms)),
        (None, None) if metric.for_needed_milli.is_none() => match finding.verdict {
            _ if metric.tolerance_bp.is_some() || !metric.has_limit() => "Nothing has to be excluded here",
            Verdict::Proceed => "Within its limit",
            Verdict::InsufficientData => "Not sure yet that it is within its limit",
            Verdict::Hold | Verdict::Rollback => "Beyond its limit",
        }
        .to_owned(),
        (None, None) => match finding.wait_ms.filter(|ms| *ms > 0) {
            Some(ms) => format!("Not sure yet: about {} more at this traffic", span(ms)),
            None => "Not sure yet, either way".to_owned(),
        },
    }
}

/// A figure in a metric's unit.
pub fn figure(unit: Unit, value: i64) -> String {
    match unit {
        Unit::Ppm => ppm(value),
        Unit::Us => micros(value),
        Unit::Micro => millionths(value),
        Unit::Milli => millionths(value.saturating_mul(1_000)),
        Unit::Bytes => mebibytes(value),
    }
}

/// A metric's figure with its unit: `0.2 cores`, `0.92x`, `0.0002 EUR per 1,000 requests`.
pub(crate) fn with_unit(metric: &MetricReport, value: i64) -> String {
    let text = figure(metric.unit, value);
    match (metric.unit, metric.per.as_str()) {
        (Unit::Milli, "") => text + "x",
        (_, "") => text,
        (_, per) => format!("{text} {per}"),
    }
}

/// A side's figure of a finding, for people: `3.2% (32 of 1,000)`, `48 ms (1,000 requests)`.
pub(crate) fn side(metric: &MetricReport, side: Option<&taxiway_model::verdict::SideFinding>) -> String {
    let Some(side) = side else { return "none".to_owned() };
    let counted = thousands(side.requests);
    let value = side.value.map(|value| value.min(i64::MAX as u64) as i64);
    match (metric.unit, value) {
        _ if side.requests == 0 => "none".to_owned(),
        (Unit::Ppm, value) if metric.routed => {
            value.map_or("none".to_owned(), |value| format!("{} of all answered ({counted})", ppm(value)))
        }
        (Unit::Ppm, _) => {
            let of = if metric.instances { " instances" } else { "" };
            format!("{} ({} of {counted}{of})", share(side.bad, side.requests), thousands(side.bad))
        }
        (_, None) => "none".to_owned(),
        (unit, Some(value)) => {
            let what = match unit {
                _ if metric.instances => ["instance", "instances"],
                Unit::Micro if metric.per.is_empty() => ["value", "values"],
                _ => ["request", "requests"],
            };
            let what = what[usize::from(side.requests != 1)];
            format!("{} ({counted} {what})", with_unit(metric, value))
        }
    }
}

/// What a version turned out to be.
pub fn truth(truth: Truth) -> &'static str {
    match truth {
        Truth::Healthy => "healthy",
        Truth::Bad => "bad",
    }
}

/// A profile by its name.
pub fn profile(profile: Profile) -> &'static str {
    match profile {
        Profile::Standard => "standard",
        Profile::Strict => "strict",
    }
}
