//! Argo's templates.

use std::collections::BTreeMap;

use taxiway_model::document::plain::{Misfit, Plain};

use super::{Draft, DraftMetric, name, number};
use crate::argo::{Condition, Metric, template};
use crate::signal::{Signal, divided};
use crate::span;

pub(super) fn begin() -> Draft {
    let note = "Argo compares the canary with a fixed bound each interval and counts failures over the whole run; here each \
                bound is tested so that the stated false-alarm rate holds at every look, and no traffic or an error of \
                the source is neither a pass nor a failure.";
    Draft { peer: "Argo Rollouts", notes: vec![note.to_owned()], ..Draft::default() }
}

pub(super) fn add(
    draft: &mut Draft,
    document: &Plain,
    arguments: &BTreeMap<String, String>,
) -> Result<(), Misfit> {
    let template = template::read(document, arguments)?;
    if draft.name.is_empty() {
        draft.name = name(&template.name, &[]);
    }
    draft.includes.extend(template.includes.iter().cloned());
    draft.templates.push(template.name.clone());
    for kept in &template.retention {
        draft.left.push(format!(
            "Without a counterpart: `measurementRetention` ({kept}); every window is kept in the log."
        ));
    }
    for metric in &template.metrics {
        carry(draft, metric);
    }
    Ok(())
}

/// Which way a value is bounded.
enum Bound {
    Most(f64),
    Least(f64),
}

fn bound(metric: &Metric) -> Option<Bound> {
    let succeeds = metric.success.as_ref().and_then(Condition::bound);
    let fails = metric.failure.as_ref().and_then(Condition::bound);
    // What fails decides; where nothing does, what does not succeed.
    match (fails, succeeds) {
        (Some((">" | ">=", at)), _) | (None, Some(("<" | "<=", at))) => Some(Bound::Most(at)),
        (Some((_, at)), _) | (None, Some((_, at))) => Some(Bound::Least(at)),
        (None, None) => None,
    }
}

fn carry(draft: &mut Draft, metric: &Metric) {
    let mut leave = |why: String| draft.left.push(format!("Left out: `{}`, {why}.", metric.name));
    if let Some(why) = elsewhere(metric) {
        leave(why);
        return;
    }
    let Some(query) = metric.query.as_deref().filter(|_| metric.provider == "prometheus" && !metric.is_range)
    else {
        let range =
            if metric.is_range { ", which asks for the samples of a span (`rangeQuery`)" } else { "" };
        leave(format!("whose provider is {}{range}; see `sources` of the reference", metric.provider));
        return;
    };
    let Some(bound) = bound(metric) else {
        let words = [&metric.success, &metric.failure].map(|it| it.as_ref().map_or("", |it| it.text()));
        leave(format!("whose condition is not one bound on the value: {}", words.join(" ").trim()));
        return;
    };
    let Some((query, threshold, mut notes)) = bounded(query, &bound) else {
        leave("which bounds its value from below; turn the query around".to_owned());
        return;
    };
    if query.contains("{{") {
        notes.push("The query has arguments without a value: write them in.".to_owned());
    }
    notes.extend(differences(metric));
    if metric.success.is_some() && metric.failure.is_some() {
        notes.push(
            "Between its two conditions Argo pauses the rollout; here only the failing one is kept."
                .to_owned(),
        );
    }
    if draft.url.is_none() {
        draft.url = metric.address.clone().filter(|url| url.starts_with("http") && !url.contains("{{"));
    }
    let name = name(&metric.name, &draft.metrics);
    let required = !metric.dry_run;
    draft.metrics.push(DraftMetric { notes, name, query, threshold, critical: true, required });
}

