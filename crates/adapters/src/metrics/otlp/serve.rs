//! The door for pushes: who may come in, how large a push may be, and what is answered (OTLP/HTTP of
//! open-telemetry/opentelemetry-proto, `docs/specification.md`).

use std::convert::Infallible;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::super::exchange::Secrets;
use super::series::Taken;
use super::{Room, locked, wire};

/// The most one push may be, packed or unpacked.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Pushes at a time; more of them wait.
const CONNECTIONS_MAX: usize = 256;

/// How long a push may take.
const PUSH_TIME_MAX: Duration = Duration::from_secs(30);

/// What a push is written in, and so what is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Protobuf,
}

/// Why a push is not taken.
type Refusal = (StatusCode, String);

/// Takes pushes until it is dropped.
pub(super) async fn accept(socket: TcpListener, room: Arc<Room>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, peer)) = socket.accept().await else {
            // No more files, most likely: some will be closed.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let room = Arc::clone(&room);
        tokio::spawn(async move {
            let service = service_fn(|request| serve(request, &room, peer));
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PUSH_TIME_MAX)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop((served, place));
        });
    }
}

async fn serve(
    request: Request<Incoming>,
    room: &Room,
    peer: SocketAddr,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let kind = kind(request.headers());
    let taken = match tokio::time::timeout(PUSH_TIME_MAX, take(request, kind, room)).await {
        Ok(taken) => taken,
        Err(_) => Err((StatusCode::REQUEST_TIMEOUT, "the push took too long".to_owned())),
    };
    // Where it is not known what the sender reads, JSON is at least read by people.
    let kind = kind.unwrap_or(Kind::Json);
    let (status, body) = match &taken {
        Ok(taken) => (StatusCode::OK, answer(kind, taken)),
        Err((status, why)) => {
            tracing::warn!(%peer, why, "a push of metrics was refused");
            (*status, refusal(kind, why))
        }
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let mut head = |name, value| response.headers_mut().insert(name, header::HeaderValue::from_static(value));
    head(header::CONTENT_TYPE, kind.word());
    if status == StatusCode::UNAUTHORIZED {
        head(header::WWW_AUTHENTICATE, "Bearer");
    }
    Ok(response)
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/x-protobuf",
        }
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn kind(headers: &HeaderMap) -> Option<Kind> {
    let kind = text(headers, header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
    [Kind::Json, Kind::Protobuf].into_iter().find(|known| known.word() == kind)
}

async fn take(request: Request<Incoming>, kind: Option<Kind>, room: &Room) -> Result<Taken, Refusal> {
    let refuse = |status, why: &str| Err((status, why.to_owned()));
    admitted(room, request.headers())?;
    if request.uri().path() != "/v1/metrics" {
        return refuse(StatusCode::NOT_FOUND, "metrics are pushed to /v1/metrics");
    }
    if request.method() != Method::POST {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "metrics are pushed by POST");
    }
    let Some(kind) = kind else {
        let why = "send application/json or application/x-protobuf";
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, why);
    };
    let gzip = match text(request.headers(), header::CONTENT_ENCODING) {
        "" | "identity" => false,
        "gzip" => true,
        _ => return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send it plain or as gzip"),
    };
    let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await;
    let mut body = match body {
        Ok(body) => body.to_bytes(),
        Err(_) => return refuse(StatusCode::PAYLOAD_TOO_LARGE, "the push is too large or broke off"),
    };
    if gzip {
        body = unpacked(&body).map_err(|(status, why)| (status, why.to_owned()))?;
    }
    let read = if kind == Kind::Json { wire::json(&body) } else { wire::protobuf(&body) };
    let pushed = read.map_err(|why| (StatusCode::BAD_REQUEST, why.to_owned()))?;
    let mut store = locked(&room.store);
    let mut taken = Taken::default();
    for one in pushed {
        taken.add(store.take(one));
    }
    Ok(taken)
}

/// Whether the sender presents one of the tokens, which are read anew; where there is none, whoever
/// reaches us may push.
fn admitted(room: &Room, headers: &HeaderMap) -> Result<(), Refusal> {
    let tokens = locked(&room.tokens).clone();
    if tokens.is_empty() {
        return Ok(());
    }
    let mut secrets = Secrets::default();
    let read: Result<Vec<String>, _> = tokens.iter().map(|token| secrets.read(token)).collect();
    let known = read.map_err(|failure| {
        tracing::error!(why = failure.why, "the token of pushes cannot be read: nobody is let in");
        (StatusCode::SERVICE_UNAVAILABLE, "the token to compare with cannot be read".to_owned())
    })?;
    let presented = headers.get(header::AUTHORIZATION).map(header::HeaderValue::as_bytes);
    let presented = presented.and_then(|value| match value.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => Some(token.trim_ascii()),
        _ => None,
    });
    match presented {
        Some(presented) if is_one_of(presented, &known) => Ok(()),
        Some(_) => Err((StatusCode::UNAUTHORIZED, "the token is another one".to_owned())),
        None => Err((StatusCode::UNAUTHORIZED, "send `Authorization: Bearer <token>`".to_owned())),
    }
}

