//! The listener for machines: the hooks and the targets to scrape, within limits of size, time and number.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use taxiway_api::{Class, HookAnswer, Problem};
use taxiway_model::ids::Digest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::alerts::Sender;
use super::read;
use crate::desk::Desk;
use crate::problems::problem;
use crate::routes::{answer, json};

/// Bytes of a body: a thousand alerts with long annotations.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Time for the head of a request.
const HEAD_MAX: Duration = Duration::from_secs(5);

/// Time for its body.
const BODY_MAX: Duration = Duration::from_secs(10);

/// Time for everything: a request, and its answer.
const CONNECTION_MAX: Duration = Duration::from_secs(30);

/// Connections at once; further ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 64;

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// An address for machines, and who may come in.
pub struct Hook {
    /// The desk that answers.
    pub desk: Desk,
    /// The tokens of which one must be presented, read when a request comes; an error says why they
    /// cannot be read, and then nobody comes in. None at all: whoever is on this machine may.
    pub tokens: Box<dyn Fn() -> Result<Vec<String>, String> + Send + Sync>,
}

/// Serves until `leave` is done.
pub async fn serve(listener: TcpListener, hook: Hook, leave: impl Future<Output = ()> + Send) {
    let router = router(Arc::new(hook));
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut leave = std::pin::pin!(leave);
    loop {
        let accepted = async {
            let permit = Arc::clone(&room).acquire_owned().await.expect("it is never closed");
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut leave => return,
        };
        let Ok((stream, _)) = accepted else {
            // Out of files, or the like: it may pass.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let router = router.clone();
        tokio::spawn(async move {
            let _permit = permit;
            // One that takes longer is cut off, without an answer.
            let _ = tokio::time::timeout(CONNECTION_MAX, one(stream, router)).await;
        });
    }
}

async fn one(stream: TcpStream, router: Router) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES_MAX);
    let served = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).await;
    if let Err(error) = served {
        tracing::debug!(%error, "a hook's sender was not answered");
    }
}

type Shared = Arc<Hook>;

fn router(hook: Shared) -> Router {
    Router::new()
        .route("/v1/hooks/alertmanager", post(alertmanager))
        .route("/v1/hooks/grafana", post(grafana))
        .route("/v1/hooks/signal", post(signal))
        .route("/v1/hooks/feedback", post(feedback))
        .route("/v1/targets", get(targets))
        .method_not_allowed_fallback(async || {
            let why = "a hook takes POST, and the targets are read with GET";
            refused(StatusCode::METHOD_NOT_ALLOWED, "bad_argument", "no such method", why, "")
        })
        .fallback(async || {
            let why = "there is nothing at this path";
            refused(StatusCode::NOT_FOUND, "bad_argument", "no such path", why, "see docs/webhooks.md")
        })
        .with_state(hook)
}

async fn alertmanager(State(hook): State<Shared>, request: Request) -> Response {
    take(hook, request, |desk, body| desk.alerts(body, Sender::Alertmanager)).await
}

async fn grafana(State(hook): State<Shared>, request: Request) -> Response {
    take(hook, request, |desk, body| desk.alerts(body, Sender::Grafana)).await
}

async fn signal(State(hook): State<Shared>, request: Request) -> Response {
    take(hook, request, |desk, body| desk.signalled(&read(body)?, "webhook")).await
}

async fn feedback(State(hook): State<Shared>, request: Request) -> Response {
    take(hook, request, |desk, body| desk.heard(&read(body)?, "webhook")).await
}

/// Whoever may report may also know what runs.
async fn targets(State(hook): State<Shared>, request: Request) -> Response {
    match admitted(&hook, request.into_parts().0.headers).await {
        Ok(()) => answer(move || Ok(hook.desk.targets())).await,
        Err(refusal) => *refusal,
    }
}

/// Lets in who may come in, reads the body, and acts.
async fn take(
    hook: Shared,
    request: Request,
    act: impl FnOnce(&Desk, &[u8]) -> Result<HookAnswer, Problem> + Send + 'static,
) -> Response {
    let (parts, body) = request.into_parts();
    let announced =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if let Err(refusal) = admitted(&hook, parts.headers).await {
        return *refusal;
    }
    if announced.is_some_and(|bytes: u64| bytes > BODY_BYTES_MAX as u64) {
        return too_large();
    }
    match whole(body).await {
        Ok(body) => answer(move || act(&hook.desk, &body)).await,
        Err(refusal) => *refusal,
    }
}

