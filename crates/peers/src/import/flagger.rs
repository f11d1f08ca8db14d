//! Flagger's canaries.

use taxiway_model::document::plain::{Misfit, Plain};

use super::argo::failures;
use super::{BuiltIn, Draft, DraftMetric, name, number};
use crate::flagger::{Check, canary};
use crate::signal::Signal;
use crate::span;

/// Misfits of templates come with their own index, the canary's as the inner result.
pub(super) fn draft(
    document: &Plain,
    templates: &[(usize, &Plain)],
) -> Result<Result<Draft, Misfit>, (usize, Misfit)> {
    let read =
        |(at, template): &(usize, &Plain)| canary::read_template(template).map_err(|misfit| (*at, misfit));
    let templates = templates.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(canary::read(document, &templates).map(|canary| of(&canary)))
}

fn of(canary: &canary::Canary) -> Draft {
    let mut draft = Draft { peer: "Flagger", name: name(&canary.name, &[]), ..Draft::default() };
    draft.notes.push(format!(
        "Flagger looks every {}, adds failed checks up over the whole release and rolls back on the tick after number {}; no \
         data and errors count alike. Here each bound is tested so that the stated false-alarm rate holds at every \
         look, and no data or an error holds the release instead.",
        span::show(canary.interval_ms),
        canary.threshold
    ));
    draft.steps = canary.weights.iter().map(|weight| (*weight, canary.interval_ms)).collect();
    if draft.steps.last().is_some_and(|(weight, _)| *weight < 100) {
        draft.notes.push(
            "Flagger promotes from its last weight by starting the old set anew with the new version; here the last \
             step takes all of the traffic."
                .to_owned(),
        );
        draft.steps.push((100, canary.interval_ms));
    }
    draft.steps.dedup_by_key(|(weight, _)| *weight);
    for webhook in &canary.webhooks {
        draft
            .left
            .push(format!("Left out: the webhook `{webhook}`; write it as one of `checks` in taxiway.yaml."));
    }
    for check in &canary.checks {
        carry(&mut draft, check);
    }
    draft
}

fn carry(draft: &mut Draft, check: &Check) {
    if check.is_built_in() {
        match built_in(check) {
            Some(metric) => draft.built_in.push(metric),
            None => draft.left.push(format!("Left out: `{}`, which has no bound that can fail.", check.name)),
        }
        return;
    }
    let Some(query) = check.query.as_deref().filter(|_| check.provider == "prometheus") else {
        let provider = &check.provider;
        draft.left.push(format!("Left out: `{}`, whose provider is {provider}; see `sources`.", check.name));
        return;
    };
    let query = query.trim();
    let mut notes = Vec::new();
    let (query, threshold) = match (Signal::of_query(query), check.range) {
        (Some(Signal::Latency { unit_us, .. }), [_, Some(max)]) => {
            (query.to_owned(), ("max_absolute_ms", number(max * unit_us / 1e3)))
        }
        (Some(Signal::Successes { scale }), [Some(min), _]) if failures(query).is_some() => {
            notes.push(format!(
                "A share of good requests of at least {min}, turned into one of failed requests."
            ));
            (failures(query).unwrap_or_default(), ("max_absolute", number(scale - min)))
        }
        (_, [_, Some(max)]) if max >= 0.0 => (query.to_owned(), ("max_absolute", number(max))),
        _ => {
            let why = "which bounds its value from below; turn the query around";
            draft.left.push(format!("Left out: `{}`, {why}.", check.name));
            return;
        }
    };
    if let [Some(min), Some(_)] = check.range {
        notes.push(format!("Its lower bound {min} was left out."));
    }
    if draft.url.is_none() {
        draft.url = check.address.clone().filter(|url| url.starts_with("http"));
    }
    let name = name(&check.name, &draft.metrics);
    let threshold = vec![threshold];
    draft.metrics.push(DraftMetric { notes, name, query, threshold, critical: true, required: true });
}

/// Flagger's own metrics are Taxiway's, measured by its proxy rather than by a mesh.
fn built_in(check: &Check) -> Option<BuiltIn> {
    match (check.name.as_str(), check.range) {
        ("request-success-rate", [Some(min), _]) if min > 0.0 && min < 100.0 => Some(BuiltIn {
            notes: vec![format!("Flagger: request-success-rate of at least {min}%.")],
            name: "error_rate",
            rollback_above: format!("{}%", number(100.0 - min)),
        }),
        ("request-duration", [_, Some(max)]) if max >= 1.0 => Some(BuiltIn {
            notes: vec![format!("Flagger: request-duration (p99) of at most {max} ms.")],
            name: "latency_p99",
            rollback_above: format!("{}ms", number(max)),
        }),
        _ => None,
    }
}
