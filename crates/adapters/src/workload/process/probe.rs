//! Questions to an instance, and how many answers in a row count.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use taxiway_model::route::UpstreamProtocol;
use taxiway_model::service::{Probe, ProbeAsk};
use taxiway_model::time::ForPeople;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::child::{self, End};

/// How often an instance that has just been started is asked at least: its owner's interval is about calm times.
const STARTING_INTERVAL: Duration = Duration::from_millis(200);

/// What is needed to ask: the placeholders in the probe's command already replaced.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) ask: ProbeAsk,
    pub(super) port: u16,
    pub(super) protocol: UpstreamProtocol,
    pub(super) timeout: Duration,
    pub(super) directory: String,
    pub(super) environment: BTreeMap<String, String>,
}

/// The answers to one probe.
#[derive(Debug)]
pub(super) struct Answers {
    /// Whether the instance passes: the first answers after a start count as failures until enough succeed.
    pub(super) passing: bool,
    successes: u32,
    failures: u32,
    next_at: Instant,
    pending: Option<oneshot::Receiver<Result<(), String>>>,
    /// The last failure in words.
    pub(super) last: String,
    /// The first failure of those in a row.
    pub(super) failing_since: Option<Instant>,
}

impl Answers {
    pub(super) fn new(passing: bool, now: Instant) -> Self {
        let last = "no answer yet".to_owned();
        Self { passing, successes: 0, failures: 0, next_at: now, pending: None, last, failing_since: None }
    }

    /// Takes an answer in, when there is one, and asks again when it is time.
    pub(super) fn step(
        &mut self,
        probe: &Probe,
        now: Instant,
        runtime: &Handle,
        question: impl FnOnce() -> Question,
    ) {
        if let Some(pending) = &mut self.pending {
            match pending.try_recv() {
                Ok(answer) => self.take(answer, probe, now),
                Err(oneshot::error::TryRecvError::Empty) => return,
                Err(oneshot::error::TryRecvError::Closed) => {
                    self.take(Err("the probe itself failed".to_owned()), probe, now);
                }
            }
        }
        if now >= self.next_at {
            let (send, receive) = oneshot::channel();
            let question = question();
            runtime.spawn(async move { drop(send.send(ask(question).await)) });
            self.pending = Some(receive);
        }
    }

    fn take(&mut self, answer: Result<(), String>, probe: &Probe, now: Instant) {
        self.pending = None;
        let usual = Duration::from_millis(probe.interval_ms.max(10));
        self.next_at = now + if self.passing { usual } else { usual.min(STARTING_INTERVAL) };
        match answer {
            Ok(()) => {
                self.failures = 0;
                self.failing_since = None;
                self.successes = self.successes.saturating_add(1);
                self.passing |= self.successes >= probe.success_after;
            }
            Err(why) => {
                self.last = why;
                self.successes = 0;
                self.failures = self.failures.saturating_add(1);
                self.failing_since.get_or_insert(now);
                self.passing &= self.failures < probe.failure_after.max(1);
            }
        }
    }
}

/// Asks once; a failure in one line.
async fn ask(question: Question) -> Result<(), String> {
    let timeout = question.timeout;
    let late = |what: &str| format!("{what} had no answer within {}", ForPeople(timeout.as_millis() as u64));
    match &question.ask {
        ProbeAsk::Http { path } => {
            let answer = tokio::time::timeout(timeout, get(&question, path)).await;
            answer.unwrap_or_else(|_| Err(late(&format!("GET {path}"))))
        }
        ProbeAsk::Tcp => {
            let address = (std::net::Ipv4Addr::LOCALHOST, question.port);
            let connect = tokio::net::TcpStream::connect(address);
            match tokio::time::timeout(timeout, connect).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => {
                    Err(hint(format!("port {} does not accept connections: {error}", question.port)))
                }
                Err(_) => Err(late("a connection")),
            }
        }
        ProbeAsk::Command { command } => {
            let name = command.first().cloned().unwrap_or_default();
            match run(&question, command).await {
                Ok(child::Ran { end: End::Exited(status), .. }) if status.success() => Ok(()),
                Ok(child::Ran { end: End::Exited(status), output, .. }) => {
                    let text = String::from_utf8_lossy(&output);
                    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
                    Err(format!("{name} {} {}", child::describe(status), last.trim()).trim_end().to_owned())
                }
                Ok(child::Ran { end: End::TimedOut, .. }) => Err(late(&name)),
                Err(error) => Err(format!("{name} could not be run: {error}")),
            }
        }
    }
}

async fn run(question: &Question, words: &[String]) -> std::io::Result<child::Ran> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(std::io::Error::other("the command is empty"));
    };
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).current_dir(&question.directory).env_clear().envs(&question.environment);
    child::run(command, question.timeout).await
}

async fn get(question: &Question, path: &str) -> Result<(), String> {
    let authority = format!("127.0.0.1:{}", question.port);
    let request = Request::builder()
        .uri(format!("http://{authority}{path}"))
        .header("user-agent", "taxiway-probe")
        .body(Full::new(Bytes::new()))
        .map_err(|error| format!("{path} cannot be asked for: {error}"))?;
    let response = match question.protocol {
        UpstreamProtocol::Http1 => crate::http::send(request).await,
        UpstreamProtocol::H2c => crate::http::send_h2c(request).await,
    };
    let response = response.map_err(hint)?;
    let status = response.status();
    if status.is_success() { Ok(()) } else { Err(format!("GET {path} was answered {}", status.as_u16())) }
}

fn hint(why: String) -> String {
    if why.starts_with("nothing listens") || why.contains("refused") {
        format!("{why}; does the command listen on {{port}} or $PORT?")
    } else {
        why
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_count_answers_in_a_row() {
        let probe = Probe {
            ask: ProbeAsk::Tcp,
            interval_ms: 1_000,
            timeout_ms: 100,
            success_after: 2,
            failure_after: 3,
        };
        let now = Instant::now();
        let mut answers = Answers::new(false, now);
        let mut passing = |answer: Result<(), &str>| {
            answers.take(answer.map_err(str::to_owned), &probe, now);
            answers.passing
        };
        assert!(!passing(Ok(())));
        assert!(!passing(Err("x")));
        assert!(!passing(Ok(())));
        assert!(passing(Ok(())));
        assert!(passing(Err("x")) && passing(Err("x")));
        assert!(passing(Ok(())), "two failures, then a success");
        assert!(passing(Err("x")) && passing(Err("x")));
        assert!(!passing(Err("y")));
        assert_eq!(answers.last, "y");
    }
}
