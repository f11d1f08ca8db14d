//! Commands: answered at once, and a way back carried out at once.

use crate::execute;
use crate::ports::log;
use crate::ports::traffic;
use crate::stored::Cause;
use crate::stream::Stream;
use crate::tick::{Recorded, transition};
use crate::{Engine, lock};
use taxiway_decide::environment::Environment;
use taxiway_decide::handle;
use taxiway_model::command::{Command, Refusal};
use taxiway_model::decision::{Decision, Report};
use taxiway_model::event::Event;
use taxiway_model::ids::StreamId;
use taxiway_model::record::Actor;

/// Why a command had no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It was understood and refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It could not be recorded. A way back was carried out all the same.
    #[error("the command could not be recorded: {0}")]
    Log(#[from] log::Error),
    /// The stream is quarantined.
    #[error("{0}")]
    Quarantined(String),
}

/// Tries before a conflict with another writer is reported.
const TRIES_MAX: u32 = 8;

impl Engine {
    /// Answers a command. The caller makes the stream tick afterwards (`Runner::kick`).
    pub fn submit(
        &self,
        id: &StreamId,
        command: &Command,
        actor: Actor,
        origin: &str,
        reason: &str,
    ) -> Result<Vec<Event>, Error> {
        let stream = self.stream(id);
        let mut stream = lock(&stream);
        let cause = Cause { actor, origin: origin.to_owned(), reason: reason.to_owned() };
        let mut last = None;
        for _ in 0..TRIES_MAX {
            stream.load(self);
            if !stream.is_loaded() {
                if is_way_back(command) {
                    back_unread(self, &mut stream);
                }
                return Err(Error::Log(log::Error::Unavailable(stream.trouble())));
            }
            stream.settle(self);
            if let Some(why) = &stream.quarantine {
                return Err(Error::Quarantined(why.clone()));
            }
            let now = self.now();
            let events = handle(&stream.state, command, now)?;
            if events.is_empty() {
                return Ok(events);
            }
            let decision = Decision {
                events: events.clone(),
                actions: Vec::new(),
                wake: None,
                report: Report::default(),
            };
            match transition(self, &mut stream, &decision, &cause) {
                Recorded::Yes => return Ok(events),
                Recorded::Overtaken => {
                    last = Some(log::Error::Unavailable("another writer was faster each time".to_owned()));
                }
                Recorded::No => {
                    let back = events.iter().any(|event| matches!(event, Event::ReturnDecided { .. }));
                    let why = stream.trouble();
                    return if back { Ok(events) } else { Err(Error::Log(log::Error::Unavailable(why))) };
                }
            }
        }
        Err(Error::Log(last.unwrap_or_else(|| log::Error::Unavailable("no answer".to_owned()))))
    }

    /// The state of a stream, for making a plan; an unknown stream is an empty one.
    pub fn state(&self, id: &StreamId) -> Environment {
        self.view(id).map_or_else(|| Environment::new(id.clone()), |view| view.state)
    }
}

/// Commands whose one effect is that the canary gets nothing.
fn is_way_back(command: &Command) -> bool {
    matches!(command, Command::Abort | Command::Rollback { to: None } | Command::Signal { .. })
}

/// A way back while the log cannot even be read: the router alone knows what is in force. Once the
/// log can be read again, its being ahead of the log makes the release return for good.
fn back_unread(engine: &Engine, stream: &mut Stream) {
    let id = stream.state.stream.clone();
    match engine.ports().traffic.counts(&id) {
        Ok(snapshot) => execute::to_baseline(engine.ports(), stream, snapshot.generation.next()),
        Err(traffic::Error::NoTable(_)) => {}
        Err(error) => tracing::error!(%error, "the way back did not reach the router; its lease runs out"),
    }
}
