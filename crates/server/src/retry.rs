//! Once more: what failed is tried again, because a person says so.

use taxiway_api::{CommandAnswer, CommandRequest, Problem};
use taxiway_model::command::{Command, Refusal, RefusalCode};
use taxiway_model::event::{Event, Hold, Outcome};
use taxiway_model::ids::StreamId;

use crate::desk::Desk;
use crate::log;

impl Desk {
    /// Tries again. A release that a failed check holds runs its checks again; a release that has
    /// ended without being released starts anew under its own plan. The command in the request
    /// says nothing here.
    pub fn retry(&self, request: &CommandRequest) -> Result<CommandAnswer, Problem> {
        let stream = &request.stream;
        let state = self.engine.state(stream);
        let command = match &state.flight {
            Some(flight) if flight.holds.contains(&Hold::Check) || flight.holds.contains(&Hold::Evidence) => {
                Command::Resume
            }
            Some(flight) => {
                return Err(refusal(
                    RefusalCode::NotWaiting,
                    format!("{} is under way and has not failed", flight.release),
                    "`taxiway explain` says what it waits for",
                ));
            }
            None => self.start_of_last(stream)?,
        };
        self.command(&CommandRequest { command, ..request.clone() })
    }

    fn start_of_last(&self, stream: &StreamId) -> Result<Command, Problem> {
        let state = self.engine.state(stream);
        let Some(last) = state.history.last().filter(|past| past.outcome != Outcome::Released) else {
            return Err(refusal(
                RefusalCode::NothingInFlight,
                format!("nothing of {stream} has failed last"),
                "`taxiway history` shows what has ended; release another version with `taxiway release`",
            ));
        };
        let mut found = None;
        log::each(&self.engine, stream, |recorded| {
            if let Event::ReleaseAccepted { release, plan, .. } = &recorded.event
                && release == &last.release
            {
                found = Some(plan.clone());
            }
            Ok(())
        })?;
        let mut plan = found.ok_or_else(|| crate::problems::no_stream(stream))?;
        plan.baseline.clone_from(&state.stable);
        Ok(Command::Start { plan, again: true })
    }
}

fn refusal(code: RefusalCode, why: String, next: &str) -> Problem {
    Refusal { code, why, next: next.to_owned() }.into()
}
