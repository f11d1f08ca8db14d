//! Requests in, JSON out.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::behaviour::{Endpoint, Failure, Instance};

/// The largest order that is read.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Answers one request.
pub(crate) async fn answer(
    instance: Arc<Instance>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let endpoint = match request.uri().path() {
        "/healthz" => return Ok(reply(&instance, StatusCode::OK, json!({"status": "alive"}))),
        "/readyz" => return Ok(readiness(&instance)),
        "/metrics" => return Ok(metrics(&instance)),
        "/" => Endpoint::Catalogue,
        "/search" => Endpoint::Search,
        "/checkout" => Endpoint::Checkout,
        path => {
            let body = json!({"error": format!("no page at {path}; try /, /search or /checkout")});
            return Ok(reply(&instance, StatusCode::NOT_FOUND, body));
        }
    };
    let path = request.uri().path().to_owned();
    if Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await.is_err() {
        let body = json!({"error": format!("the body is cut off or over {BODY_BYTES_MAX} bytes")});
        return Ok(reply(&instance, StatusCode::PAYLOAD_TOO_LARGE, body));
    }
    let began = Instant::now();
    let response = match instance.work(endpoint).await {
        Ok(()) => reply(&instance, StatusCode::OK, page(endpoint)),
        Err(failure) => {
            let status = match failure {
                Failure::Bug => StatusCode::INTERNAL_SERVER_ERROR,
                Failure::Overloaded | Failure::DependencyDown | Failure::NotReady => {
                    StatusCode::SERVICE_UNAVAILABLE
                }
            };
            crate::log::line(&format!("error: {path}: {} ({})", failure.sentence(), status.as_u16()));
            reply(&instance, status, json!({"error": failure.sentence()}))
        }
    };
    instance.metrics.count(&path, response.status().as_u16(), began.elapsed());
    Ok(response)
}

/// Ready says only whether this instance has started: a shared dependency that is down must not take every instance
/// out of the traffic at once.
fn readiness(instance: &Instance) -> Response<Full<Bytes>> {
    if instance.is_ready() {
        reply(instance, StatusCode::OK, json!({"status": "ready"}))
    } else {
        reply(instance, StatusCode::SERVICE_UNAVAILABLE, json!({"status": "starting"}))
    }
}

fn metrics(instance: &Instance) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(instance.metrics.text())));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn page(endpoint: Endpoint) -> Value {
    match endpoint {
        Endpoint::Catalogue => json!({"items": [
            {"id": 1, "name": "windsock", "cents": 3_900},
            {"id": 2, "name": "runway lamp", "cents": 12_500},
            {"id": 3, "name": "wheel chock", "cents": 1_750},
        ]}),
        Endpoint::Search => json!({"results": [{"id": 2, "name": "runway lamp"}]}),
        Endpoint::Checkout => json!({"order": "accepted"}),
    }
}

fn reply(instance: &Instance, status: StatusCode, mut body: Value) -> Response<Full<Bytes>> {
    let name = instance.args.instance.as_deref().unwrap_or_default();
    body["version"] = json!(instance.args.version);
    body["instance"] = json!(name);
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (key, value) in [("x-version", instance.args.version.as_str()), ("x-instance", name)] {
        // A version that cannot stand in a header is still in the body.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(key, value);
        }
    }
    response
}
