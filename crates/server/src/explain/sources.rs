//! Where evidence comes from: whether it answers, since when not, and what happens then.

use taxiway_api::{SourceState, SourceView};
use taxiway_decide::environment::Flight;
use taxiway_engine::View;
use taxiway_model::metrics::Source;
use taxiway_model::observation::{MetricsStatus, Observed};
use taxiway_model::policy::{MetricPolicy, Missing};
use taxiway_model::time::{ForPeople, Timestamp};

/// Target, router, and every source of metrics of the plan.
pub(super) fn views(view: &View, flight: &Flight, now: Timestamp) -> Vec<SourceView> {
    let limit = ForPeople(flight.plan.deadlines.source_ms).to_string();
    let back = format!("holds while it is silent, goes back after {limit}");
    let seen = view.seen.as_ref();
    let mut views = vec![
        port("target", seen.map(|seen| &seen.workload).map(plain), &back, now),
        port("router", seen.map(|seen| &seen.traffic).map(plain), &back, now),
    ];
    let metrics = seen.and_then(|seen| seen.metrics.as_ref());
    for source in &flight.plan.analysis.sources {
        views.push(of_metrics(source, metrics, flight, now));
    }
    views
}

/// Since when it is silent, and why; none where it answers.
type Silence<'a> = Option<(Timestamp, &'a str)>;

fn plain<T>(observed: &Observed<T>) -> Silence<'_> {
    match observed {
        Observed::Known(_) => None,
        Observed::Unknown { since, why } => Some((*since, why)),
    }
}

fn port(name: &str, seen: Option<Silence<'_>>, policy: &str, now: Timestamp) -> SourceView {
    let state = match seen {
        None => SourceState::NotAsked,
        Some(None) => SourceState::Answering,
        Some(Some(_)) => SourceState::Silent,
    };
    let silence = seen.flatten();
    SourceView {
        name: name.to_owned(),
        state,
        silent_ms: silence.map(|(since, _)| now.since_ms(since)),
        why: silence.map(|(_, why)| why.to_owned()).unwrap_or_default(),
        next_ms: None,
        policy: policy.to_owned(),
    }
}

fn of_metrics(
    source: &Source,
    seen: Option<&Observed<MetricsStatus>>,
    flight: &Flight,
    now: Timestamp,
) -> SourceView {
    let policy = policy(source, flight);
    let name = source.name.as_str();
    let status = match seen {
        None => return port(name, None, &policy, now),
        Some(Observed::Unknown { since, why }) => return port(name, Some(Some((*since, why))), &policy, now),
        Some(Observed::Known(status)) => status,
    };
    let of = |metrics: &std::collections::BTreeMap<_, String>| {
        let first =
            source.queries.iter().find_map(|query| Some((&query.metric, metrics.get(&query.metric)?)));
        first.map(|(metric, why)| format!("{metric}: {why}"))
    };
    let answered = source.queries.iter().any(|query| status.since_window.contains_key(&query.metric));
    let (state, why) = match (of(&status.trouble), of(&status.nothing)) {
        (Some(why), _) => (SourceState::Silent, why),
        (None, Some(why)) => (SourceState::Nothing, why),
        (None, None) if answered => (SourceState::Answering, String::new()),
        (None, None) => (SourceState::NotAsked, String::new()),
    };
    let silent = state != SourceState::Answering && state != SourceState::NotAsked;
    let retry = source.queries.iter().find_map(|query| status.retries.get(&query.metric));
    let retry = retry.filter(|_| state == SourceState::Silent);
    // The log knows since when the release holds for it; whoever asks may know better.
    let held = flight.source.as_ref().map(|(_, since, _)| *since);
    let since = retry.map(|retry| retry.since).or(held).filter(|_| silent);
    let silent_ms = since.map(|since| now.since_ms(since));
    let next_ms = retry.map(|retry| retry.next.since_ms(now));
    SourceView { name: name.to_owned(), state, silent_ms, why, next_ms, policy }
}

/// What the strictest of its metrics asks for.
fn policy(source: &Source, flight: &Flight) -> String {
    let metrics = &flight.plan.analysis.metrics;
    let mine = |metric: &&MetricPolicy| source.queries.iter().any(|query| query.metric == metric.name);
    let any = |wanted: Missing| metrics.iter().filter(mine).any(|metric| metric.on_error == wanted);
    let limit = ForPeople(flight.plan.deadlines.source_ms);
    if any(Missing::Rollback) {
        format!("holds while it is silent, goes back after {limit}")
    } else if any(Missing::Hold) {
        "holds while it is silent, until a person says otherwise".to_owned()
    } else {
        "goes on without it".to_owned()
    }
}
