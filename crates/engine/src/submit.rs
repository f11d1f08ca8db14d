//! Commands: answered at once, and a way back carried out at once.

use crate::ports::log;
use crate::stored::Cause;
use crate::tick::transition;
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
                let why = stream.log_trouble.clone().map_or_else(String::new, |(why, _)| why);
                return Err(Error::Log(log::Error::Unavailable(why)));
            }
            if let Some(why) = &stream.quarantine {
                return Err(Error::Quarantined(why.clone()));
            }
            let now = self.ports().clock.now();
            let events = handle(&stream.state, command, now)?;
            if events.is_empty() {
                return Ok(events);
            }
            let before = stream.state.seq;
            let decision = Decision {
                events: events.clone(),
                actions: Vec::new(),
                wake: None,
                report: Report::default(),
            };
            if transition(self, &mut stream, &decision, &cause) {
                if stream.state.seq == before + events.len() as u64 {
                    return Ok(events);
                }
                last = Some(log::Error::Unavailable("another writer was faster each time".to_owned()));
            } else {
                let why = stream.log_trouble.clone().map_or_else(String::new, |(why, _)| why);
                let back = events.iter().any(|event| matches!(event, Event::ReturnDecided { .. }));
                return if back { Ok(events) } else { Err(Error::Log(log::Error::Unavailable(why))) };
            }
        }
        Err(Error::Log(last.unwrap_or_else(|| log::Error::Unavailable("no answer".to_owned()))))
    }

    /// The state of a stream, for making a plan; an unknown stream is an empty one.
    pub fn state(&self, id: &StreamId) -> Environment {
        self.view(id).map_or_else(|| Environment::new(id.clone()), |view| view.state)
    }
}
