//! One question to the HTTP API of Prometheus, and its answer, within bounds on time and size.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use serde::Deserialize;

use crate::http::send;

/// The most an answer may be, in bytes: a hundred thousand series fill it.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The most series an answer may have: what a service with a thousand instances has.
pub(super) const SERIES_MAX: usize = 50_000;

/// Beyond the time limit the source was told, so that it can say itself that it took too long.
const GRACE: Duration = Duration::from_millis(500);

/// The most that is repeated of what a source says.
const SAID_CHARS_MAX: usize = 200;

/// A vector: labels and value of each series, and the moment it was evaluated for.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Vector {
    /// Seconds since the epoch, on the source's clock; none in an empty answer.
    pub(super) at_s: Option<f64>,
    pub(super) series: Vec<(BTreeMap<String, String>, f64)>,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// One line for people.
    pub(super) why: String,
    /// The source asked to be left alone for so long.
    pub(super) retry_after: Option<Duration>,
}

impl Failure {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), retry_after: None }
    }
}

#[derive(Deserialize)]
struct Envelope {
    status: String,
    #[serde(default)]
    data: Option<Data>,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    result_type: String,
    result: serde_json::Value,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

/// Asks for an instant vector.
pub(super) async fn ask(base: &str, query: &str, limit: Duration) -> Result<Vector, Failure> {
    match tokio::time::timeout(limit + GRACE, exchange(base, query, limit)).await {
        Ok(answer) => answer,
        Err(_) => Err(Failure::new(format!("no answer within {} ms", limit.as_millis()))),
    }
}

async fn exchange(base: &str, query: &str, limit: Duration) -> Result<Vector, Failure> {
    let uri = format!("{}/api/v1/query", base.trim_end_matches('/'));
    let body = format!("query={}&timeout={}ms", encoded(query), limit.as_millis());
    let request = Request::post(&uri)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, concat!("taxiway/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| Failure::new(format!("{uri} is not a URL: {error}")))?;
    let response = send(request).await.map_err(Failure::new)?;
    let status = response.status();
    let retry_after = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
    let body = body.map_err(|error| {
        Failure::new(if error.is::<http_body_util::LengthLimitError>() {
            format!("the answer has more than {} MiB; narrow the query", BODY_BYTES_MAX >> 20)
        } else {
            format!("the answer broke off: {error}")
        })
    })?;
    read(status, &body.to_bytes()).map_err(|why| Failure { why, retry_after })
}

fn read(status: StatusCode, body: &[u8]) -> Result<Vector, String> {
    let envelope = serde_json::from_slice::<Envelope>(body);
    if !status.is_success() {
        let said = envelope.map(|envelope| envelope.error).unwrap_or_default();
        return Err(format!("it answers {status}{}{}", if said.is_empty() { "" } else { ": " }, cut(&said)));
    }
    let envelope = envelope.map_err(|error| format!("the answer is not what Prometheus says: {error}"))?;
    if envelope.status != "success" {
        return Err(format!("it answers an error: {}", cut(&envelope.error)));
    }
    if let Some(warning) = envelope.warnings.first() {
        return Err(format!("the answer is not complete: {}", cut(warning)));
    }
    let data = envelope.data.ok_or("the answer has no data")?;
    if data.result_type != "vector" {
        return Err(format!("the answer is a {}, and a vector is needed", cut(&data.result_type)));
    }
    let series: Vec<Series> = serde_json::from_value(data.result)
        .map_err(|error| format!("the answer is not what Prometheus says: {error}"))?;
    if series.len() > SERIES_MAX {
        return Err(format!("{} series are more than {SERIES_MAX}; narrow the query", series.len()));
    }
    let mut vector = Vector { at_s: series.first().map(|one| one.value.0), series: Vec::new() };
    for one in series {
        // Prometheus writes +Inf and NaN; Rust reads both.
        let value = one.value.1.parse().map_err(|_| format!("`{}` is not a value", cut(&one.value.1)))?;
        vector.series.push((one.metric, value));
    }
    Ok(vector)
}

/// What a source says is repeated on one line and not at length.
fn cut(said: &str) -> String {
    said.chars().take(SAID_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `application/x-www-form-urlencoded`.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(byte.into()),
            _ => _ = write!(encoded, "%{byte:02X}"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, body: &str) -> String {
        read(StatusCode::from_u16(status).expect("a status"), body.as_bytes()).expect_err("no answer")
    }

    #[test]
    fn a_vector_is_read_with_its_values() {
        let body = r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"a":"b"},"value":[1700000000.5,"12"]},{"metric":{},"value":[1700000000.5,"NaN"]}]}}"#;
        let vector = read(StatusCode::OK, body.as_bytes()).expect("a vector");
        assert_eq!(vector.at_s, Some(1_700_000_000.5));
        assert_eq!(vector.series[0].1, 12.0);
        assert!(vector.series[1].1.is_nan());
    }

    #[test]
    fn what_is_no_vector_says_so() {
        assert!(said(503, "<html>").starts_with("it answers 503"));
        assert_eq!(
            said(422, r#"{"status":"error","error":"bad\nquery"}"#),
            "it answers 422 Unprocessable Entity: bad query"
        );
        assert!(said(200, "<html>").contains("not what Prometheus says"));
        assert!(
            said(200, r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#)
                .contains("matrix")
        );
        let partial = r#"{"status":"success","warnings":["a store is away"],"data":{"resultType":"vector","result":[]}}"#;
        assert!(said(200, partial).contains("not complete: a store is away"));
        let garbage =
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"x"]}]}}"#;
        assert!(said(200, garbage).contains("`x` is not a value"));
    }

    #[test]
    fn a_form_carries_any_query() {
        assert_eq!(encoded("a{b=\"ü\"} + 1"), "a%7Bb%3D%22%C3%BC%22%7D%20%2B%201");
    }
}
