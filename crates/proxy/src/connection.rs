//! One client connection: TLS where asked for, HTTP/1.1 or HTTP/2, until someone has enough.

use crate::counts::Refused;
use crate::exchange::{Client, serve};
use crate::head::Peer;
use crate::pool::Local;
use crate::seat::Seat;
use crate::service::Service;
use crate::watch::{Ending, Watch, Watched};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;
use taxiway_model::route::Limits;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// hyper refuses to work with less; it reads a bit more than the limit and then says 431.
const READ_BUFFER_MIN: usize = 8192;
/// Header fields hyper parses without allocating.
const FIELDS_INLINE: usize = 100;
/// Resets a client may have pending before the connection is ended (rapid reset, CVE-2023-44487).
const PENDING_RESETS_MAX: usize = 32;
/// Bytes buffered per HTTP/2 stream towards a client that reads slowly.
const H2_SEND_BUFFER: usize = 64 * 1024;
/// What a request's head that did not come is answered with.
const TIMEOUT_ANSWER: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Counts a connection for as long as it is open.
struct Counted(Arc<Service>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

/// Serves a connection to its end.
pub async fn handle(seat: Rc<Seat>, stream: TcpStream, address: SocketAddr, watch: Arc<Watch>) {
    let service = seat.service.clone();
    let limits = seat.view().installed.table.source.listen.limits.clone();
    let _counted = Counted(service.clone());
    if service.connections.fetch_add(1, Relaxed) >= limits.connections_max {
        service.ledger.refuse(Refused::ConnectionsMax);
        return;
    }
    let _ = stream.set_nodelay(true);
    match service.tls.load_full() {
        None => {
            let Some(http2) = sniff(&stream, &watch).await else { return };
            speak(seat, stream, address, watch, &limits, http2, false).await;
        }
        Some(config) => {
            let Some(stream) = shake_hands(config, stream, &watch).await else {
                service.ledger.refuse(Refused::TlsHandshake);
                return;
            };
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            speak(seat, stream, address, watch, &limits, http2, true).await;
        }
    }
}

/// TLS, unless the watch ends the connection first.
async fn shake_hands(
    config: Arc<rustls::ServerConfig>,
    stream: TcpStream,
    watch: &Arc<Watch>,
) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    let mut shaking = TlsAcceptor::from(config).accept(stream);
    std::future::poll_fn(|cx| {
        if watch.ending(cx.waker()).is_some() {
            return Poll::Ready(None);
        }
        Pin::new(&mut shaking).poll(cx).map(Result::ok)
    })
    .await
}

/// Whether the client begins with HTTP/2's preface; none when it leaves before that is clear.
/// No HTTP/1 method begins with these four bytes, so they decide.
async fn sniff(stream: &TcpStream, watch: &Arc<Watch>) -> Option<bool> {
    const PREFACE: &[u8] = b"PRI ";
    let mut first = [0; 4];
    loop {
        let count = {
            let mut peeking = pin!(stream.peek(&mut first));
            std::future::poll_fn(|cx| {
                if watch.ending(cx.waker()).is_some() {
                    return Poll::Ready(None);
                }
                peeking.as_mut().poll(cx).map(Result::ok)
            })
            .await
        };
        match count {
            None => {
                // Slow even with its first bytes, or idle from the start.
                let _ = stream.try_write(TIMEOUT_ANSWER);
                return None;
            }
            Some(0) => return None,
            Some(count) if first[..count] != PREFACE[..count] => return Some(false),
            Some(4) => return Some(true),
            // `peek` is ready again at once while bytes lie there: wait for more by the clock.
            Some(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

async fn speak<S>(
    seat: Rc<Seat>,
    stream: S,
    address: SocketAddr,
    watch: Arc<Watch>,
    limits: &Limits,
    http2: bool,
    tls: bool,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let io = TokioIo::new(Watched::new(stream, watch.clone()));
    let client = Rc::new(Client { seat, peer: Peer::new(address, tls), watch: watch.clone() });
    if http2 {
        speak_http2(io, client, limits).await;
    } else {
        speak_http1(io, client, limits).await;
    }
}

async fn speak_http1<S>(io: TokioIo<Watched<S>>, client: Rc<Client>, limits: &Limits)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let watch = client.watch.clone();
    let head_max = limits.header_bytes_max as usize;
    let mut builder = http1::Builder::new();
    // Time is held by the watch: hyper's timer would be set anew for every request.
    builder.header_read_timeout(None).max_header_size(head_max).max_buf_size(head_max.max(READ_BUFFER_MIN));
    if limits.header_count_max as usize > FIELDS_INLINE {
        builder.max_headers(limits.header_count_max as usize);
    }
    let service = service_fn(move |request| serve(client.clone(), request));
    let mut connection = builder.serve_connection(io, service).with_upgrades();
    let ending = std::future::poll_fn(|cx| {
        match watch.ending(cx.waker()) {
            Some(Ending::Drain) => Pin::new(&mut connection).graceful_shutdown(),
            Some(ending) => return Poll::Ready(Some(ending)),
            None => {}
        }
        Pin::new(&mut connection).poll(cx).map(|_| None)
    })
    .await;
    if ending == Some(Ending::HeadTimeout)
        && let Some(parts) = connection.into_parts()
    {
        let mut io = parts.io.into_inner();
        // Best effort towards a client that has not done its part.
        let _ = tokio::time::timeout(Duration::from_millis(100), io.write_all(TIMEOUT_ANSWER)).await;
    }
}

async fn speak_http2<S>(io: TokioIo<Watched<S>>, client: Rc<Client>, limits: &Limits)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let watch = client.watch.clone();
    watch.multiplexes();
    let mut builder = http2::Builder::new(Local);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_streams_max)
        .max_header_list_size(limits.header_bytes_max)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_send_buf_size(H2_SEND_BUFFER)
        .adaptive_window(true);
    let service = service_fn(move |request| serve(client.clone(), request));
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut draining = false;
    std::future::poll_fn(|cx| {
        match watch.ending(cx.waker()) {
            Some(Ending::Drain) if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
            Some(Ending::Drain) | None => {}
            Some(_) => return Poll::Ready(()),
        }
        connection.as_mut().poll(cx).map(|_| ())
    })
    .await;
}
