//! Following a release to its end: drawn live on a terminal, a line or an object per event elsewhere.

use std::time::{Duration, Instant};

use taxiway_api::{HistoryEntry, Status, Update};
use taxiway_model::decision::WaitingOn;
use taxiway_model::ids::{ReleaseId, StreamId};

use crate::client::{Client, Line, Lines};
use crate::error::{CliError, Code};
use crate::output::{self, Screen};
use crate::view;

/// How long to wait for a line before looking at the clock.
const WAIT: Duration = Duration::from_millis(250);

/// How long the resident process may be gone before that is an error.
const GONE_MAX: Duration = Duration::from_secs(20);

/// How what is followed is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// Drawn again and again, and taken away at the end: how it ended is the caller's to say.
    Live,
    /// A line per event.
    Lines,
    /// An object per event.
    Json,
}

impl Show {
    /// What fits the output.
    pub(crate) fn fitting(json: bool) -> Self {
        if json {
            Self::Json
        } else if output::is_watched() {
            Self::Live
        } else {
            Self::Lines
        }
    }
}

/// What ends the following before the release does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Until {
    /// The release has entered this step of its plan.
    pub(crate) step: Option<u16>,
    /// This much time has passed.
    pub(crate) timeout: Option<Duration>,
    /// The release waits for a person.
    pub(crate) person: bool,
}

/// Why the following ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The release is over.
    Ended(Box<HistoryEntry>),
    /// The step was entered.
    Step,
    /// It waits for a person, for this.
    Waiting(String),
    /// The time is over.
    TimedOut,
    /// Ctrl-C.
    Interrupted,
}

/// Follows one release.
#[derive(Debug)]
pub(crate) struct Follower<'a> {
    client: &'a Client,
    stream: &'a StreamId,
    release: &'a ReleaseId,
    show: Show,
    screen: Screen,
    from: u64,
}

impl<'a> Follower<'a> {
    /// Follows `release` from a place in the whole log on.
    pub(crate) fn new(
        client: &'a Client,
        stream: &'a StreamId,
        release: &'a ReleaseId,
        from: u64,
        show: Show,
    ) -> Self {
        Self { client, stream, release, show, screen: Screen::default(), from }
    }

    /// Follows until one of the ends.
    pub(crate) fn run(&mut self, until: &Until) -> Result<Ending, CliError> {
        let began = Instant::now();
        let mut lines = self.reopen()?;
        loop {
            if until.timeout.is_some_and(|timeout| began.elapsed() >= timeout) {
                return Ok(Ending::TimedOut);
            }
            match lines.next(WAIT) {
                Line::Text(text) => {
                    let Ok(update) = serde_json::from_slice::<Update>(&text) else { continue };
                    if let Some(ending) = self.take(&update, until) {
                        return Ok(ending);
                    }
                }
                Line::Nothing => {}
                Line::Interrupted => return Ok(Ending::Interrupted),
                Line::End => lines = self.reopen()?,
            }
        }
    }

    /// Opens the stream; a resident process that was killed is given time to come back. One that was
    /// stopped stays so: asking it again would wake it.
    fn reopen(&self) -> Result<Lines, CliError> {
        let began = Instant::now();
        loop {
            if self.client.data().is_stopped() {
                return Err(stopped(&format!("{} stays where it is", self.release)));
            }
            match self.open() {
                Err(error) if began.elapsed() > GONE_MAX => return Err(error),
                Err(_) => std::thread::sleep(WAIT),
                Ok(lines) => return Ok(lines),
            }
        }
    }

    fn open(&self) -> Result<Lines, CliError> {
        let StreamId { service, environment } = self.stream;
        let from = self.from;
        self.client.follow(&format!(
            "/v1/updates?after={from}&service={service}&environment={environment}&figures=true"
        ))
    }

    fn take(&mut self, update: &Update, until: &Until) -> Option<Ending> {
        match update {
            Update::Event { entry } => {
                self.from = entry.global;
                match self.show {
                    Show::Json => output::json(update),
                    Show::Lines if entry.kind != "evidence_recorded" => {
                        output::told(&view::log_line(entry, &output::paper()));
                    }
                    Show::Lines | Show::Live => {}
                }
                None
            }
            Update::Ended { entry } if entry.release == *self.release => {
                // What was drawn last is of before the end.
                self.screen.clear();
                Some(Ending::Ended(entry.clone()))
            }
            Update::Status { status } => self.status(status, until),
            Update::Ended { .. } | Update::Alive { .. } | Update::Lagged { .. } => None,
        }
    }

    fn status(&mut self, status: &Status, until: &Until) -> Option<Ending> {
        let flight = status.release.as_ref().filter(|flight| flight.id == *self.release)?;
        if self.show == Show::Live {
            self.screen.draw(&view::status(status, &output::screen_paper()));
        }
        if until.step.is_some_and(|step| flight.step >= step && flight.timings.step_at.is_some()) {
            return Some(Ending::Step);
        }
        let person = flight.waiting.iter().find_map(|on| match on {
            WaitingOn::Person { sentence, .. } => Some(sentence.clone()),
            _ => None,
        });
        person.filter(|_| until.person).map(Ending::Waiting)
    }
}

/// Somebody has stopped what was watched.
pub(crate) fn stopped(what: &str) -> CliError {
    CliError::new(Code::Unreachable, format!("it was stopped with `taxiway stop`; {what}"))
        .hint("`taxiway start` goes on from there, `taxiway status --watch` follows it")
}

/// The place where the log ends now.
pub(crate) fn head(client: &Client) -> Result<u64, CliError> {
    #[derive(serde::Deserialize)]
    struct Head {
        size: u64,
    }
    client.get::<Head>("/v1/log/checkpoint").map(|head| head.size)
}
