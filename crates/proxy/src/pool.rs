//! One core's connections to one instance.
//!
//! A request gets a fresh connection or one that was idle for a short while. An idle connection
//! that turns out to be closed before a byte of the request was written is passed over for another
//! one to the same instance. That is the only retry there is: anything more would hide a canary's
//! failures.

use crate::answer::{Answer, Returning};
use crate::body::{Fault, Upload};
use crate::clock::{Clock, Mono};
use crate::counts::{Counter, End};
use crate::health::Health;
use crate::line::{Cutter, Home, Line};
use http::header::UPGRADE;
use http::{Request, Response};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;
use taxiway_model::route::UpstreamProtocol;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

/// How long an idle connection is used again. Below the 5 s after which common servers (Node.js)
/// close theirs: a request sent into a closing connection is lost and counts against the version.
const IDLE_MS_MAX: u64 = 4_000;
/// Idle connections kept per core and instance; more than this many at once are rarely needed.
const IDLE_MAX: usize = 512;
/// How long a connection may take to be made. An instance is near; one that does not accept within
/// this time is not up, and waiting longer only piles requests up.
const CONNECT_MS_MAX: u64 = 3_000;

/// hyper's handle of an HTTP/1.1 connection.
pub type Sender1 = http1::SendRequest<Upload>;
type Sender2 = http2::SendRequest<Upload>;

/// Why an instance gave no answer.
#[derive(Debug)]
pub enum Failure {
    /// No connection.
    Connect(String),
    /// The connection broke before the answer.
    Broke(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(why) => write!(f, "no connection: {why}"),
            Self::Broke(why) => write!(f, "the connection broke before an answer: {why}"),
        }
    }
}

/// One core's connections to one instance.
pub struct Pool {
    /// Where it is.
    pub address: SocketAddr,
    /// Which protocol it speaks.
    pub protocol: UpstreamProtocol,
    /// Its standing, shared by all cores.
    pub health: Arc<Health>,
    core: usize,
    clock: Arc<Clock>,
    idle: RefCell<Vec<(Sender1, Mono)>>,
    idle_lines: RefCell<Vec<(Line, Mono)>>,
    /// Every line there is, idle or not, so that all can be cut.
    cutters: RefCell<Vec<Weak<Cutter>>>,
    own: Weak<Self>,
    shared: RefCell<Option<Sender2>>,
    /// One at a time makes the shared connection; the others wait for it instead of making theirs.
    sharing: tokio::sync::Mutex<()>,
    tasks: RefCell<BTreeMap<u64, AbortHandle>>,
    next_task: Cell<u64>,
    retired: Cell<bool>,
}

impl Pool {
    /// An empty pool.
    pub fn new(
        core: usize,
        address: SocketAddr,
        protocol: UpstreamProtocol,
        health: Arc<Health>,
        clock: Arc<Clock>,
    ) -> Rc<Self> {
        Rc::new_cyclic(|own| Self {
            own: own.clone(),
            idle_lines: RefCell::default(),
            cutters: RefCell::default(),
            address,
            protocol,
            health,
            core,
            clock,
            idle: RefCell::default(),
            shared: RefCell::default(),
            sharing: tokio::sync::Mutex::new(()),
            tasks: RefCell::default(),
            next_task: Cell::new(0),
            retired: Cell::new(false),
        })
    }

    /// Keeps (or no longer keeps) connections for later requests.
    pub fn retire(&self, retired: bool) {
        self.retired.set(retired);
        if retired {
            self.idle.borrow_mut().clear();
            self.idle_lines.borrow_mut().clear();
            self.shared.borrow_mut().take();
        }
    }

    /// Requests and streams this core has under way there.
    pub fn open(&self) -> &Counter {
        self.health.open(self.core)
    }

    /// Counts how a request ended there.
    pub fn ended(&self, end: End) {
        self.health.ended(self.core, end);
    }

    /// Counts an answer that broke off after a good beginning.
    pub fn broke_off(&self) {
        self.health.broke_off(self.core);
    }

