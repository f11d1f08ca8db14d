//! One request: checked, routed, sent to an instance, its answer sent back and counted.

use crate::answer::Answer;
use crate::body::{Copy, Download, Fault, Progress, Upload};
use crate::clock::Mono;
use crate::counts::{End, Refused};
use crate::head::{self, Peer, Reject, Wants};
use crate::pool::{Failure, Pool};
use crate::seat::{Routed, Seat, Tally};
use crate::table::token_text;
use crate::watch::Watch;
use crate::{mirror, tunnel};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue, SET_COOKIE, UPGRADE};
use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use taxiway_model::route::UpstreamProtocol;

/// What requests of one client connection have in common.
pub struct Client {
    /// The service on this core.
    pub seat: Rc<Seat>,
    /// The other end.
    pub peer: Peer,
    /// What is held against the connection.
    pub watch: Arc<Watch>,
}

/// Serves one request. Never fails: what goes wrong is an answer.
pub async fn serve(client: Rc<Client>, request: Request<Incoming>) -> Result<Response<Download>, Infallible> {
    client.watch.begin();
    let begun = client.seat.service.clock.now();
    let version = request.version();
    let mut response = match exchange(&client, request, begun).await {
        Ok(response) => response,
        Err(reject) => {
            client.seat.service.ledger.refuse(reject.why);
            answer(reject.status, reject.text, version)
        }
    };
    if client.seat.leaving.get()
        && version < Version::HTTP_2
        && response.status() != StatusCode::SWITCHING_PROTOCOLS
    {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

async fn exchange(
    client: &Rc<Client>,
    request: Request<Incoming>,
    begun: Mono,
) -> Result<Response<Download>, Reject> {
    // Whatever path is taken from here, the connection learns of the request's end.
    let unrouted = EndsWatch(Some(client.watch.clone()));
    let seat = &client.seat;
    let view = seat.view();
    let limits = &view.installed.table.source.listen.limits;
    head::check(&request, limits)?;
    let mut trusted = false;
    let routed = seat.route(
        request.headers(),
        |installed| {
            let networks = &installed.table.trusted;
            trusted = networks.contain(client.peer.address);
            client.peer.client(request.headers(), networks)
        },
        begun,
    );
    let routed = routed.map_err(|why| unavailable(why, "no version serves this yet"))?;
    let table = &routed.view.installed.table;
    let class = table.class(request.uri().path());
    let mut tally = Tally::begin(seat, &routed, class, begun, unrouted.pass_on());
    let Some(pool) = routed.view.instance(routed.choice.version, begun) else {
        tally.end(End::ConnectError, begun);
        return Err(unavailable(Refused::NoInstance, "no instance takes requests"));
    };
    tally.at(pool.clone());
    let outgoing = prepare(client, &routed, &pool, request, trusted)?;
    let sent = send(seat, &pool, outgoing.request, outgoing.progress, limits.response_ms_max).await;
    let now = seat.service.clock.now();
    match sent {
        Ok(response) => {
            tally.end(End::Status(response.status().as_u16()), now);
            let set_cookie = routed.choice.new_token.and_then(|token| sticky_cookie(client, &routed, token));
            finish(&pool, response, tally, outgoing.upgrade, set_cookie)
        }
        Err(unsent) => Err(unsent.count(&mut tally, now)),
    }
}

/// Tells the watch of a request's end unless someone else has taken that over.
struct EndsWatch(Option<Arc<Watch>>);

impl EndsWatch {
    fn pass_on(mut self) -> Arc<Watch> {
        self.0.take().expect("passed on once, since self is consumed")
    }
}

impl Drop for EndsWatch {
    fn drop(&mut self) {
        if let Some(watch) = self.0.take() {
            watch.end();
        }
    }
}

/// A request in the form its instance expects, and what is needed for its answer.
struct Outgoing {
    request: Request<Upload>,
    progress: Option<Rc<Progress>>,
    upgrade: Option<OnUpgrade>,
}

fn prepare(
    client: &Rc<Client>,
    routed: &Routed,
    pool: &Rc<Pool>,
    mut request: Request<Incoming>,
    trusted: bool,
) -> Result<Outgoing, Reject> {
    let limits = &routed.view.installed.table.source.listen.limits;
    let on_upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let (mut parts, body) = request.into_parts();
    let wants = head::strip_request(&mut parts.headers, parts.version);
    let host = head::settle_host(&mut parts);
    client.peer.mark(&mut parts.headers, host, trusted);
    let mut upgrade = None;
    let copy = match routed.choice.mirror {
        Some(version) => mirror::begin(client, routed, version, &parts, &body),
        None => None,
    };
    match pool.protocol {
        UpstreamProtocol::Http1 => {
            head::to_http1(&mut parts);
            // Only HTTP/1.0 clients may come without; the instance is spoken to in 1.1.
            if !parts.headers.contains_key(HOST)
                && let Ok(host) = HeaderValue::try_from(pool.address.to_string())
            {
                parts.headers.insert(HOST, host);
            }
            if let Wants::Upgrade(protocol) = wants {
                parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
                parts.headers.insert(UPGRADE, protocol);
                upgrade = on_upgrade;
            }
        }
        UpstreamProtocol::H2c => head::to_http2(&mut parts)?,
    }
    let clock = &client.seat.service.clock;
    let (body, progress) = Upload::client(body, limits.body_bytes_max, limits.body_idle_ms_max, clock, copy);
    Ok(Outgoing { request: Request::from_parts(parts, body), progress, upgrade })
}

/// Why a request has no answer.
enum Unsent {
    Instance(Failure),
    Timeout,
    Body(Fault),
}

impl Unsent {
    /// Counts the request for whoever is to blame and says what the client is told.
    fn count(self, tally: &mut Tally, now: Mono) -> Reject {
        let (end, status, why, text) = match self {
            Self::Instance(Failure::Connect(_)) => (
                End::ConnectError,
                StatusCode::BAD_GATEWAY,
                Refused::InstanceFailed,
                "no connection to the instance",
            ),
            Self::Instance(Failure::Broke(_)) => (
                End::ConnectError,
                StatusCode::BAD_GATEWAY,
                Refused::InstanceFailed,
                "the instance broke the connection before it answered",
            ),
            Self::Timeout => (
                End::Timeout,
                StatusCode::GATEWAY_TIMEOUT,
                Refused::InstanceTimeout,
                "the instance did not answer in time",
            ),
            Self::Body(Fault::TooLarge) => {
                tally.end(End::Client, now);
                return head::too_large();
            }
            Self::Body(Fault::Idle) => (
                End::Client,
                StatusCode::REQUEST_TIMEOUT,
                Refused::BodyTimeout,
                "the request body stopped coming",
            ),
            Self::Body(Fault::Client) => {
                (End::Client, StatusCode::BAD_REQUEST, Refused::BadRequest, "the request body is broken")
            }
        };
        tally.end(end, now);
        Reject { status, why, text }
    }
}

/// Sends the request; the time limit counts from the request's end, so that a long upload is no
/// slow answer.
async fn send(
    seat: &Rc<Seat>,
    pool: &Rc<Pool>,
    request: Request<Upload>,
    progress: Option<Rc<Progress>>,
    response_ms_max: u64,
) -> Result<Response<Answer>, Unsent> {
    let clock = &seat.service.clock;
    let mut sending = pin!(pool.send(request));
    let mut timer = pin!(tokio::time::sleep(Duration::from_millis(response_ms_max)));
    std::future::poll_fn(|cx| {
        if let Poll::Ready(sent) = sending.as_mut().poll(cx) {
            let fault = progress.as_ref().and_then(|progress| progress.fault.get());
            return Poll::Ready(
                sent.map_err(|failure| fault.map_or(Unsent::Instance(failure), Unsent::Body)),
            );
        }
        while timer.as_mut().poll(cx).is_ready() {
            let Some(progress) = &progress else {
                return Poll::Ready(Err(Unsent::Timeout));
            };
            // Still being sent: look again later. Sent meanwhile: the limit runs from its end.
            let waited = progress.complete.get().map_or(0, |end| clock.now().since_ms(end));
            if waited >= response_ms_max {
                return Poll::Ready(Err(Unsent::Timeout));
            }
            rearm(timer.as_mut(), response_ms_max - waited);
        }
        Poll::Pending
    })
    .await
}

fn rearm(timer: Pin<&mut tokio::time::Sleep>, ms: u64) {
    timer.reset(tokio::time::Instant::now() + Duration::from_millis(ms));
}

/// Makes the client's answer of the instance's.
fn finish(
    pool: &Rc<Pool>,
    mut response: Response<Answer>,
    tally: Tally,
    upgrade: Option<OnUpgrade>,
    set_cookie: Option<HeaderValue>,
) -> Result<Response<Download>, Reject> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let Some(client_side) = upgrade else {
            return Err(Reject {
                status: StatusCode::BAD_GATEWAY,
                why: Refused::InstanceFailed,
                text: "the instance switched protocols without being asked",
            });
        };
        let protocol = response.headers().get(UPGRADE).cloned();
        tunnel::open(pool, client_side, hyper::upgrade::on(&mut response), tally);
        let (mut parts, _) = response.into_parts();
        head::strip_response(&mut parts.headers);
        parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        if let Some(protocol) = protocol {
            parts.headers.insert(UPGRADE, protocol);
        }
        return Ok(Response::from_parts(parts, Download::empty()));
    }
    let (mut parts, inner) = response.into_parts();
    // A line has done that already.
    if let Answer::Hyper { .. } = inner {
        head::strip_response(&mut parts.headers);
    }
    if let Some(cookie) = set_cookie {
        parts.headers.append(SET_COOKIE, cookie);
    }
    parts.version = Version::HTTP_11;
    Ok(Response::from_parts(parts, Download::Instance { inner, tally }))
}

fn sticky_cookie(client: &Client, routed: &Routed, token: u64) -> Option<HeaderValue> {
    let name = routed.view.installed.table.sticky_cookie()?;
    let secure = if client.peer.tls { "; Secure" } else { "" };
    let text = format!("{name}={}; Path=/; HttpOnly; SameSite=Lax{secure}", token_text(token));
    HeaderValue::try_from(text).ok()
}

fn unavailable(why: Refused, text: &'static str) -> Reject {
    Reject { status: StatusCode::SERVICE_UNAVAILABLE, why, text }
}

/// An answer of the proxy's own. It ends an HTTP/1 connection whenever the request was at fault:
/// where its body ends is then not to be trusted.
pub fn answer(status: StatusCode, text: &'static str, version: Version) -> Response<Download> {
    let body = Bytes::from(format!("{} {text}\n", status.as_u16()));
    let mut response = Response::new(Download::Whole(Some(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if status.is_client_error() && version < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A copy of a request's body for the mirror, to be filled as the body passes.
pub type BodyCopy = Rc<Copy>;
