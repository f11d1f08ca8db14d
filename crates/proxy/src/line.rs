//! HTTP/1.1 towards an instance for requests without a body, which are most: written and read on
//! the connection itself. hyper's client runs each connection as a task of its own and passes
//! heads and bodies over channels; for small answers that hand-over was a sixth of the proxy's CPU
//! time. Requests with bodies and upgrades go the way over hyper (see `pool`).
//!
//! A strict reader: what could be read in two ways ends the connection, and with it the request.

use crate::chunked::{Chunked, Piece};
use crate::head;
use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use std::cell::{Cell, RefCell};
use std::io;
use std::mem::MaybeUninit;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Largest head of an answer. The instance is ours; a larger head is a mistake, not a need.
const HEAD_BYTES_MAX: usize = 128 * 1024;
/// Most header fields of an answer.
const FIELDS_MAX: usize = 100;
/// What one read asks for. Small answers fit; large ones are not cut into too many pieces.
const READ_BYTES: usize = 16 * 1024;
/// What one read asks for in the midst of a large answer.
const READ_BYTES_LARGE: usize = 64 * 1024;

/// Ends what waits for an instance, from outside.
#[derive(Debug, Default)]
pub struct Cutter {
    cut: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Cutter {
    /// Ends the connection; whoever waits on it finds out at once.
    pub fn cut(&self) {
        self.cut.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// An error once it was cut; else remembers whom to wake.
    fn check(&self, cx: &Context<'_>) -> io::Result<()> {
        if self.cut.get() {
            return Err(io::Error::other("the version was cut off after its drain time"));
        }
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Ok(())
    }
}

/// Where a connection goes when its answer has ended cleanly.
pub trait Home {
    /// Takes a connection to be used again.
    fn take_back(&self, line: Line);
}

/// A connection to an instance.
pub struct Line {
    stream: TcpStream,
    buffer: BytesMut,
    out: Vec<u8>,
    places: Vec<Place>,
    cutter: Rc<Cutter>,
}

impl Line {
    /// A fresh connection; `cutter` ends it.
    pub fn new(stream: TcpStream, cutter: Rc<Cutter>) -> Self {
        Self { stream, buffer: BytesMut::new(), out: Vec::new(), places: Vec::new(), cutter }
    }

    /// Whether an idle connection may carry another request: nothing has come unasked, not even
    /// its end.
    pub fn is_quiet(&self) -> bool {
        let unasked = self.stream.try_read(&mut [0]);
        let nothing = matches!(unasked, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        nothing && self.buffer.is_empty() && !self.cutter.cut.get()
    }

    /// Sends a request without a body and waits for the head of its answer, for which it uses the
    /// request's header map again. The connection goes `home` when the answer has ended.
    pub async fn send<B>(
        mut self,
        request: &mut Request<B>,
        home: Weak<dyn Home>,
    ) -> io::Result<Response<Reading>> {
        self.write(request).await?;
        let mut spare = std::mem::take(request.headers_mut());
        let mut head = loop {
            let head = self.head(&mut spare).await?;
            // Interim answers (100, 103) are not passed on; 101 was not asked for.
            if !head.status.is_informational() {
                break head;
            }
            if head.status == StatusCode::SWITCHING_PROTOCOLS {
                return Err(malformed("the instance switched protocols without being asked"));
            }
        };
        let framing = Framing::of(&head, request.method())?;
        if head.hops {
            head::strip_response(&mut head.headers);
        }
        let reusable = head.reusable && framing != Framing::Close;
        let mut reading = Reading { line: Some(self), framing, reusable, home };
        reading.settle();
        let mut response = Response::new(reading);
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        Ok(response)
    }

    async fn write<B>(&mut self, request: &Request<B>) -> io::Result<()> {
        self.out.clear();
        encode(request, &mut self.out);
        let mut writing = pin!(self.stream.write_all(&self.out));
        std::future::poll_fn(|cx| {
            self.cutter.check(cx)?;
            writing.as_mut().poll(cx)
        })
        .await
    }

    async fn head(&mut self, spare: &mut HeaderMap) -> io::Result<Head> {
        loop {
            if let Some(head) = Head::parse(&mut self.buffer, &mut self.places, spare)? {
                return Ok(head);
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(malformed("the answer's head is too large"));
            }
            if std::future::poll_fn(|cx| self.poll_read(cx, READ_BYTES)).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads more into the buffer; zero at the connection's end.
    fn poll_read(&mut self, cx: &mut Context<'_>, size: usize) -> Poll<io::Result<usize>> {
        self.cutter.check(cx)?;
        if self.buffer.capacity() - self.buffer.len() < size / 4 {
            self.buffer.reserve(size);
        }
        pin!(self.stream.read_buf(&mut self.buffer)).poll(cx)
    }
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Writes a request's head. The caller has removed what concerns one connection only.
fn encode<B>(request: &Request<B>, out: &mut Vec<u8>) {
    out.extend_from_slice(request.method().as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(request.uri().path_and_query().map_or("/", |path| path.as_str()).as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in request.headers() {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    // Methods that usually have a body say that there is none (RFC 9110, 8.6).
    let usual_body = [Method::POST, Method::PUT, Method::PATCH].contains(request.method());
    if usual_body && !request.headers().contains_key(CONTENT_LENGTH) {
        out.extend_from_slice(b"content-length: 0\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// The head of an answer.
struct Head {
    status: StatusCode,
    headers: HeaderMap,
    /// The connection may carry another request afterwards.
    reusable: bool,
    /// There are fields that concern this connection only.
    hops: bool,
}

/// Where a field lies in a buffer.
struct Place {
    name: usize,
    name_length: usize,
    value: usize,
    value_length: usize,
}

impl Head {
    /// Takes a head off the buffer, once it is there completely; `spare` gives its room. Names and values become slices of
    /// one shared piece of the buffer, found again by their places in it.
    fn parse(
        buffer: &mut BytesMut,
        places: &mut Vec<Place>,
        spare: &mut HeaderMap,
    ) -> io::Result<Option<Self>> {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut answer = httparse::Response::new(&mut []);
        let parser = httparse::ParserConfig::default();
        let length = match parser.parse_response_with_uninit_headers(&mut answer, buffer, &mut fields) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        };
        let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.ok_or_else(|| malformed("the answer's status is no number from 100 to 999"))?;
        let http11 = answer.version == Some(1);
        let start = buffer.as_ptr() as usize;
        places.clear();
        places.extend(answer.headers.iter().map(|field| Place {
            name: field.name.as_ptr() as usize - start,
            name_length: field.name.len(),
            value: field.value.as_ptr() as usize - start,
            value_length: field.value.len(),
        }));
        let whole = buffer.split_to(length).freeze();
        let mut headers = std::mem::take(spare);
        headers.clear();
        let mut head = Self { status, headers, reusable: http11, hops: false };
        for place in places {
            let name = HeaderName::from_bytes(&whole[place.name..place.name + place.name_length]);
            let value =
                HeaderValue::from_maybe_shared(whole.slice(place.value..place.value + place.value_length));
            let (Ok(name), Ok(value)) = (name, value) else { return Err(malformed("a bad header field")) };
            if head::concerns_one_connection(&name) {
                head.hops = true;
                head.reusable &= name != CONNECTION || !closes(&value);
            }
            head.headers.append(name, value);
        }
        Ok(Some(head))
    }
}

fn closes(connection: &HeaderValue) -> bool {
    connection.as_bytes().split(|b| *b == b',').any(|token| token.trim_ascii().eq_ignore_ascii_case(b"close"))
}

/// How the end of an answer's body is found (RFC 9112, 6.3).
#[derive(Debug, PartialEq)]
enum Framing {
    /// After so many more bytes.
    Length(u64),
    /// By chunks.
    Chunked(Chunked),
    /// At the connection's end.
    Close,
}

impl Framing {
    fn of(head: &Head, method: &Method) -> io::Result<Self> {
        let none = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&head.status);
        if method == Method::HEAD || none {
            return Ok(Self::Length(0));
        }
        let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
        let mut lengths = head.headers.get_all(CONTENT_LENGTH).iter();
        match (codings.next(), lengths.next()) {
            (None, None) => Ok(Self::Close),
            (Some(_), Some(_)) => Err(malformed("both Transfer-Encoding and Content-Length in an answer")),
            (Some(coding), None) => {
                let chunked = coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
                if chunked && codings.next().is_none() {
                    Ok(Self::Chunked(Chunked::default()))
                } else {
                    Err(malformed("a transfer coding other than one 'chunked' in an answer"))
                }
            }
            (None, Some(length)) => {
                if lengths.any(|other| other != length) {
                    return Err(malformed("two lengths in an answer"));
                }
                let digits = length.as_bytes().iter().all(u8::is_ascii_digit);
                let length = length.to_str().ok().filter(|_| digits).and_then(|text| text.parse().ok());
                length.map(Self::Length).ok_or_else(|| malformed("an answer's length is no number"))
            }
        }
    }
}

/// The body of an answer as it is read.
pub struct Reading {
    line: Option<Line>,
    framing: Framing,
    reusable: bool,
    home: Weak<dyn Home>,
}

impl Reading {
    /// Lets go of the connection if the body has ended.
    fn settle(&mut self) {
        let ended = match &self.framing {
            Framing::Length(left) => *left == 0,
            Framing::Chunked(chunked) => chunked.has_ended(),
            Framing::Close => false,
        };
        if ended
            && let Some(line) = self.line.take()
            && self.reusable
            && line.buffer.is_empty()
            && let Some(home) = self.home.upgrade()
        {
            home.take_back(line);
        }
    }

    /// Whether the body has ended.
    pub fn is_end_stream(&self) -> bool {
        self.line.is_none()
    }

    /// How much of the body is left, as far as that is known.
    pub fn size_hint(&self) -> SizeHint {
        match self.framing {
            Framing::Length(left) => SizeHint::with_exact(left),
            Framing::Chunked(_) | Framing::Close => SizeHint::default(),
        }
    }

    /// The next piece of the body.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            let Some(line) = &mut self.line else { return Poll::Ready(None) };
            let frame = self.framing.take(&mut line.buffer);
            match frame {
                Ok(Some(frame)) => {
                    self.settle();
                    return Poll::Ready(Some(Ok(frame)));
                }
                Ok(None) => {}
                Err(error) => {
                    self.line = None;
                    return Poll::Ready(Some(Err(error)));
                }
            }
            self.settle();
            let Some(line) = &mut self.line else { return Poll::Ready(None) };
            let size = if self.framing.is_large() { READ_BYTES_LARGE } else { READ_BYTES };
            match ready!(line.poll_read(cx, size)) {
                Ok(0) => {
                    let complete = self.framing == Framing::Close;
                    self.line = None;
                    let broken = io::Error::from(io::ErrorKind::UnexpectedEof);
                    return Poll::Ready((!complete).then_some(Err(broken)));
                }
                Ok(_) => {}
                Err(error) => {
                    self.line = None;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

impl Framing {
    /// Takes what is there of the body off the buffer; none when more has to be read first.
    fn take(&mut self, buffer: &mut BytesMut) -> io::Result<Option<Frame<Bytes>>> {
        match self {
            Self::Length(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                *left -= count as u64;
                Ok((count > 0).then(|| Frame::data(buffer.split_to(count).freeze())))
            }
            Self::Chunked(chunked) => Ok(chunked.take(buffer)?.map(|piece| match piece {
                Piece::Data(data) => Frame::data(data),
                Piece::Trailers(trailers) => Frame::trailers(trailers),
            })),
            Self::Close => Ok((!buffer.is_empty()).then(|| Frame::data(buffer.split().freeze()))),
        }
    }

    fn is_large(&self) -> bool {
        match self {
            Self::Length(left) => *left > READ_BYTES as u64,
            Self::Chunked(chunked) => chunked.left() > READ_BYTES as u64,
            Self::Close => false,
        }
    }
}