/// A refusal is boxed: an answer is large, and the usual case is none.
type Refused = Box<Response>;

async fn admitted(hook: &Shared, headers: HeaderMap) -> Result<(), Refused> {
    if headers.contains_key(header::ORIGIN) {
        // A page in somebody's browser must not roll anything back.
        let why = "requests of web pages are not taken";
        return Err(Box::new(refused(StatusCode::FORBIDDEN, "unauthorized", "not allowed", why, "")));
    }
    let hook = Arc::clone(hook);
    let tokens = tokio::task::spawn_blocking(move || (hook.tokens)()).await;
    let tokens = tokens.unwrap_or_else(|error| Err(error.to_string())).map_err(|why| {
        tracing::error!(why, "the token of a hook cannot be read: nobody is let in");
        let why = "the token to compare with cannot be read".to_owned();
        let next = "see resident.log in the data directory";
        refused(StatusCode::SERVICE_UNAVAILABLE, "unreachable", "no token", &why, next)
    })?;
    let presented = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let presented = presented.and_then(|value| match value.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => Some(token),
        _ => None,
    });
    if tokens.is_empty() || presented.is_some_and(|presented| is_one_of(presented.trim_ascii(), &tokens)) {
        return Ok(());
    }
    let why = if presented.is_some() { "the token is another one" } else { "no token was presented" };
    let next = "send `Authorization: Bearer <token>`";
    let mut response = refused(StatusCode::UNAUTHORIZED, "unauthorized", "not allowed", why, next);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    Err(Box::new(response))
}

/// Whether it is one of them, in a time that does not tell how much of it is right.
fn is_one_of(presented: &[u8], tokens: &[String]) -> bool {
    // Digests have one length and say nothing of how far two texts agree.
    let presented = Digest::of(presented);
    let mut found = 0_u8;
    for token in tokens {
        let other = Digest::of(token.as_bytes());
        let differs = presented.0.iter().zip(other.0).fold(0_u8, |sum, (a, b)| sum | (a ^ b));
        found |= u8::from(std::hint::black_box(differs) == 0);
    }
    found != 0
}

async fn whole(body: Body) -> Result<Bytes, Refused> {
    match tokio::time::timeout(BODY_MAX, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) => {
            let large =
                std::error::Error::source(&error).is_some_and(|source| source.to_string().contains("limit"));
            if large {
                return Err(Box::new(too_large()));
            }
            let why = "the body did not arrive";
            Err(Box::new(refused(
                StatusCode::BAD_REQUEST,
                "bad_argument",
                "the body is not taken",
                why,
                "try again",
            )))
        }
        Err(_) => {
            let why = format!("the body took longer than {} s", BODY_MAX.as_secs());
            let status = StatusCode::REQUEST_TIMEOUT;
            Err(Box::new(refused(status, "bad_argument", "too slow", &why, "try again")))
        }
    }
}

fn too_large() -> Response {
    let why = format!("the body is larger than {BODY_BYTES_MAX} bytes");
    let next = "send fewer alerts at once (Alertmanager's `max_alerts`)";
    refused(StatusCode::PAYLOAD_TOO_LARGE, "bad_argument", "the body is not taken", &why, next)
}

fn refused(status: StatusCode, code: &str, title: &str, why: &str, next: &str) -> Response {
    let class = match status.as_u16() {
        404 => Class::NotFound,
        401 | 403 => Class::Refused,
        503 => Class::Unavailable,
        _ => Class::BadInput,
    };
    let told = problem(code, class, title, why.to_owned(), next);
    json(status, "application/problem+json", &told)
}

#[cfg(test)]
mod tests {
    use super::is_one_of;

    #[test]
    fn only_the_whole_token_is_let_in() {
        let tokens = ["one".to_owned(), "another".to_owned()];
        assert!(is_one_of(b"one", &tokens) && is_one_of(b"another", &tokens));
        for wrong in [&b""[..], b"on", b"one ", b"ONE", b"oneanother"] {
            assert!(!is_one_of(wrong, &tokens), "{wrong:?}");
        }
        assert!(!is_one_of(b"", &[]));
    }
}
