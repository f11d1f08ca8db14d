//! One exchange over HTTP with a source, within bounds on time and size; secrets stay within it.

use std::fmt::Write as _;
use std::io::Read as _;
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// One line for people.
    pub why: String,
    /// The source asked to be left alone for so long.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure with its reason, one line.
    pub fn new(why: impl Into<String>) -> Self {
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

    /// What is told where the source does not accept who asks.
    pub(super) fn refused(&self, why: &str) -> String {
        let places = self.places();
        let next =
            if places.is_empty() { "it wants `credentials`".to_owned() } else { format!("look at {places}") };
        format!("the credentials are refused: {why}; {next}")
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

/// What a source says of its refusal.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) text: String,
    /// Whether it is about who asks, whatever the status.
    pub(super) of_credentials: bool,
}

impl From<String> for Said {
    fn from(text: String) -> Self {
        Self { text, of_credentials: false }
    }
}

/// Sends a request and takes a good answer. `said` finds in a bad one what the source says.
///
/// # Errors
/// One line for people, without a secret.
pub(super) async fn exchange<S: Into<Said>>(
    request: http::request::Builder,
    body: impl Into<Bytes>,
    limit: Duration,
    secrets: &Secrets,
    said: impl Fn(&serde_json::Value) -> Option<S>,
) -> Result<Reply, Failure> {
    let answer = match tokio::time::timeout(limit + GRACE, once(request, body.into(), secrets, said)).await {
        Ok(answer) => answer,
        Err(_) => Err(Failure::new(format!("no answer within {} ms", limit.as_millis()))),
    };
    answer.map_err(|failure| Failure { why: secrets.without(&failure.why), ..failure })
}

async fn once<S: Into<Said>>(
    request: http::request::Builder,
    body: Bytes,
    secrets: &Secrets,
    said: impl Fn(&serde_json::Value) -> Option<S>,
) -> Result<Reply, Failure> {
    let request: Request<Full<Bytes>> = request
        .header(header::USER_AGENT, concat!("taxiway/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(body))
        .map_err(|error| Failure::new(format!("this cannot be asked over HTTP: {error}")))?;
    let response = send(request).await.map_err(Failure::new)?;
    let status = response.status();
    let head = Head::of(response.headers());
    let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
    let body = body.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            too_large()
        } else {
            Failure::new(format!("the answer broke off: {error}"))
        }
    })?;
    let body = head.unpacked(body.to_bytes())?;
    if status.is_success() {
        return Ok(Reply { body, at_s: head.at_s });
    }
    let said = serde_json::from_slice(&body).ok().and_then(|value| said(&value)).map(Into::into);
    let said = said.unwrap_or_else(|| head.line(&body).into());
    let mut why = refusal(status, &said, secrets);
    if let (true, Some(to)) = (status.is_redirection(), head.location) {
        // Whoever it points to did not get our credentials from the one who runs Taxiway.
        let _ = write!(why, "; it points to {}: name that address, redirects are not followed", cut(&to));
    }
    Err(Failure { why, retry_after: head.retry_after })
}

/// What the head of an answer says beside its status.
struct Head {
    /// The source's clock; ours where it does not say.
    at_s: f64,
    retry_after: Option<Duration>,
    location: Option<String>,
    encoding: String,
    is_text: bool,
    is_page: bool,
}

impl Head {
    fn of(headers: &http::HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let at = text("date").and_then(|text| httpdate::parse_http_date(text).ok());
        let at_s = seconds(at.unwrap_or_else(SystemTime::now));
        let asked = text("retry-after").and_then(|text| wait(text, at_s));
        // Datadog and others say only when their count of requests begins anew.
        let anew = || text("x-ratelimit-reset").and_then(|text| wait(text, at_s));
        Self {
            at_s,
            retry_after: asked.or_else(anew),
            location: text("location").map(str::to_owned),
            encoding: text("content-encoding").unwrap_or_default().to_ascii_lowercase(),
            is_text: text("content-type").is_some_and(|kind| kind.starts_with("text/plain")),
            is_page: text("content-type").is_some_and(|kind| kind.starts_with("text/html")),
        }
    }

    /// What a refusal in plain text says first.
    fn line(&self, body: &[u8]) -> String {
        let text = String::from_utf8_lossy(&body[..body.len().min(4 * SAID_CHARS_MAX)]);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty());
        // Graphite's words come as a page that has no markup.
        let is_said = |line: &&str| self.is_text || (self.is_page && !line.starts_with('<'));
        line.filter(is_said).unwrap_or_default().to_owned()
    }

    /// The body as it was before it was packed, within the same limit of size.
    fn unpacked(&self, body: Bytes) -> Result<Bytes, Failure> {
        match self.encoding.as_str() {
            "" | "identity" => Ok(body),
            "gzip" | "x-gzip" => {
                let mut plain = Vec::new();
                let limit = BODY_BYTES_MAX as u64 + 1;
                let read = flate2::read::MultiGzDecoder::new(&body[..]).take(limit).read_to_end(&mut plain);
                match read {
                    Ok(length) if length as u64 == limit => Err(too_large()),
                    Ok(_) => Ok(Bytes::from(plain)),
                    Err(_) => Err(Failure::new("the answer says that it is gzip, and it is not")),
                }
            }
            other => {
                let why = format!("the answer is packed as {}, and that was not asked for", cut(other));
                Err(Failure::new(why))
            }
        }
    }
}