/// What a metric that is no query becomes, said with the words to write; none of queries.
fn elsewhere(metric: &Metric) -> Option<String> {
    match metric.provider.as_str() {
        "job" => {
            let command = if metric.command.is_empty() {
                "[…]".to_owned()
            } else {
                serde_json::to_string(&metric.command).expect("texts are texts")
            };
            Some(format!(
                "a job, which passes or fails; in taxiway.yaml it is a check: `checks: [{{name: {}, at: each_step, command: \
                 {command}}}]`, its image's files beside it",
                metric.name
            ))
        }
        "web" => {
            let path = metric.json_path.as_deref().unwrap_or("{$}").trim_matches(['{', '}']);
            let url = metric.address.as_deref().unwrap_or("http://…");
            let bounds = match bound(metric) {
                Some(Bound::Most(at)) => format!(", rollback_above: {}", number(at)),
                Some(Bound::Least(at)) => format!(", rollback_below: {}", number(at)),
                None => String::new(),
            };
            Some(format!(
                "a web request; in taxiway.yaml it is a source, asked once a side: `analysis: {{sources: {{web: {{json: \
                 {{url: {}}}}}}}, metrics: {{{}: {{source: web, value: {}{bounds}}}}}}}` with {{version}} or {{side}} in \
                 the URL where the sides differ",
                serde_json::to_string(url).expect("a text is a text"),
                name(&metric.name, &[]),
                serde_json::to_string(path).expect("a text is a text"),
            ))
        }
        _ => None,
    }
}

type Bounded = (String, Vec<(&'static str, String)>, Vec<String>);

/// The query with its bound from above; shares of good requests are turned around.
fn bounded(query: &str, bound: &Bound) -> Option<Bounded> {
    let query = query.trim();
    let most = |value: f64| vec![("max_absolute", number(value))];
    match (Signal::of_query(query), bound) {
        (Some(Signal::Latency { unit_us, .. }), Bound::Most(at)) => {
            Some((query.to_owned(), vec![("max_absolute_ms", number(at * unit_us / 1e3))], Vec::new()))
        }
        (Some(Signal::Successes { scale }), Bound::Least(at)) => {
            let turned = failures(query)?;
            let note =
                format!("A share of good requests of at least {at}, turned into one of failed requests.");
            Some((turned, most(scale - at), vec![note]))
        }
        (_, Bound::Most(at)) if *at >= 0.0 => Some((query.to_owned(), most(*at), Vec::new())),
        _ => None,
    }
}

/// A share of good requests as one of failed requests: the matcher of the numerator that chooses them, negated.
pub(super) fn failures(query: &str) -> Option<String> {
    let (numerator, rest) = divided(query)?;
    let swapped = [("!~", "=~"), ("!=", "="), ("=~", "!~")].iter().find_map(|(from, to)| {
        let mut places =
            numerator.match_indices(from).map(|(at, _)| (&numerator[..at], &numerator[at + from.len()..]));
        let (before, after) = places.find(|(_, after)| {
            let value = after.trim_start().trim_start_matches(['"', '\'']);
            value.starts_with(['5', '2', '(']) || value.starts_with("error")
        })?;
        Some(format!("{before}{to}{after}"))
    })?;
    Some(format!("{swapped}/{rest}"))
}

fn differences(metric: &Metric) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(ms) = metric.interval_ms {
        let limit = metric.failure_limit;
        notes.push(format!(
            "Argo: every {}, {} of {} measurements may fail (failureLimit {limit}); here the evidence decides when.",
            span::show(ms),
            if limit < 0 { "any number".to_owned() } else { limit.to_string() },
            metric.count.map_or_else(|| "all".to_owned(), |count| count.to_string())
        ));
    } else {
        notes.push("Argo measures it once; here it is looked at all the time.".to_owned());
    }
    if let Some(limit) = metric.success_limit {
        notes.push(format!(
            "Argo passes it after {limit} successes in a row; here a step passes by its time and evidence."
        ));
    }
    if metric.delay_ms > 0 {
        notes.push(format!(
            "Argo waits {} first; see `target.warm_up` and `from_step`.",
            span::show(metric.delay_ms)
        ));
    }
    notes
}
