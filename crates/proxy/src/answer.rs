//! The body of an instance's answer, whichever way it comes.

use crate::line::Reading;
use crate::pool::{Pool, Sender1};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// Why an answer broke off.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// On hyper's connection.
    #[error(transparent)]
    Hyper(#[from] hyper::Error),
    /// On a line.
    #[error(transparent)]
    Line(#[from] io::Error),
}

/// The body of an instance's answer.
pub enum Answer {
    /// Over a line.
    Line(Reading),
    /// Over hyper's client.
    Hyper {
        /// The body.
        inner: Incoming,
        /// The connection, to be used again after a clean end.
        returning: Returning,
    },
}

impl Answer {
    /// An answer over hyper's client; one without a body gives its connection back at once.
    pub fn hyper(inner: Incoming, mut returning: Returning) -> Self {
        if inner.is_end_stream() {
            returning.give_back();
        }
        Self::Hyper { inner, returning }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut *self {
            Self::Line(reading) => reading.poll_frame(cx).map_err(Broken::Line),
            Self::Hyper { inner, returning } => {
                let frame = ready!(Pin::new(&mut *inner).poll_frame(cx));
                let ended = match &frame {
                    None => true,
                    Some(Ok(_)) => inner.is_end_stream(),
                    Some(Err(_)) => false,
                };
                if ended {
                    returning.give_back();
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Broken::Hyper)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Line(reading) => reading.is_end_stream(),
            Self::Hyper { inner, .. } => inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Line(reading) => reading.size_hint(),
            Self::Hyper { inner, .. } => inner.size_hint(),
        }
    }
}

/// hyper's connection while it is busy with an answer; none for a shared one.
pub struct Returning {
    pool: Rc<Pool>,
    sender: Option<Sender1>,
}

impl Returning {
    /// A connection that returns to its pool.
    pub fn new(pool: Rc<Pool>, sender: Option<Sender1>) -> Self {
        Self { pool, sender }
    }

    fn give_back(&mut self) {
        if let Some(sender) = self.sender.take() {
            self.pool.keep(sender);
        }
    }
}
