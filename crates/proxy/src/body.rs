//! Bodies on their way through: bounded, timed, copied for a mirror, never collected.

use crate::answer::{Answer, Broken};
use crate::clock::{Clock, Mono};
use crate::seat::Tally;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Why a request body ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// More bytes than the limit.
    #[error("the request body is larger than the limit")]
    TooLarge,
    /// No piece of it in time.
    #[error("the request body stopped coming")]
    Idle,
    /// The client went away or sent nonsense.
    #[error("the client broke the request body off")]
    Client,
}

/// What the exchange wants to know of a body that is being sent.
#[derive(Debug, Default)]
pub struct Progress {
    /// When it was complete.
    pub complete: Cell<Option<Mono>>,
    /// Why it will never be.
    pub fault: Cell<Option<Fault>>,
}

/// A copy of a body in the making, for the mirror.
#[derive(Debug, Default)]
pub struct Copy {
    /// The pieces so far.
    pub pieces: RefCell<Vec<Bytes>>,
    /// Bytes that may still be kept.
    pub room: Cell<usize>,
    /// It became too large, or the original broke off.
    pub given_up: Cell<bool>,
    /// It is complete.
    pub complete: tokio::sync::Notify,
}

/// The body of a request on its way to an instance.
#[derive(Debug)]
pub enum Upload {
    /// None.
    Empty,
    /// A body kept in memory (mirrored copies).
    Whole(Option<Bytes>),
    /// The client's.
    Client(Box<Streaming>),
}

/// A client's body with its bounds.
#[derive(Debug)]
pub struct Streaming {
    inner: Incoming,
    left: u64,
    idle: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    progress: Rc<Progress>,
    clock: Arc<Clock>,
    copy: Option<Rc<Copy>>,
}

impl Upload {
    /// The body of a client's request; `Empty` when it has none.
    pub fn client(
        inner: Incoming,
        bytes_max: u64,
        idle_ms_max: u64,
        clock: &Arc<Clock>,
        copy: Option<Rc<Copy>>,
    ) -> (Self, Option<Rc<Progress>>) {
        if inner.is_end_stream() {
            return (Self::Empty, None);
        }
        let progress = Rc::new(Progress::default());
        let streaming = Streaming {
            inner,
            left: bytes_max,
            idle: Duration::from_millis(idle_ms_max),
            timer: None,
            progress: progress.clone(),
            clock: clock.clone(),
            copy,
        };
        (Self::Client(Box::new(streaming)), Some(progress))
    }
}

impl Streaming {
    fn fault(&mut self, fault: Fault) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        self.progress.fault.set(Some(fault));
        if let Some(copy) = self.copy.take() {
            copy.given_up.set(true);
            copy.complete.notify_one();
        }
        Poll::Ready(Some(Err(fault)))
    }

    fn completed(&mut self) {
        self.progress.complete.set(Some(self.clock.now()));
        if let Some(copy) = self.copy.take() {
            copy.complete.notify_one();
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) else {
            let idle = self.idle;
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(idle)));
            ready!(timer.as_mut().poll(cx));
            return self.fault(Fault::Idle);
        };
        if let Some(timer) = &mut self.timer {
            timer.as_mut().reset(Instant::now() + self.idle);
        }
        match frame {
            None => {
                self.completed();
                Poll::Ready(None)
            }
            Some(Err(_)) => self.fault(Fault::Client),
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    match self.left.checked_sub(data.len() as u64) {
                        Some(left) => self.left = left,
                        None => return self.fault(Fault::TooLarge),
                    }
                    if let Some(copy) = &self.copy {
                        copy.keep(data);
                    }
                }
                if self.inner.is_end_stream() {
                    self.completed();
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }
}

impl Copy {
    /// A copy that may become so large.
    pub fn with_room(room: usize) -> Rc<Self> {
        Rc::new(Self { room: Cell::new(room), ..Self::default() })
    }

    fn keep(&self, data: &Bytes) {
        match self.room.get().checked_sub(data.len()) {
            Some(room) if !self.given_up.get() => {
                self.room.set(room);
                self.pieces.borrow_mut().push(data.clone());
            }
            _ => {
                self.given_up.set(true);
                self.pieces.borrow_mut().clear();
            }
        }
    }
}

impl Drop for Streaming {
    /// A body that is dropped before its end will never be complete.
    fn drop(&mut self) {
        if let Some(copy) = self.copy.take() {
            copy.given_up.set(true);
            copy.complete.notify_one();
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Client(streaming) => streaming.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(bytes) => bytes.is_none(),
            Self::Client(streaming) => streaming.inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Client(streaming) => streaming.inner.size_hint(),
        }
    }
}

/// The body of an answer on its way to a client.
pub enum Download {
    /// The proxy's own words.
    Whole(Option<Bytes>),
    /// An instance's answer.
    Instance {
        /// Its body.
        inner: Answer,
        /// Keeps the request counted as open.
        tally: Tally,
    },
}

impl Download {
    /// No body.
    pub fn empty() -> Self {
        Self::Whole(None)
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Instance { inner, tally } => {
                tally.hands_on(false);
                let frame = ready!(Pin::new(&mut *inner).poll_frame(cx));
                match frame {
                    Some(Ok(_)) => tally.hands_on(true),
                    Some(Err(_)) => tally.broke_off(),
                    None => {}
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Instance { inner, .. } => inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Instance { inner, .. } => inner.size_hint(),
        }
    }
}
