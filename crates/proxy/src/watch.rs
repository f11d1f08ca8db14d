//! What is held against a client connection over time. The connection writes down what it is
//! doing; once in a while its core looks through all of them for those that take too long. That
//! costs a few stores per request, where timers would cost a registration each.

use crate::clock::{Clock, Mono};
use crate::counts::Refused;
use crate::wire;
use futures_util::task::AtomicWaker;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use taxiway_model::route::Limits;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a connection is doing.
const HEAD: u8 = 0;
const BUSY: u8 = 1;
const IDLE: u8 = 2;

/// Why a connection is ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The head of a request (or a TLS handshake) took too long: 408.
    HeadTimeout,
    /// Nothing was asked for too long.
    Idle,
    /// The client does not read its answer.
    WriteTimeout,
    /// The process is leaving: finish what is open, take nothing more.
    Drain,
}

/// The state of one connection. Shared with the I/O below hyper, which must be `Send`; in truth
/// only one core touches it, so every access is relaxed.
#[derive(Debug)]
pub struct Watch {
    clock: Arc<Clock>,
    phase: AtomicU8,
    /// HTTP/2 multiplexes: reading bytes says nothing about a head being sent.
    multiplexed: AtomicBool,
    since: AtomicU64,
    open: AtomicU32,
    write_stalled: AtomicU64,
    /// Bodies whose last piece was taken and not yet followed by asking for the next.
    handed: AtomicU32,
    /// When a piece was taken or asked for last.
    handed_since: AtomicU64,
    ending: AtomicU8,
    waker: AtomicWaker,
}

impl Watch {
    /// A connection that was just accepted.
    pub fn new(clock: &Arc<Clock>) -> Arc<Self> {
        Arc::new(Self {
            phase: AtomicU8::new(HEAD),
            multiplexed: AtomicBool::new(false),
            since: AtomicU64::new(clock.now().0),
            open: AtomicU32::new(0),
            write_stalled: AtomicU64::new(0),
            handed: AtomicU32::new(0),
            handed_since: AtomicU64::new(0),
            ending: AtomicU8::new(0),
            waker: AtomicWaker::new(),
            clock: clock.clone(),
        })
    }

    /// The connection speaks HTTP/2.
    pub fn multiplexes(&self) {
        self.multiplexed.store(true, Relaxed);
    }

    /// A request's head is complete.
    pub fn begin(&self) {
        self.open.store(self.open.load(Relaxed) + 1, Relaxed);
        self.phase.store(BUSY, Relaxed);
    }

    /// A request's answer is complete, or given up.
    pub fn end(&self) {
        let open = self.open.load(Relaxed).saturating_sub(1);
        self.open.store(open, Relaxed);
        if open == 0 {
            self.phase.store(IDLE, Relaxed);
            self.since.store(self.clock.recent().0, Relaxed);
        }
    }

    /// A piece of an answer was handed to the protocol, which asks for the next when there is room.
    /// An HTTP/2 client can stop reading without the socket ever being full.
    pub fn handed_piece(&self) {
        self.handed.store(self.handed.load(Relaxed) + 1, Relaxed);
        self.handed_since.store(self.clock.recent().0, Relaxed);
    }

    /// The protocol asks for the next piece, or needs none.
    pub fn wants_piece(&self) {
        self.handed.store(self.handed.load(Relaxed).saturating_sub(1), Relaxed);
        self.handed_since.store(self.clock.recent().0, Relaxed);
    }

    /// Whether the client has not read for so long.
    fn is_deaf(&self, now: Mono, limit_ms: u64) -> bool {
        let stalled = self.write_stalled.load(Relaxed);
        let full = stalled != 0 && now.since_ms(Mono(stalled)) > limit_ms;
        let since = Mono(self.handed_since.load(Relaxed));
        full || (self.handed.load(Relaxed) > 0 && now.since_ms(since) > limit_ms)
    }

    fn bytes_read(&self) {
        if self.phase.load(Relaxed) == IDLE && !self.multiplexed.load(Relaxed) {
            self.phase.store(HEAD, Relaxed);
            self.since.store(self.clock.recent().0, Relaxed);
        }
    }

    fn write_stalls(&self, stalls: bool) {
        let since = self.write_stalled.load(Relaxed);
        if stalls && since == 0 {
            self.write_stalled.store(self.clock.now().0.max(1), Relaxed);
        } else if !stalls && since != 0 {
            self.write_stalled.store(0, Relaxed);
        }
    }

    /// Ends the connection if it takes too long for the limits; says what is counted.
    pub fn inspect(&self, now: Mono, limits: &Limits) -> Option<Refused> {
        if self.is_deaf(now, limits.idle_ms_max) {
            self.finish(Ending::WriteTimeout);
            return Some(Refused::WriteTimeout);
        }
        let for_ms = now.since_ms(Mono(self.since.load(Relaxed)));
        match self.phase.load(Relaxed) {
            HEAD if for_ms > limits.header_ms_max => {
                self.finish(Ending::HeadTimeout);
                Some(Refused::HeadTimeout)
            }
            IDLE if for_ms > limits.idle_ms_max => {
                self.finish(Ending::Idle);
                None
            }
            _ => None,
        }
    }

    /// Whether a leaving process may end the connection: nothing is open, nothing was for a while;
    /// an HTTP/2 client is told at once, since that loses nothing.
    pub fn may_leave(&self, now: Mono, idle_ms: u64) -> bool {
        let quiet = now.since_ms(Mono(self.since.load(Relaxed))) >= idle_ms;
        self.multiplexed.load(Relaxed) || (self.phase.load(Relaxed) != BUSY && quiet)
    }

    /// Ends the connection.
    pub fn finish(&self, ending: Ending) {
        self.ending.store(ending as u8 + 1, Relaxed);
        self.waker.wake();
    }

    /// How it is to end, if it is; whoever asks is woken when that changes.
    pub fn ending(&self, waker: &Waker) -> Option<Ending> {
        self.waker.register(waker);
        match self.ending.load(Relaxed) {
            0 => None,
            1 => Some(Ending::HeadTimeout),
            2 => Some(Ending::Idle),
            3 => Some(Ending::WriteTimeout),
            _ => Some(Ending::Drain),
        }
    }
}

/// A stream that tells its watch what comes and goes.
#[derive(Debug)]
pub struct Watched<S> {
    inner: S,
    watch: Arc<Watch>,
    joined: Vec<u8>,
}

impl<S> Watched<S> {
    /// Watches a stream.
    pub fn new(inner: S, watch: Arc<Watch>) -> Self {
        Self { inner, watch, joined: Vec::new() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.watch.bytes_read();
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.watch.write_stalls(result.is_pending());
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let this = &mut *self;
        let result = wire::poll_write(Pin::new(&mut this.inner), cx, bufs, &mut this.joined);
        self.watch.write_stalls(result.is_pending());
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
