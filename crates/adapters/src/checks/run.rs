//! One attempt, from order to outcome.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use taxiway_model::decision::CheckOrder;
use taxiway_model::plan::CheckRun;
use taxiway_model::time::ForPeople;

use crate::child::{self, End, OUTPUT_BYTES_MAX};

use super::evidence::Evidence;

/// How much of an answer is read to look for the expected text.
const BODY_BYTES_MAX: usize = 1 << 20;

/// How much of an output or answer goes into the one line.
const SAID_CHARS_MAX: usize = 200;

/// What came of it.
struct Outcome {
    passed: bool,
    said: String,
    output: Vec<u8>,
    cut_bytes: u64,
}

impl Outcome {
    fn failed(said: String) -> Self {
        Self { passed: false, said, output: Vec::new(), cut_bytes: 0 }
    }
}

/// Runs the order to its end, at the latest to its time limit. `environment` is the whole one of a command.
pub(super) async fn run(order: &CheckOrder, environment: BTreeMap<String, String>) -> Evidence {
    let began = Instant::now();
    let timeout = Duration::from_millis(order.timeout_ms.max(1));
    let outcome = match &order.run {
        CheckRun::Http { .. } => {
            let asked = tokio::time::timeout(timeout, ask(order)).await;
            asked.unwrap_or_else(|_| {
                Outcome::failed(format!("no whole answer within {}", ForPeople(order.timeout_ms)))
            })
        }
        CheckRun::Command { command, directory } => execute(command, directory, environment, timeout).await,
    };
    Evidence {
        effect: order.effect.clone(),
        attempt: order.attempt,
        passed: outcome.passed,
        said: outcome.said,
        output: String::from_utf8_lossy(&outcome.output).into_owned(),
        cut_bytes: outcome.cut_bytes,
        took_ms: began.elapsed().as_millis() as u64,
    }
}

async fn execute(
    words: &[String],
    directory: &str,
    environment: BTreeMap<String, String>,
    timeout: Duration,
) -> Outcome {
    let Some((program, arguments)) = words.split_first() else {
        return Outcome::failed("the check's command is empty; name a program".to_owned());
    };
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).current_dir(directory).env_clear().envs(environment);
    let ran = match child::run(command, timeout).await {
        Ok(ran) => ran,
        Err(error) if !std::path::Path::new(directory).is_dir() => {
            return Outcome::failed(format!("the check's directory {directory} cannot be used: {error}"));
        }
        Err(error) => return Outcome::failed(format!("{program} could not be run: {error}")),
    };
    let text = String::from_utf8_lossy(&ran.output);
    let last = one_line(text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default());
    let (passed, ended) = match ran.end {
        End::Exited(status) => (status.success(), child::describe(status)),
        End::TimedOut => {
            let limit = ForPeople(timeout.as_millis() as u64);
            (false, format!("was still running after {limit} and was killed with everything it had started"))
        }
    };
    let said =
        if last.is_empty() { format!("{program} {ended}") } else { format!("{program} {ended}: {last}") };
    Outcome { passed, said, output: ran.output, cut_bytes: ran.cut_bytes }
}

async fn ask(order: &CheckOrder) -> Outcome {
    let CheckRun::Http { method, url, headers, body, expect_status, expect_body } = &order.run else {
        return Outcome::failed("not an HTTP check".to_owned());
    };
    // A query can hold a token; the line goes into the log.
    let shown = format!("{method} {}", url.split(['?', '#']).next().unwrap_or(url));
    let mut request = Request::builder().method(method.as_str()).uri(url);
    request = request.header("user-agent", "taxiway-check").header("idempotency-key", &order.effect);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let body = Bytes::from(body.clone().unwrap_or_default());
    let request = match request.body(Full::new(body)) {
        Ok(request) => request,
        Err(error) => return Outcome::failed(format!("{shown} is not a request: {error}")),
    };
    let response = match crate::http::send(request).await {
        Ok(response) => response,
        Err(why) => return Outcome::failed(format!("{shown}: {why}")),
    };
    let status = response.status();
    let (text, mut output, cut_bytes) = match read(response.into_body()).await {
        Ok((read, cut)) => (String::from_utf8_lossy(&read).into_owned(), read, cut),
        Err(why) => return Outcome::failed(format!("{shown} was answered {}, then {why}", status.as_u16())),
    };
    let cut_bytes = cut_bytes + output.len().saturating_sub(OUTPUT_BYTES_MAX) as u64;
    output.truncate(OUTPUT_BYTES_MAX);
    let (passed, said) = judge(status, &text, expect_status, expect_body.as_deref());
    Outcome { passed, said: format!("{shown} {said}"), output, cut_bytes }
}

fn judge(status: StatusCode, text: &str, expect_status: &[u16], expect_body: Option<&str>) -> (bool, String) {
    let code = status.as_u16();
    let expected = if expect_status.is_empty() { status.is_success() } else { expect_status.contains(&code) };
    if !expected {
        let wanted: Vec<String> = expect_status.iter().map(ToString::to_string).collect();
        let wanted = if wanted.is_empty() { "2xx".to_owned() } else { wanted.join(" or ") };
        return (false, format!("was answered {code}, expected {wanted}: {}", one_line(text)));
    }
    match expect_body {
        Some(wanted) if !text.contains(wanted) => (
            false,
            format!("was answered {code}, but the answer does not contain {wanted:?}: {}", one_line(text)),
        ),
        _ => (true, format!("was answered {code}")),
    }
}

/// The first [`BODY_BYTES_MAX`] bytes of an answer, and how many followed.
async fn read(mut body: hyper::body::Incoming) -> Result<(Vec<u8>, u64), String> {
    let (mut kept, mut cut) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("the answer broke off: {error}"))?;
        if let Ok(piece) = frame.into_data() {
            let room = piece.len().min(BODY_BYTES_MAX - kept.len());
            kept.extend_from_slice(&piece[..room]);
            cut += (piece.len() - room) as u64;
        }
    }
    Ok((kept, cut))
}

fn one_line(text: &str) -> String {
    let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    line.take(SAID_CHARS_MAX).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_texts_are_judged() {
        let ok = |status: u16, expected: &[u16], body: Option<&str>| {
            judge(StatusCode::from_u16(status).unwrap(), "{\"status\": \"up\"}", expected, body)
        };
        assert!(ok(204, &[], None).0);
        assert!(!ok(302, &[], None).0);
        assert!(ok(404, &[404, 410], None).0);
        assert_eq!(
            ok(200, &[404, 410], None).1,
            "was answered 200, expected 404 or 410: {\"status\": \"up\"}"
        );
        assert!(ok(200, &[], Some("\"up\"")).0);
        assert!(!ok(200, &[], Some("down")).0);
        assert!(!ok(500, &[], Some("up")).0);
    }
}
