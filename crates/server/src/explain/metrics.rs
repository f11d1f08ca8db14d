//! Every metric of a plan, with what it says now and how it is asked.

use taxiway_api::{MetricView, QueryView};
use taxiway_decide::environment::Flight;
use taxiway_model::metrics::Side;
use taxiway_model::policy::MetricPolicy;
use taxiway_model::time::ForPeople;
use taxiway_model::verdict::{FindingState, Judgement, MetricFinding};

use super::words::{bands, one_in, times};

/// All of them, in the order of the plan.
pub(super) fn views(flight: &Flight, judgement: Option<&Judgement>) -> Vec<MetricView> {
    let policy = &flight.plan.analysis;
    let index = flight.step.unwrap_or(0);
    let exclude_bp = flight.current().and_then(|step| policy.exclusion_at(step.weight));
    let view = |metric: &MetricPolicy| {
        let findings = judgement.map(|judgement| judgement.findings.as_slice()).unwrap_or_default();
        let finding = findings.iter().find(|finding| finding.metric == metric.name).cloned();
        let begins = (metric.from_step > index).then(|| {
            flight.plan.step(metric.from_step).map_or_else(String::new, |step| step.name.to_string())
        });
        MetricView {
            name: metric.name.clone(),
            measure: metric.measure,
            required: metric.required,
            begins,
            endpoint: metric.endpoint.clone(),
            bands: bands(metric),
            against: finding.as_ref().map(against).unwrap_or_default(),
            excluded: finding.as_ref().map(|finding| excluded(finding, exclude_bp)).unwrap_or_default(),
            finding,
            query: query(flight, metric),
        }
    };
    policy.metrics.iter().map(view).collect()
}

/// Less evidence than this (a chance of one in two) is what noise looks like.
const WORTH_SAYING_MILLI: i64 = 693;

/// How sure it is that the canary is worse than tolerated.
fn against(finding: &MetricFinding) -> String {
    match finding.state {
        FindingState::Judged => {}
        FindingState::NoData => return "its source has nothing: neither good nor bad".to_owned(),
        FindingState::SourceError => return "its source does not answer: neither good nor bad".to_owned(),
        FindingState::BaselineFails => {
            return "the baseline fails too: nothing can be said of the canary".to_owned();
        }
        FindingState::CannotKnow => return "no method could tell from this evidence".to_owned(),
    }
    let needed = one_in(finding.against_needed_milli);
    if finding.against_milli < WORTH_SAYING_MILLI {
        return format!("nothing speaks against it ({needed} by chance would show it)");
    }
    let odds = one_in(finding.against_milli);
    if finding.shown {
        format!("worse than tolerated: a healthy version looks like this {odds} times at most")
    } else {
        format!("{odds} by chance if healthy; {needed} shows that it is worse")
    }
}

/// What is excluded, and what not yet.
fn excluded(finding: &MetricFinding, exclude_bp: Option<u32>) -> String {
    let (Some(have), Some(need), Some(bp)) = (finding.for_milli, finding.for_needed_milli, exclude_bp) else {
        return String::new();
    };
    if have >= need {
        return format!("{} the baseline is excluded (wrong {} times at most)", times(bp), one_in(need));
    }
    let percent = (i128::from(have.max(0)) * 100 / i128::from(need.max(1))).min(99);
    let left = match finding.wait_ms {
        Some(ms) if ms > 0 => format!(", about {} more at this traffic", ForPeople(ms)),
        _ => String::new(),
    };
    format!("{} the baseline is not excluded yet: {percent}% of the evidence needed{left}", times(bp))
}

fn query(flight: &Flight, metric: &MetricPolicy) -> Option<QueryView> {
    let sources = &flight.plan.analysis.sources;
    let (source, query) = sources.iter().find_map(|source| {
        let query = source.queries.iter().find(|query| query.metric == metric.name)?;
        Some((source, query))
    })?;
    let asked = |side: Side, version: &str| source.questions(&query.shape, side, version);
    let baseline = flight.compared_with();
    Some(QueryView {
        source: source.name.clone(),
        text: query.text.clone(),
        canary: asked(Side::Canary, flight.plan.version.name.as_str()),
        baseline: baseline.map(|version| asked(Side::Baseline, version.as_str())).unwrap_or_default(),
        how: query.shape.words(),
    })
}
