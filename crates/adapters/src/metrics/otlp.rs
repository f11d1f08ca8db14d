//! OTLP over HTTP: a small listener for metrics that services or a collector push (`/v1/metrics`).
//!
//! It listens while a release wants it. The sides are told apart by resource attributes, which
//! `service.version` is made for. Sums and histograms are counted in [`series`], so that delta and
//! cumulative ones, double and late points come out alike; of several gauges of a side the mean is
//! taken.

mod series;
mod wire;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use taxiway_model::metrics::{Selector, Shape, Side};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use super::answer::{Answer, PART, Vector, part};
use super::ask::Question;
use super::exchange::{Failure, now_s};
use series::{Series, Store};

/// The most one push may be, packed or unpacked.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Pushes at a time; more of them wait.
const CONNECTIONS_MAX: usize = 256;

/// How long a push may take.
const PUSH_TIME_MAX: Duration = Duration::from_secs(30);

/// A value that was pushed longer ago is not what is going on.
const STALE_S: f64 = 120.0;

/// The listeners there are, by address; each ends with the last release that wants it.
pub(super) type Listeners = Mutex<BTreeMap<String, Weak<Listener>>>;

/// A listener and what was pushed to it.
pub(super) struct Listener {
    store: Arc<Mutex<Store>>,
    task: AbortHandle,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The listener at an address, begun where there is none.
pub(super) async fn listener(listeners: &Listeners, address: &str) -> Result<Arc<Listener>, Failure> {
    let known = locked(listeners).get(address).and_then(Weak::upgrade);
    if let Some(known) = known {
        return Ok(known);
    }
    let socket = TcpListener::bind(address).await;
    let socket =
        socket.map_err(|error| Failure::new(format!("it cannot be listened to at {address}: {error}")))?;
    let store = Arc::new(Mutex::new(Store::since((now_s() * 1e9) as u64)));
    let task = tokio::spawn(accept(socket, Arc::clone(&store))).abort_handle();
    let listener = Arc::new(Listener { store, task });
    locked(listeners).insert(address.to_owned(), Arc::downgrade(&listener));
    Ok(listener)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(socket: TcpListener, store: Arc<Mutex<Store>>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, peer)) = socket.accept().await else {
            // No more files, most likely: some will be closed.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let service = service_fn(|request| serve(request, &store, peer));
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
    store: &Mutex<Store>,
    peer: SocketAddr,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, kind, why) = match tokio::time::timeout(PUSH_TIME_MAX, take(request, store)).await {
        Ok(Ok(kind)) => (StatusCode::OK, kind, ""),
        Ok(Err((status, why))) => (status, "text/plain", why),
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "text/plain", "the push took too long"),
    };
    if !why.is_empty() {
        tracing::warn!(%peer, why, "a push of metrics was refused");
    }
    // An empty message in protobuf is no bytes, in JSON an empty object.
    let body = if kind == "application/json" { "{}" } else { why };
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    Ok(response)
}

type Refusal = (StatusCode, &'static str);

async fn take(request: Request<Incoming>, store: &Mutex<Store>) -> Result<&'static str, Refusal> {
    if request.uri().path() != "/v1/metrics" {
        return Err((StatusCode::NOT_FOUND, "metrics are pushed to /v1/metrics"));
    }
    if request.method() != Method::POST {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "metrics are pushed by POST"));
    }
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = match header(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim() {
        "application/json" => "application/json",
        "application/x-protobuf" => "application/x-protobuf",
        _ => {
            return Err((
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "send application/json or application/x-protobuf",
            ));
        }
    };
    let gzip = match header(header::CONTENT_ENCODING) {
        "" | "identity" => false,
        "gzip" => true,
        _ => return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "send it plain or as gzip")),
    };
    let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await;
    let mut body =
        body.map_err(|_| (StatusCode::PAYLOAD_TOO_LARGE, "the push is too large or broke off"))?.to_bytes();
    if gzip {
        body = unpacked(&body)?;
    }
    let read = if kind == "application/json" { wire::json(&body) } else { wire::protobuf(&body) };
    let pushed = read.map_err(|why| (StatusCode::BAD_REQUEST, why))?;
    let mut store = locked(store);
    for one in pushed {
        store.take(one);
    }
    Ok(kind)
}