/// How long to wait: seconds, or a moment as HTTP or Unix writes it, on the clock of the answer.
fn wait(text: &str, at_s: f64) -> Option<Duration> {
    /// No source asks for a pause of years: such a number is a moment.
    const MOMENT_S: f64 = 1e9;
    let until = |moment_s: f64| Duration::try_from_secs_f64((moment_s - at_s).max(0.0)).ok();
    match text.parse::<f64>() {
        Ok(moment_s) if moment_s >= MOMENT_S => until(moment_s),
        Ok(pause_s) => Duration::try_from_secs_f64(pause_s).ok(),
        Err(_) => until(seconds(httpdate::parse_http_date(text).ok()?)),
    }
}

fn too_large() -> Failure {
    Failure::new(format!("the answer has more than {} MiB; narrow the query", BODY_BYTES_MAX >> 20))
}

fn refusal(status: StatusCode, said: &Said, secrets: &Secrets) -> String {
    let mut why = format!("it answers {status}");
    if !said.text.is_empty() {
        let _ = write!(why, ": {}", cut(&said.text));
    }
    if said.of_credentials || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return secrets.refused(&why);
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
    fn how_long_to_wait_is_said_in_four_ways() {
        let of = |headers: &[(&'static str, &str)]| {
            let date = ("date", "Sat, 21 Nov 2026 18:00:00 GMT");
            let all = headers.iter().chain([&date]).map(|(name, value)| {
                (http::HeaderName::from_static(name), http::HeaderValue::from_str(value).expect("a value"))
            });
            Head::of(&all.collect()).retry_after.map(|pause| pause.as_secs())
        };
        assert_eq!(of(&[("retry-after", "7")]), Some(7));
        assert_eq!(of(&[("retry-after", "Sat, 21 Nov 2026 18:00:30 GMT")]), Some(30));
        assert_eq!(of(&[("retry-after", "Sat, 21 Nov 2026 17:00:00 GMT")]), Some(0));
        // Datadog's window of ten seconds, of which four are left; others say the moment.
        assert_eq!(of(&[("x-ratelimit-period", "10"), ("x-ratelimit-reset", "4")]), Some(4));
        assert_eq!(of(&[("x-ratelimit-reset", "1795284012")]), Some(12));
        assert_eq!(of(&[("retry-after", "2"), ("x-ratelimit-reset", "9")]), Some(2));
        for odd in ["soon", "-1", "NaN", "inf"] {
            assert_eq!(of(&[("retry-after", odd)]), None, "{odd}");
        }
    }

    #[test]
    fn a_packed_answer_is_unpacked_within_its_limit() {
        use std::io::Write as _;
        let head = |encoding: &str| Head {
            at_s: 0.0,
            retry_after: None,
            location: None,
            encoding: encoding.to_owned(),
            is_text: false,
            is_page: false,
        };
        let packed = |bytes: &[u8]| {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            packer.write_all(bytes).expect("memory");
            Bytes::from(packer.finish().expect("memory"))
        };
        assert_eq!(head("gzip").unpacked(packed(b"[1]")).expect("gzip"), "[1]");
        let page = Head { is_page: true, ..head("") };
        assert_eq!([page.line(b"<html>no"), page.line(b"\nno such\n")], ["", "no such"]);
        let bomb = packed(&vec![b' '; BODY_BYTES_MAX + 1]);
        assert!(bomb.len() < 64 * 1024);
        assert!(head("gzip").unpacked(bomb).expect_err("a bomb").why.contains("more than 16 MiB"));
        assert!(head("gzip").unpacked(Bytes::from_static(b"no")).expect_err("no gzip").why.contains("gzip"));
        assert!(head("br").unpacked(Bytes::new()).expect_err("unknown").why.contains("packed as br"));
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
        let why = refusal(StatusCode::FORBIDDEN, &Said::default(), &secrets);
        assert_eq!(
            why,
            format!("the credentials are refused: it answers 403 Forbidden; look at the file {path}")
        );
        let none = secrets.read(&Secret::Env("TAXIWAY_TEST_NOT_SET".to_owned())).expect_err("it is not set");
        assert!(none.why.contains("the environment variable TAXIWAY_TEST_NOT_SET"), "{none:?}");
    }
}
