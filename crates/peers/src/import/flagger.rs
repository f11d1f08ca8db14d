//! Flagger's canaries.

use taxiway_model::document::plain::{Misfit, Plain};

use super::argo::failures;
use super::{BuiltIn, Draft, DraftCheck, DraftMetric, name, number};
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
    if let (canary::Strategy::BlueGreen | canary::Strategy::Users, Some(checks)) =
        (canary.strategy, canary.advances)
    {
        let ms = span::show(checks.saturating_mul(canary.interval_ms));
        let what = if canary.strategy == canary::Strategy::Users {
            format!(
                "shows it to users with certain headers for {ms}: see `traffic.rules`, and a first step of so long"
            )
        } else {
            format!(
                "tests it behind the running version for {ms} and then takes all at once: `strategy: blue_green`"
            )
        };
        draft.left.push(format!("Its iterations have no weights: Flagger {what}."));
    }
    for key in &canary.others {
        draft.left.extend(other(key).map(|sentence| format!("Left out: `{key}`; {sentence}.")));
    }
    for webhook in &canary.webhooks {
        hook(&mut draft, webhook);
    }
    for check in &canary.checks {
        carry(&mut draft, check);
    }
    draft
}

/// What stands for a key here.
fn other(key: &str) -> Option<&'static str> {
    Some(match key {
        "mirror" => {
            "a first step with `weight: 0%` and `mirror` does the same, in `strategy.steps` of taxiway.yaml"
        }
        "stepWeightPromotion" => "there is no second rollout, the new version's instances stay",
        "primaryReadyThreshold" | "canaryReadyThreshold" => {
            "every instance has to be ready, see `target.readiness`"
        }
        "alerts" => "watch `taxiway log --follow`, or ask `taxiway status --json`",
        "sessionAffinity" => "users stay where they are, see `traffic.sticky`",
        // Told with the iterations it belongs to.
        _ => return None,
    })
}

/// A webhook as a check of every release, where one stands for it.
fn hook(draft: &mut Draft, webhook: &canary::Webhook) {
    let canary::Webhook { name: given, kind, url } = webhook;
    let (at, on_failure, note) = match kind.as_str() {
        "rollout" => (
            "each_step",
            "rollback",
            "Flagger calls it at every interval, and adds its failures to those of metrics",
        ),
        "pre-rollout" => {
            ("start", "rollback", "Flagger calls it again until its failures reach the threshold")
        }
        "post-rollout" => ("end", "continue", "Flagger calls it after a rollback too"),
        "confirm-rollout" => {
            ("start", "hold", "Flagger asks again until it passes; here a person does: `taxiway retry`")
        }
        "confirm-traffic-increase" => {
            ("each_step", "hold", "Flagger asks again until it passes; here a person does: `taxiway retry`")
        }
        "confirm-promotion" => {
            draft.left.push(format!(
                "Left out: the gate `{given}` (confirm-promotion); write `approval: true` at the last step, in `strategy` \
                 of taxiway.yaml."
            ));
            return;
        }
        "rollback" => {
            draft.left.push(format!(
                "Left out: the webhook `{given}` (rollback), which is asked; here whoever knows says so, by `taxiway signal` \
                 or a request to /v1/hooks/signal."
            ));
            return;
        }
        _ => {
            draft.left.push(format!(
                "Left out: the webhook `{given}` ({kind}), which is told what happens; `taxiway log --follow --json` has it."
            ));
            return;
        }
    };
    let mut notes =
        vec![format!("Flagger: a webhook of type {kind}, a POST with the canary's name and phase. {note}.")];
    if kind == "rollout" && given.contains("load") {
        notes.push(
            "It seems to make load rather than to check; leave it out where there is traffic.".to_owned(),
        );
    }
    draft.checks.push(DraftCheck { notes, name: name(given, &[]), at, on_failure, url: url.clone() });
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
