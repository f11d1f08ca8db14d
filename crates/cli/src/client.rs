//! Talking to the resident process, and starting it when there is none.

mod http;
mod start;

pub(crate) use http::{Line, Lines};

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use taxiway_api::{Problem, Status};
use taxiway_model::ids::StreamId;

use crate::data::Data;
use crate::error::{CliError, Code};

/// How long one answer may take. The slowest, `log verify`, reads a million records in seconds.
const ANSWER_MS_MAX: u64 = 120_000;

/// Tries of a question whose answer was lost with the resident process. The keeper has another one
/// up within a second; more than this means that it cannot start.
const TRIES_MAX: u32 = 5;

/// What a verb needs of the resident process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// To read. After `stop` this starts nothing but a reader of the log.
    Read,
    /// To change something: everything is to run.
    Act,
}

/// A connection to the resident process of a data directory, made anew for each question.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    data: Data,
    need: Need,
}

impl Client {
    /// Makes sure that the resident process answers, starting it on demand.
    pub(crate) fn connect(data: &Data, need: Need) -> Result<Self, CliError> {
        start::ensure(data, need)?;
        Ok(Self { data: data.clone(), need })
    }

    /// The data directory.
    pub(crate) fn data(&self) -> &Data {
        &self.data
    }

    /// Reads something. Asked again when the resident process went away meanwhile.
    pub(crate) fn get<A: DeserializeOwned>(&self, path: &str) -> Result<A, CliError> {
        let mut tries = 1;
        loop {
            match self.exchange("GET", path, None) {
                Err(Lost::Gone(why)) if tries < TRIES_MAX => {
                    tracing::debug!(why, path, "asked again");
                    std::thread::sleep(Duration::from_millis(200));
                    start::ensure(&self.data, self.need)?;
                }
                other => return read(other),
            }
            tries += 1;
        }
    }

    /// Changes something. Not asked again by itself: the caller looks whether it was done.
    pub(crate) fn post<Q: Serialize, A: DeserializeOwned>(
        &self,
        path: &str,
        body: &Q,
    ) -> Result<A, CliError> {
        read(self.exchange("POST", path, Some(to_json(body))))
    }

    /// As [`Self::post`] for what may be done twice; asked again when the answer was lost.
    pub(crate) fn post_again<Q: Serialize, A: DeserializeOwned>(
        &self,
        path: &str,
        body: &Q,
    ) -> Result<A, CliError> {
        let first = self.exchange("POST", path, Some(to_json(body)));
        let Err(Lost::Gone(_)) = first else { return read(first) };
        std::thread::sleep(Duration::from_millis(500));
        start::ensure(&self.data, self.need)?;
        self.post(path, body)
    }

    /// Follows a stream of JSON lines.
    pub(crate) fn follow(&self, path: &str) -> Result<Lines, CliError> {
        start::ensure(&self.data, self.need)?;
        Lines::open(&self.data.socket(), path).map_err(gone)
    }

    /// The stream that is meant: the one named, or the only one there is.
    pub(crate) fn stream(&self, wanted: &Wanted) -> Result<StreamId, CliError> {
        let all: Vec<Status> = self.get("/v1/status")?;
        let fits = |status: &&Status| {
            wanted.service.as_deref().is_none_or(|name| status.service.as_str() == name)
                && wanted.environment.as_deref().is_none_or(|name| status.environment.as_str() == name)
        };
        let found: Vec<&Status> = all.iter().filter(fits).collect();
        let names = |statuses: &[&Status]| {
            let names = statuses.iter().map(|status| format!("{}/{}", status.service, status.environment));
            names.collect::<Vec<_>>().join(", ")
        };
        match found.as_slice() {
            [one] => Ok(StreamId { service: one.service.clone(), environment: one.environment.clone() }),
            [] if all.is_empty() => {
                let why = format!("nothing was ever released from {}", self.data.path().display());
                Err(CliError::new(Code::NoService, why)
                    .hint("begin with `taxiway release taxiway.yaml --version v1`"))
            }
            [] => {
                let why = format!("{wanted} is not among {}", names(&all.iter().collect::<Vec<_>>()));
                Err(CliError::new(Code::NoService, why).hint("`taxiway status` shows them all"))
            }
            several => Err(CliError::new(Code::SeveralServices, format!("there are {}", names(several)))
                .hint("choose with --service NAME and, where needed, --environment NAME")),
        }
    }

    fn exchange(&self, method: &str, path: &str, body: Option<Vec<u8>>) -> Result<http::Answer, Lost> {
        http::exchange(&self.data.socket(), method, path, body, Duration::from_millis(ANSWER_MS_MAX))
    }
}

/// Which stream is meant, as the command line says it.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub(crate) struct Wanted {
    /// The service, where the data directory has several
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Option<String>,
    /// The environment, where the service has several
    #[arg(long, value_name = "NAME")]
    pub(crate) environment: Option<String>,
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.service, &self.environment) {
            (Some(service), Some(environment)) => write!(f, "{service}/{environment}"),
            (Some(one), None) | (None, Some(one)) => f.write_str(one),
            (None, None) => f.write_str("any service"),
        }
    }
}

/// The path of something of a stream.
pub(crate) fn of_stream(what: &str, stream: &StreamId) -> String {
    format!("/v1/{what}/{}/{}", stream.service, stream.environment)
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The other side went away or was never there: whether it did something is not known.
    Gone(String),
    /// It is there and does not answer in time.
    Silent,
}

fn to_json<Q: Serialize>(body: &Q) -> Vec<u8> {
    serde_json::to_vec(body).expect("requests are plain data with string keys")
}

fn gone(why: String) -> CliError {
    CliError::new(Code::Unreachable, why).hint("try again; the keeper has it up again within a second")
}

fn read<A: DeserializeOwned>(answer: Result<http::Answer, Lost>) -> Result<A, CliError> {
    let answer = answer.map_err(|lost| match lost {
        Lost::Gone(why) => gone(why),
        Lost::Silent => {
            let why = format!("no answer within {} s", ANSWER_MS_MAX / 1_000);
            CliError::new(Code::Unreachable, why).hint("see resident.log in the data directory")
        }
    })?;
    let not_ours = |error: serde_json::Error| {
        let why = format!("the resident process speaks another version of the API: {error}");
        CliError::new(Code::Unreachable, why).hint("`taxiway stop`, then try again")
    };
    if (200..300).contains(&answer.status) {
        return serde_json::from_slice(&answer.body).map_err(not_ours);
    }
    Err(serde_json::from_slice::<Problem>(&answer.body).map_err(not_ours)?.into())
}
