//! What users said, as it is taken in and as it is shown.

use taxiway_api::{CommandAnswer, FeedbackRequest, FeedbackView, Problem, Said};
use taxiway_decide::environment::{Environment, Flight, Past};
use taxiway_decide::feedback::{Tally, usual};
use taxiway_model::command::Command;
use taxiway_model::feedback::{Feedback, KEY_CHARS_MAX, Kind, cleaned, user_digest};
use taxiway_model::ids::{InvalidName, ReleaseId, VersionName};
use taxiway_model::plan::Plan;
use taxiway_model::record::Actor;
use taxiway_model::time::{ForPeople, Timestamp};

use crate::desk::Desk;
use crate::problems::bad_argument;

impl Desk {
    /// Keeps what a user said. The release in flight goes back where it makes a spike of problems.
    pub fn feedback(
        &self,
        request: &FeedbackRequest,
        actor: &str,
        origin: &str,
    ) -> Result<CommandAnswer, Problem> {
        let stream = self.stream_meant(
            request.service.as_deref(),
            request.environment.as_deref(),
            request.release.as_deref(),
        )?;
        let feedback = read(request, stream.service.as_str())?;
        let command = Command::Feedback { feedback: Box::new(feedback) };
        self.submit(&stream, &command, Actor::Person(actor.to_owned()), origin, "")
    }
}

fn read(request: &FeedbackRequest, service: &str) -> Result<Feedback, Problem> {
    if let Some(rating) = request.rating.filter(|rating| !(1..=5).contains(rating)) {
        return Err(bad_argument(format!("the rating is {rating}; it goes from 1 (bad) to 5 (good)")));
    }
    if request.rating.is_none() && request.text.trim().is_empty() && request.kind.is_none() {
        return Err(bad_argument("there is neither a rating nor a text nor a kind".to_owned()));
    }
    let name = |error: InvalidName| bad_argument(error.to_string());
    Ok(Feedback {
        release: request.release.clone().map(ReleaseId::new).transpose().map_err(name)?,
        step: None,
        version: request.version.clone().map(VersionName::new).transpose().map_err(name)?,
        kind: request.kind.unwrap_or(Kind::of_rating(request.rating)),
        rating: request.rating,
        text: request.text.clone(),
        user: request.user.as_ref().map(|user| user_digest(service, user)),
        key: request.key.as_ref().map(|key| cleaned(key, KEY_CHARS_MAX)),
    })
}

/// Of the release in flight, else since the last one ended.
pub(crate) fn now(state: &Environment) -> FeedbackView {
    match &state.flight {
        Some(flight) => of_flight(state, flight),
        None => view(&state.at_rest.tally, &state.at_rest.latest, state.plan.as_ref()),
    }
}

/// Of a release in flight.
pub(crate) fn of_flight(state: &Environment, flight: &Flight) -> FeedbackView {
    // Less than a minute says nothing to a person.
    let words = usual(state, flight).filter(|usual| usual.over_ms >= 60_000).map(|usual| {
        let problems = usual.problems;
        let word = if problems == 1 { "problem" } else { "problems" };
        format!("{problems} {word} in {} before this release", ForPeople(usual.over_ms))
    });
    FeedbackView { usual: words, ..view(&flight.heard.tally, &flight.heard.latest, Some(&flight.plan)) }
}

/// Of a release that has ended: how much, without the pieces, which are in the log.
pub(crate) fn of_past(past: &Past) -> FeedbackView {
    view(&past.feedback, &[], None)
}

fn view(tally: &Tally, latest: &[(Timestamp, Feedback)], plan: Option<&Plan>) -> FeedbackView {
    FeedbackView {
        all: tally.all,
        problems: tally.problems,
        praise: tally.praise,
        rating_centi: (tally.stars * 100).checked_div(tally.rated),
        usual: None,
        latest: latest.iter().map(|(at, feedback)| said(*at, feedback, plan)).collect(),
    }
}

fn said(at: Timestamp, feedback: &Feedback, plan: Option<&Plan>) -> Said {
    let step = feedback.step.zip(plan).and_then(|(index, plan)| plan.step(index));
    Said {
        at,
        release: feedback.release.clone(),
        step: step.map(|step| step.name.to_string()),
        kind: feedback.kind,
        rating: feedback.rating,
        text: feedback.text.clone(),
    }
}
