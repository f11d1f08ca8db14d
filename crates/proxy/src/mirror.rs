//! Copies of the baseline's requests for the canary, whose answers are thrown away.
//!
//! Every method is copied, since most services do their work in POST: a plan with a mirror step
//! has decided that the canary may do things twice. Copies carry `taxiway-mirror: 1`, by which a
//! service can refuse to. A copy is sent when its original's body has passed completely; a body
//! over `BODY_BYTES_MAX` or a copy too many is skipped and counted.

use crate::body::{Copy, Upload};
use crate::counts::{End, Refused};
use crate::exchange::{BodyCopy, Client};
use crate::head;
use crate::pool::Pool;
use crate::seat::{MirrorTally, Routed};
use bytes::{Bytes, BytesMut};
use http::header::{HeaderName, HeaderValue};
use http::{Request, request};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use taxiway_model::route::UpstreamProtocol;

/// Largest body that is copied; copies are held in memory.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Copies under way per core: a canary that hangs must not fill the memory.
const OPEN_MAX: u32 = 256;
const MIRROR: HeaderName = HeaderName::from_static("taxiway-mirror");

thread_local! {
    static OPEN: Cell<u32> = const { Cell::new(0) };
}

struct Open;

impl Open {
    fn new() -> Option<Self> {
        let open = OPEN.get();
        (open < OPEN_MAX).then(|| {
            OPEN.set(open + 1);
            Self
        })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        OPEN.set(OPEN.get() - 1);
    }
}

/// Prepares a copy of a request. Returns what the original's body has to fill, if it has one.
pub fn begin(
    client: &Rc<Client>,
    routed: &Routed,
    version: usize,
    parts: &request::Parts,
    body: &Incoming,
) -> Option<BodyCopy> {
    let seat = &client.seat;
    let too_large = body.size_hint().lower() > BODY_BYTES_MAX as u64;
    let open = if too_large { None } else { Open::new() };
    let pool = open.as_ref().and_then(|_| routed.view.instance(version, seat.service.clock.now()));
    let (Some(open), Some(pool)) = (open, pool) else {
        seat.service.ledger.refuse(Refused::MirrorSkipped);
        return None;
    };
    let mut parts = copy_of(parts);
    parts.headers.insert(MIRROR, HeaderValue::from_static("1"));
    let ready = match pool.protocol {
        UpstreamProtocol::Http1 => {
            head::to_http1(&mut parts);
            true
        }
        UpstreamProtocol::H2c => head::to_http2(&mut parts).is_ok(),
    };
    if !ready {
        seat.service.ledger.refuse(Refused::MirrorSkipped);
        return None;
    }
    let copy = (!body.is_end_stream()).then(|| Copy::with_room(BODY_BYTES_MAX));
    let tally = MirrorTally::new(seat, routed.view.clone(), version);
    let limit_ms = routed.view.installed.table.source.listen.limits.response_ms_max;
    let (client, filled) = (client.clone(), copy.clone());
    pool.clone().spawn(async move {
        let _open = open;
        let Some(body) = collected(filled).await else {
            client.seat.service.ledger.refuse(Refused::MirrorSkipped);
            return;
        };
        send(&client, &pool, Request::from_parts(parts, body), &tally, limit_ms).await;
    });
    copy
}

fn copy_of(parts: &request::Parts) -> request::Parts {
    let (mut copy, ()) = Request::new(()).into_parts();
    copy.method = parts.method.clone();
    copy.uri = parts.uri.clone();
    copy.version = parts.version;
    copy.headers = parts.headers.clone();
    copy
}

/// Waits for the original's body; none when it was too large or broke off.
async fn collected(copy: Option<BodyCopy>) -> Option<Upload> {
    let Some(copy) = copy else { return Some(Upload::Empty) };
    copy.complete.notified().await;
    if copy.given_up.get() {
        return None;
    }
    let pieces = copy.pieces.take();
    let whole = match <[Bytes; 1]>::try_from(pieces) {
        Ok([one]) => one,
        Err(pieces) => {
            let mut joined = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
            for piece in &pieces {
                joined.extend_from_slice(piece);
            }
            joined.freeze()
        }
    };
    Some(if whole.is_empty() { Upload::Empty } else { Upload::Whole(Some(whole)) })
}

async fn send(
    client: &Client,
    pool: &Rc<Pool>,
    request: Request<Upload>,
    tally: &MirrorTally,
    limit_ms: u64,
) {
    let clock = &client.seat.service.clock;
    let begun = clock.now();
    let limit = Duration::from_millis(limit_ms);
    match tokio::time::timeout(limit, pool.send(request)).await {
        Err(_) => tally.end(End::Timeout, clock.now().since_us(begun)),
        Ok(Err(_)) => tally.end(End::ConnectError, clock.now().since_us(begun)),
        Ok(Ok(response)) => {
            tally.end(End::Status(response.status().as_u16()), clock.now().since_us(begun));
            let mut body = response.into_body();
            let drained = async { while let Some(Ok(_)) = body.frame().await {} };
            // One that does not end in time is dropped, and its connection with it.
            let _ = tokio::time::timeout(limit, drained).await;
        }
    }
}