    /// Closes every connection and tunnel, open or not; says how many requests that cuts off.
    pub fn cut(&self) -> u64 {
        self.idle.borrow_mut().clear();
        self.idle_lines.borrow_mut().clear();
        for cutter in std::mem::take(&mut *self.cutters.borrow_mut()).iter().filter_map(Weak::upgrade) {
            cutter.cut();
        }
        self.shared.borrow_mut().take();
        for (_, task) in std::mem::take(&mut *self.tasks.borrow_mut()) {
            task.abort();
        }
        self.open().get()
    }

    /// Closes connections that were idle for long.
    pub fn prune(&self, now: Mono) {
        let fresh = |since: &Mono| now.since_ms(*since) < IDLE_MS_MAX;
        self.idle.borrow_mut().retain(|(sender, since)| !sender.is_closed() && fresh(since));
        self.idle_lines.borrow_mut().retain(|(line, since)| fresh(since) && line.is_quiet());
        self.cutters.borrow_mut().retain(|cutter| cutter.strong_count() > 0);
    }

    /// Runs something that lives as long as a connection and ends with `cut`.
    pub fn spawn(self: &Rc<Self>, work: impl Future<Output = ()> + 'static) {
        let id = self.next_task.get();
        self.next_task.set(id + 1);
        let pool = Rc::downgrade(self);
        let task = tokio::task::spawn_local(async move {
            work.await;
            if let Some(pool) = pool.upgrade() {
                pool.tasks.borrow_mut().remove(&id);
            }
        });
        if !task.is_finished() {
            self.tasks.borrow_mut().insert(id, task.abort_handle());
        }
    }

    /// Sends a request and waits for the head of its answer.
    pub async fn send(self: &Rc<Self>, mut request: Request<Upload>) -> Result<Response<Answer>, Failure> {
        match self.protocol {
            UpstreamProtocol::H2c => self.send_http2(request).await,
            UpstreamProtocol::Http1 => {
                let plain =
                    matches!(request.body(), Upload::Empty) && !request.headers().contains_key(UPGRADE);
                if plain { self.send_line(&mut request).await } else { self.send_http1(request).await }
            }
        }
    }

    async fn send_line(self: &Rc<Self>, request: &mut Request<Upload>) -> Result<Response<Answer>, Failure> {
        let line = if let Some(line) = self.take_idle_line() {
            line
        } else {
            let cutter = Rc::new(Cutter::default());
            let line = Line::new(self.connect().await?, cutter.clone());
            self.cutters.borrow_mut().push(Rc::downgrade(&cutter));
            line
        };
        let answer = line.send(request, self.own.clone()).await;
        answer.map(|answer| answer.map(Answer::Line)).map_err(|error| Failure::Broke(error.to_string()))
    }

    async fn send_http1(self: &Rc<Self>, mut request: Request<Upload>) -> Result<Response<Answer>, Failure> {
        loop {
            let reused = self.take_idle();
            let fresh = reused.is_none();
            let mut sender = match reused {
                Some(sender) => sender,
                None => self.connect_http1().await?,
            };
            match sender.try_send_request(request).await {
                Ok(response) => {
                    let returning = Returning::new(self.clone(), Some(sender));
                    return Ok(response.map(|inner| Answer::hyper(inner, returning)));
                }
                Err(mut error) => match error.take_message() {
                    Some(untouched) if !fresh => request = untouched,
                    _ => return Err(Failure::Broke(describe(error.error()))),
                },
            }
        }
    }

    async fn send_http2(self: &Rc<Self>, mut request: Request<Upload>) -> Result<Response<Answer>, Failure> {
        let mut attempts = 0;
        loop {
            let mut sender = self.shared_http2().await?;
            match sender.try_send_request(request).await {
                Ok(response) => {
                    let returning = Returning::new(self.clone(), None);
                    return Ok(response.map(|inner| Answer::hyper(inner, returning)));
                }
                Err(mut error) => {
                    attempts += 1;
                    match error.take_message() {
                        Some(untouched) if attempts < 2 => request = untouched,
                        _ => return Err(Failure::Broke(describe(error.error()))),
                    }
                }
            }
        }
    }

