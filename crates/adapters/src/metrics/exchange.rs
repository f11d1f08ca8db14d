//! One exchange over HTTP with a source, within bounds on time and size; secrets stay within it.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use taxiway_model::metrics::{Credentials, Secret};

use crate::http::send;

/// The most an answer may be, in bytes: a hundred thousand series fill it.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The most series an answer may have: what a service with a thousand instances has.
pub(super) const SERIES_MAX: usize = 50_000;

/// Beyond the time limit the source was told, so that it can say itself that it took too long.
const GRACE: Duration = Duration::from_millis(500);

/// The most that is repeated of what a source says.
const SAID_CHARS_MAX: usize = 200;

/// A secret is a line, not a document.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Shorter secrets are not searched for in what a source says: they would be found in any word.
const SECRET_CHARS_MIN: usize = 4;

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

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::new(why)
    }
}

/// Secrets that were read for one question, with where each is kept.
#[derive(Default)]
pub(super) struct Secrets {
    values: Vec<(String, Secret)>,
}

impl Secrets {
    /// Reads a secret. It is remembered so that it can be kept out of everything that is said.
    pub(super) fn read(&mut self, secret: &Secret) -> Result<String, Failure> {
        let value = match secret {
            Secret::Env(name) => std::env::var(name).map_err(|_| "it is not set or is not UTF-8".to_owned()),
            Secret::File(path) => read_file(path),
        };
        let value = value.map_err(|why| format!("there is no secret in {secret}: {why}"))?;
        let value = value.trim_end_matches(['\n', '\r']).to_owned();
        if value.is_empty() || value.chars().any(char::is_control) {
            return Err(Failure::new(format!(
                "what is in {secret} is not a secret: it is empty or not one line"
            )));
        }
        self.values.push((value.clone(), secret.clone()));
        Ok(value)
    }

    /// The header that proves who asks.
    pub(super) fn header(&mut self, credentials: &Credentials) -> Result<(String, String), Failure> {
        Ok(match credentials {
            Credentials::Bearer(token) => {
                ("authorization".to_owned(), format!("Bearer {}", self.read(token)?))
            }
            Credentials::Token(token) => ("authorization".to_owned(), format!("Token {}", self.read(token)?)),
            Credentials::Basic { user, password } => {
                let both = BASE64_STANDARD.encode(format!("{user}:{}", self.read(password)?));
                self.values.push((both.clone(), password.clone()));
                ("authorization".to_owned(), format!("Basic {both}"))
            }
            Credentials::Header { name, value } => (name.clone(), self.read(value)?),
        })
    }

    /// A text without them.
    pub(super) fn without(&self, text: &str) -> String {
        let long = self.values.iter().filter(|(value, _)| value.chars().count() >= SECRET_CHARS_MIN);
        long.fold(text.to_owned(), |text, (value, _)| text.replace(value.as_str(), "***"))
    }

    /// Where they are kept, for people.
    fn places(&self) -> String {
        let mut places: Vec<String> = self.values.iter().map(|(_, secret)| secret.to_string()).collect();
        places.dedup();
        places.join(" and ")
    }
}

fn read_file(path: &str) -> Result<String, String> {
    let about = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if about.len() > SECRET_BYTES_MAX {
        return Err("the file is too large for one".to_owned());
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

/// What a source has answered.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) body: Bytes,
    /// The source's clock, seconds since the epoch; ours where it does not say.
    pub(super) at_s: f64,
}

/// Sends a request and takes a good answer. `said` finds in a bad one what the source says.
///
/// # Errors
/// One line for people, without a secret.
pub(super) async fn exchange(
    request: http::request::Builder,
    body: impl Into<Bytes>,
    limit: Duration,
    secrets: &Secrets,
    said: impl Fn(&serde_json::Value) -> Option<String>,
) -> Result<Reply, Failure> {
    let answer = match tokio::time::timeout(limit + GRACE, once(request, body.into(), secrets, said)).await {
        Ok(answer) => answer,
        Err(_) => Err(Failure::new(format!("no answer within {} ms", limit.as_millis()))),
    };
    answer.map_err(|failure| Failure { why: secrets.without(&failure.why), ..failure })
}

async fn once(
    request: http::request::Builder,
    body: Bytes,
    secrets: &Secrets,
    said: impl Fn(&serde_json::Value) -> Option<String>,
) -> Result<Reply, Failure> {
    let request: Request<Full<Bytes>> = request
        .header(header::USER_AGENT, concat!("taxiway/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(body))
        .map_err(|error| Failure::new(format!("this cannot be asked over HTTP: {error}")))?;
    let response = send(request).await.map_err(Failure::new)?;
    let status = response.status();
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let retry_after = text(header::RETRY_AFTER).and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let at = text(header::DATE).and_then(|text| httpdate::parse_http_date(text).ok());
    let at_s = seconds(at.unwrap_or_else(SystemTime::now));
    let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
    let body = body.map_err(|error| {
        Failure::new(if error.is::<http_body_util::LengthLimitError>() {
            format!("the answer has more than {} MiB; narrow the query", BODY_BYTES_MAX >> 20)
        } else {
            format!("the answer broke off: {error}")
        })
    })?;
    let body = body.to_bytes();
    if status.is_success() {
        return Ok(Reply { body, at_s });
    }
    let said = serde_json::from_slice(&body).ok().and_then(|value| said(&value)).unwrap_or_default();
    Err(Failure { why: refusal(status, &said, secrets), retry_after })
}

fn refusal(status: StatusCode, said: &str, secrets: &Secrets) -> String {
    let mut why = format!("it answers {status}");
    if !said.is_empty() {
        let _ = write!(why, ": {}", cut(said));
    }
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        let places = secrets.places();
        let _ = if places.is_empty() {
            write!(why, "; it wants `credentials`")
        } else {
            write!(why, "; look at {places}")
        };
    }
    why
}

/// Now, in seconds since the epoch.
pub(super) fn now_s() -> f64 {
    seconds(SystemTime::now())
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// What a source says is repeated on one line and not at length.
pub(super) fn cut(said: &str) -> String {
    said.chars().take(SAID_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Percent-encoding of everything that is not unreserved.
pub(super) fn encoded(text: &str) -> String {
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

    #[test]
    fn a_form_carries_any_query() {
        assert_eq!(encoded("a{b=\"ü\"} + 1"), "a%7Bb%3D%22%C3%BC%22%7D%20%2B%201");
    }

    #[test]
    fn secrets_stay_out_of_what_is_said_and_their_place_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token").display().to_string();
        std::fs::write(&path, "s3cr3t-token\n").expect("a file");
        let mut secrets = Secrets::default();
        let header = secrets.header(&Credentials::Bearer(Secret::File(path.clone()))).expect("it is there");
        assert_eq!(header.1, "Bearer s3cr3t-token");
        assert_eq!(secrets.without("no access for s3cr3t-token here"), "no access for *** here");
        let why = refusal(StatusCode::FORBIDDEN, "", &secrets);
        assert_eq!(why, format!("it answers 403 Forbidden; look at the file {path}"));
        let none = secrets.read(&Secret::Env("TAXIWAY_TEST_NOT_SET".to_owned())).expect_err("it is not set");
        assert!(none.why.contains("the environment variable TAXIWAY_TEST_NOT_SET"), "{none:?}");
    }
}
