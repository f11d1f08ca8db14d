//! Active health: GET on each instance now and then, where the table asks for it.

use crate::health::Health;
use crate::plane::Plane;
use crate::service::{Installed, Service};
use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use taxiway_model::ids::StreamId;
use taxiway_model::route::{ActiveHealth, UpstreamProtocol};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// How often it is looked which probes are due.
const TICK_MS: u64 = 50;
/// An interval below this is taken as this: probes must not become the load.
const INTERVAL_MS_MIN: u64 = 50;

/// Probes every service's instances until the runtime ends.
pub async fn run(plane: Arc<Plane>) {
    let mut due: BTreeMap<StreamId, Instant> = BTreeMap::new();
    loop {
        tokio::time::sleep(Duration::from_millis(TICK_MS)).await;
        for service in plane.services() {
            let installed = service.installed();
            let Some(rule) = &installed.table.source.listen.health else {
                if due.remove(&service.stream).is_some() {
                    each_instance(&service, &installed, |health, _, _| health.forget_probes());
                }
                continue;
            };
            let now = Instant::now();
            if due.get(&service.stream).is_some_and(|at| *at > now) {
                continue;
            }
            let interval = Duration::from_millis(rule.interval_ms.max(INTERVAL_MS_MIN));
            due.insert(service.stream.clone(), now + interval);
            each_instance(&service, &installed, |health, address, protocol| {
                let rule = rule.clone();
                tokio::spawn(async move {
                    let limit = Duration::from_millis(rule.timeout_ms.max(1));
                    let result = match tokio::time::timeout(limit, ask(address, protocol, &rule)).await {
                        Ok(result) => result,
                        Err(_) => Err(format!("no answer within {} ms", rule.timeout_ms)),
                    };
                    health.probed(&rule, result);
                });
            });
        }
    }
}

fn each_instance(
    service: &Service,
    installed: &Installed,
    mut act: impl FnMut(Arc<Health>, SocketAddr, UpstreamProtocol),
) {
    for (version, backends) in &installed.table.versions {
        for backend in backends.iter().filter(|backend| backend.accepting) {
            if let Some(address) = installed.addresses.get(&backend.address) {
                act(service.health(version, &backend.address), *address, backend.protocol);
            }
        }
    }
}

async fn ask(address: SocketAddr, protocol: UpstreamProtocol, rule: &ActiveHealth) -> Result<(), String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let uri = match protocol {
        UpstreamProtocol::Http1 => rule.path.clone(),
        UpstreamProtocol::H2c => format!("http://{address}{}", rule.path),
    };
    let request = Request::get(uri).header("user-agent", "taxiway-health");
    let request = match protocol {
        UpstreamProtocol::Http1 => request.header("host", address.to_string()),
        UpstreamProtocol::H2c => request,
    };
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let io = TokioIo::new(stream);
    let words = |error: hyper::Error| error.to_string();
    let status = match protocol {
        UpstreamProtocol::Http1 => {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(words)?;
            let sent = sender.send_request(request);
            tokio::select! {
                answer = sent => answer.map_err(words)?.status(),
                ended = connection => return Err(ended.map_or_else(words, |()| "closed without an answer".into())),
            }
        }
        UpstreamProtocol::H2c => {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.map_err(words)?;
            let sent = sender.send_request(request);
            tokio::select! {
                answer = sent => answer.map_err(words)?.status(),
                ended = connection => return Err(ended.map_or_else(words, |()| "closed without an answer".into())),
            }
        }
    };
    if status.is_success() { Ok(()) } else { Err(format!("answered {}", status.as_u16())) }
}