    /// Keeps a connection for a later request.
    pub fn keep(&self, sender: Sender1) {
        let mut idle = self.idle.borrow_mut();
        if !self.retired.get() && !sender.is_closed() && idle.len() < IDLE_MAX {
            idle.push((sender, self.clock.recent()));
        }
    }

    fn take_idle_line(&self) -> Option<Line> {
        let mut idle = self.idle_lines.borrow_mut();
        let now = self.clock.recent();
        while let Some((line, since)) = idle.pop() {
            if now.since_ms(since) < IDLE_MS_MAX && line.is_quiet() {
                return Some(line);
            }
        }
        None
    }

    /// The connection used last is the one least likely to have been closed.
    fn take_idle(&self) -> Option<Sender1> {
        let mut idle = self.idle.borrow_mut();
        let now = self.clock.recent();
        while let Some((sender, since)) = idle.pop() {
            if sender.is_ready() && now.since_ms(since) < IDLE_MS_MAX {
                return Some(sender);
            }
        }
        None
    }

    async fn connect(&self) -> Result<TcpStream, Failure> {
        let connecting = TcpStream::connect(self.address);
        let failure = match tokio::time::timeout(Duration::from_millis(CONNECT_MS_MAX), connecting).await {
            Ok(Ok(stream)) => {
                fail::fail_point!("proxy.after-upstream-connect");
                let _ = stream.set_nodelay(true);
                self.health.succeeded();
                return Ok(stream);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("not accepted within {CONNECT_MS_MAX} ms"),
        };
        self.health.failed(self.clock.now(), &failure);
        Err(Failure::Connect(failure))
    }

    async fn connect_http1(self: &Rc<Self>) -> Result<Sender1, Failure> {
        let stream = self.connect().await?;
        let handshake = http1::Builder::new().handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|e| Failure::Connect(describe(&e)))?;
        self.spawn(async move {
            // An error here reaches whoever waits for an answer; without one it concerns nobody.
            let _ = connection.with_upgrades().await;
        });
        Ok(sender)
    }

    async fn shared_http2(self: &Rc<Self>) -> Result<Sender2, Failure> {
        if let Some(sender) = self.open_http2() {
            return Ok(sender);
        }
        let _one = self.sharing.lock().await;
        if let Some(sender) = self.open_http2() {
            return Ok(sender);
        }
        let stream = self.connect().await?;
        let mut builder = http2::Builder::new(Local);
        builder.timer(TokioTimer::new()).adaptive_window(true);
        let handshake = builder.handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|e| Failure::Connect(describe(&e)))?;
        self.spawn(async move {
            let _ = connection.await;
        });
        *self.shared.borrow_mut() = Some(sender.clone());
        Ok(sender)
    }

    fn open_http2(&self) -> Option<Sender2> {
        self.shared.borrow().as_ref().filter(|sender| !sender.is_closed()).cloned()
    }
}

impl Home for Pool {
    fn take_back(&self, line: Line) {
        let mut idle = self.idle_lines.borrow_mut();
        if !self.retired.get() && idle.len() < IDLE_MAX {
            idle.push((line, self.clock.recent()));
        }
    }
}

/// What a connection's end says, with its cause: hyper's own words are short.
fn describe(error: &hyper::Error) -> String {
    use std::error::Error as _;
    let fault = error.source().and_then(|source| source.downcast_ref::<Fault>());
    match (fault, error.source()) {
        (Some(fault), _) => fault.to_string(),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}

/// Runs hyper's tasks on the core they were made on.
#[derive(Debug, Clone, Copy)]
pub struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, work: F) {
        tokio::task::spawn_local(async move {
            work.await;
        });
    }
}