/// Whether it is one of them, in a time that does not tell how much of it is right.
fn is_one_of(presented: &[u8], tokens: &[String]) -> bool {
    // Digests have one length and say nothing of how far two texts agree.
    let presented = Sha256::digest(presented);
    let mut found = 0_u8;
    for token in tokens {
        let differs = presented.iter().zip(Sha256::digest(token)).fold(0_u8, |sum, (a, b)| sum | (a ^ b));
        found |= u8::from(std::hint::black_box(differs) == 0);
    }
    found != 0
}

fn unpacked(body: &[u8]) -> Result<Bytes, (StatusCode, &'static str)> {
    let mut plain = Vec::new();
    let limit = BODY_BYTES_MAX as u64 + 1;
    let read = flate2::read::MultiGzDecoder::new(body).take(limit).read_to_end(&mut plain);
    match read {
        Ok(length) if length as u64 == limit => Err((StatusCode::PAYLOAD_TOO_LARGE, "the push is too large")),
        Ok(_) => Ok(Bytes::from(plain)),
        Err(_) => Err((StatusCode::BAD_REQUEST, "the push is no gzip")),
    }
}

/// An `ExportMetricsServiceResponse`: with nothing in it, or with `partial_success`.
fn answer(kind: Kind, taken: &Taken) -> Bytes {
    let Taken { rejected, why } = taken;
    match kind {
        Kind::Json if why.is_empty() => Bytes::from_static(b"{}"),
        // 64-bit numbers are texts in it.
        Kind::Json => {
            let partial = json!({"rejectedDataPoints": rejected.to_string(), "errorMessage": why});
            Bytes::from(json!({ "partialSuccess": partial }).to_string())
        }
        Kind::Protobuf if why.is_empty() => Bytes::new(),
        Kind::Protobuf => {
            let mut partial = vec![1 << 3];
            varint(*rejected, &mut partial);
            message(2, why.as_bytes(), &mut partial);
            let mut all = Vec::new();
            message(1, &partial, &mut all);
            Bytes::from(all)
        }
    }
}

/// A `google.rpc.Status` without a code, which OTLP does not use.
fn refusal(kind: Kind, why: &str) -> Bytes {
    match kind {
        Kind::Json => Bytes::from(json!({ "message": why }).to_string()),
        Kind::Protobuf => {
            let mut all = Vec::new();
            message(2, why.as_bytes(), &mut all);
            Bytes::from(all)
        }
    }
}

/// A field of a message or a text.
fn message(number: u8, bytes: &[u8], into: &mut Vec<u8>) {
    into.push(number << 3 | 2);
    varint(bytes.len() as u64, into);
    into.extend_from_slice(bytes);
}

fn varint(mut number: u64, into: &mut Vec<u8>) {
    while number >= 0x80 {
        into.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_told_as_partial_success() {
        let all = Taken::default();
        assert_eq!((answer(Kind::Json, &all), answer(Kind::Protobuf, &all)), ("{}".into(), Bytes::new()));
        let some = Taken { rejected: 300, why: "no".to_owned() };
        let told = answer(Kind::Json, &some);
        assert_eq!(told, r#"{"partialSuccess":{"errorMessage":"no","rejectedDataPoints":"300"}}"#);
        // A message of seven bytes: 300 in two of them, and a text of two.
        assert_eq!(&answer(Kind::Protobuf, &some)[..], [10, 7, 8, 0xac, 2, 18, 2, b'n', b'o']);
    }

    #[test]
    fn a_refusal_is_a_status_in_the_words_of_the_sender() {
        assert_eq!(refusal(Kind::Json, "no"), r#"{"message":"no"}"#);
        assert_eq!(&refusal(Kind::Protobuf, "no")[..], [18, 2, b'n', b'o']);
    }

    #[test]
    fn only_the_whole_token_is_let_in() {
        let tokens = ["one".to_owned(), "another".to_owned()];
        assert!(is_one_of(b"one", &tokens) && is_one_of(b"another", &tokens));
        for wrong in [&b""[..], b"on", b"one ", b"ONE"] {
            assert!(!is_one_of(wrong, &tokens), "{wrong:?}");
        }
    }
}