fn unpacked(body: &[u8]) -> Result<Bytes, Refusal> {
    let mut plain = Vec::new();
    let limit = BODY_BYTES_MAX as u64 + 1;
    let read = flate2::read::MultiGzDecoder::new(body).take(limit).read_to_end(&mut plain);
    match read {
        Ok(length) if length as u64 == limit => Err((StatusCode::PAYLOAD_TOO_LARGE, "the push is too large")),
        Ok(_) => Ok(Bytes::from(plain)),
        Err(_) => Err((StatusCode::BAD_REQUEST, "the push is no gzip")),
    }
}

/// What was pushed of a metric.
pub(super) fn ask(listener: &Listener, question: &Question) -> Result<Answer, Failure> {
    let mut store = locked(&listener.store);
    let mut vector = Vector { at_s: Some(now_s()), series: Vec::new() };
    let mut buckets: [BTreeMap<u64, u64>; 2] = Default::default();
    let mut found = [false; 2];
    for (side, version) in &question.sides {
        let known_by = question.source.known_by(*side, version);
        for (place, text) in question.query.shape.selectors("").iter().enumerate() {
            let selector =
                Selector::read(text).map_err(|why| Failure::new(format!("this is no metric: {why}")))?;
            store.want(&selector.name);
            let series = store.of(&selector.name).filter(|series| {
                known_by.iter().all(|(key, value)| find(&series.resource, key) == Some(value))
                    && selector
                        .fits(|key| find(&series.attributes, key).or_else(|| find(&series.resource, key)))
            });
            let series: Vec<&Series> = series.collect();
            let side_at = usize::from(*side == Side::Baseline);
            match question.query.shape {
                Shape::Buckets { .. } => {
                    found[side_at] |= !series.is_empty();
                    for (edge, count) in series.iter().flat_map(|one| &one.buckets) {
                        *buckets[side_at].entry(*edge).or_default() += count;
                    }
                }
                Shape::Counts { .. } | Shape::Moments { .. } => {
                    vector.series.extend(series.iter().map(|one| {
                        let labels = [(PART.to_owned(), part(*side, place)), label(one)];
                        (BTreeMap::from(labels), one.value)
                    }));
                }
                Shape::Types { ref by, .. } => vector.series.extend(series.iter().map(|one| {
                    let kind = find(&one.attributes, by).unwrap_or_default().to_owned();
                    let labels = [(PART.to_owned(), part(*side, place)), label(one), (by.clone(), kind)];
                    (BTreeMap::from(labels), one.value)
                })),
                Shape::Values { .. } => {
                    for one in &series {
                        let sums = one.sums.ok_or_else(|| {
                            Failure::new(format!(
                                "no sums are pushed with {text}: it is no histogram that has them"
                            ))
                        })?;
                        for (number, value) in sums.into_iter().enumerate() {
                            let labels = [(PART.to_owned(), part(*side, number)), label(one)];
                            vector.series.push((BTreeMap::from(labels), value));
                        }
                    }
                }
                Shape::Scalar { .. } => {
                    if let Some(mean) = mean(&series, vector.at_s.unwrap_or_default()) {
                        vector.series.push((BTreeMap::from([(PART.to_owned(), part(*side, place))]), mean));
                    }
                }
            }
        }
    }
    if store.refused > 0 {
        store.refused = 0;
        return Err(Failure::new("more series are pushed than fit; narrow the metrics"));
    }
    if matches!(question.query.shape, Shape::Buckets { .. }) {
        return Ok(Answer::Histograms { found, buckets, at_s: now_s() });
    }
    Ok(Answer::Now(vector))
}

/// What tells a series from the others of its metric.
fn label(series: &Series) -> (String, String) {
    ("series".to_owned(), format!("{:?}{:?}", series.resource, series.attributes))
}

fn find<'s>(attributes: &'s wire::Attributes, key: &str) -> Option<&'s str> {
    attributes.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
}

/// The mean of the newest values; none where all are old.
fn mean(series: &[&Series], now_s: f64) -> Option<f64> {
    let fresh = series.iter().filter(|one| now_s - one.at_ns as f64 / 1e9 < STALE_S);
    let values: Vec<f64> = fresh.map(|one| one.value).filter(|value| value.is_finite()).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
