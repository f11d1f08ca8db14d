//! What the tests stand on: a proxy in this process, small instances, a control connection.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};
use taxiway_model::control::{Ask, Reply, Snapshot};
use taxiway_model::counts::Counts;
use taxiway_model::ids::{Generation, StreamId, VersionName};
use taxiway_model::route::{
    Applied, Backend, CanaryRoute, Limits, Listen, RouteTable, Sticky, UpstreamProtocol,
};
use taxiway_model::weight::WeightBp;
use taxiway_proxy::{Options, Running, start};

/// No wait in a test is longer than this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn stream() -> StreamId {
    "shop/production".parse().unwrap()
}

pub(crate) fn version(name: &str) -> VersionName {
    VersionName::new(name).unwrap()
}

/// A port nobody listens on at the moment.
pub(crate) fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Asks until the answer is there.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// An instance that answers with its name and counts what it sees.
pub(crate) struct Instance {
    pub(crate) address: String,
    pub(crate) seen: Arc<AtomicU64>,
}

impl Instance {
    pub(crate) fn seen(&self) -> u64 {
        self.seen.load(SeqCst)
    }

    /// Answers every request with 200 and `body`.
    pub(crate) fn saying(body: &'static str) -> Self {
        Self::answering(move |_| {
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
        })
    }

    /// Answers every request with 200 and the request itself as text.
    pub(crate) fn echoing() -> Self {
        Self::answering(|request| {
            let mut answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", request.len()).into_bytes();
            answer.extend_from_slice(request);
            answer
        })
    }

    /// Answers with what `answer` makes of the whole request; an empty answer closes the connection.
    pub(crate) fn answering(answer: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let seen = Arc::new(AtomicU64::new(0));
        let counted = seen.clone();
        let answer = Arc::new(answer);
        let address = listen(move |stream| {
            let mut stream = stream;
            let mut buffered = Vec::new();
            while let Some(request) = read_request(&mut stream, &mut buffered) {
                counted.fetch_add(1, SeqCst);
                let answer = answer(&request);
                if answer.is_empty() || stream.write_all(&answer).is_err() {
                    return;
                }
            }
        });
        Self { address, seen }
    }
}

/// Listens on a free port, a thread per connection; ends with the process.
pub(crate) fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            stream.set_nodelay(true).unwrap();
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

/// A strict reader of HTTP/1.1 requests, independent of the proxy's: head and body as one text.
pub(crate) fn read_request(stream: &mut impl Read, buffered: &mut Vec<u8>) -> Option<Vec<u8>> {
    let head_end = loop {
        if let Some(at) = find(buffered, b"\r\n\r\n") {
            break at + 4;
        }
        fill(stream, buffered)?;
    };
    let head = String::from_utf8_lossy(&buffered[..head_end]).to_ascii_lowercase();
    let mut request: Vec<u8> = buffered.drain(..head_end).collect();
    if head.contains("\r\ntransfer-encoding: chunked\r\n") {
        loop {
            let line = take_line(stream, buffered)?;
            let size = usize::from_str_radix(line.trim().split(';').next()?, 16).ok()?;
            while buffered.len() < size + 2 {
                fill(stream, buffered)?;
            }
            if size == 0 {
                while take_trailer(stream, buffered)? {}
                return Some(request);
            }
            request.extend(buffered.drain(..size));
            buffered.drain(..2);
        }
    }
    let length = head.split("\r\ncontent-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let length: usize = length.map_or(0, |text| text.trim().parse().unwrap());
    while buffered.len() < length {
        fill(stream, buffered)?;
    }
    request.extend(buffered.drain(..length));
    Some(request)
}

fn take_line(stream: &mut impl Read, buffered: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(at) = find(buffered, b"\r\n") {
            let line: Vec<u8> = buffered.drain(..at + 2).collect();
            return String::from_utf8(line).ok();
        }
        fill(stream, buffered)?;
    }
}

/// True while there are more trailers.
fn take_trailer(stream: &mut impl Read, buffered: &mut Vec<u8>) -> Option<bool> {
    Some(take_line(stream, buffered)? != "\r\n")
}

pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn fill(stream: &mut impl Read, buffered: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0; 16 * 1024];
    match stream.read(&mut piece) {
        Ok(count @ 1..) => {
            buffered.extend_from_slice(&piece[..count]);
            Some(())
        }
        _ => None,
    }
}

/// A table of one baseline; tests change what they need.
pub(crate) fn table(listen: &str, baseline: &[&str]) -> RouteTable {
    RouteTable {
        stream: stream(),
        generation: Generation(1),
        listen: Listen {
            addresses: vec![listen.to_owned()],
            tls: None,
            sticky: Sticky::None,
            trusted_proxies: Vec::new(),
            limits: Limits::default(),
            endpoint_classes: Vec::new(),
            health: None,
        },
        baseline: Some(version("v1")),
        canary: None,
        backends: BTreeMap::from([(version("v1"), backends(baseline))]),
    }
}

pub(crate) fn backends(addresses: &[&str]) -> Vec<Backend> {
    let backend = |address: &&str| Backend {
        address: (*address).to_owned(),
        protocol: UpstreamProtocol::Http1,
        accepting: true,
    };
    addresses.iter().map(backend).collect()
}

/// Adds a canary with a share in percent.
pub(crate) fn with_canary(mut table: RouteTable, addresses: &[&str], percent: u16) -> RouteTable {
    table.canary = Some(CanaryRoute {
        version: version("v2"),
        weight: WeightBp::percent(percent),
        header: None,
        mirror: WeightBp::ZERO,
        lease_ms: 60_000,
        drain_ms: 200,
        fresh: None,
    });
    table.backends.insert(version("v2"), backends(addresses));
    table
}

/// A connection to a control socket.
pub(crate) struct Control(BufReader<UnixStream>);

impl Control {
    pub(crate) fn to(socket: &Path) -> Self {
        eventually("the control socket", || Self::try_to(socket))
    }

    pub(crate) fn try_to(socket: &Path) -> Option<Self> {
        let stream = UnixStream::connect(socket).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Some(Self(BufReader::new(stream)))
    }

    pub(crate) fn ask(&mut self, ask: &Ask) -> Reply {
        self.try_ask(ask).expect("a reply")
    }

    /// Asks without waiting for the reply.
    pub(crate) fn tell(&mut self, ask: &Ask) -> Option<()> {
        let mut line = serde_json::to_vec(ask).unwrap();
        line.push(b'\n');
        self.0.get_mut().write_all(&line).ok()
    }

    pub(crate) fn try_ask(&mut self, ask: &Ask) -> Option<Reply> {
        self.tell(ask)?;
        let mut reply = String::new();
        self.0.read_line(&mut reply).ok()?;
        serde_json::from_str(&reply).ok()
    }

    pub(crate) fn apply(&mut self, table: &RouteTable) -> Applied {
        match self.ask(&Ask::Apply { table: Box::new(table.clone()) }) {
            Reply::Applied(applied) => applied,
            other => panic!("not applied: {other:?}"),
        }
    }

    pub(crate) fn refused(&mut self, ask: &Ask) -> String {
        match self.ask(ask) {
            Reply::Refused { why, .. } => why,
            other => panic!("not refused: {other:?}"),
        }
    }

    pub(crate) fn counts(&mut self) -> Snapshot {
        match self.ask(&Ask::Counts { stream: stream() }) {
            Reply::Counts(snapshot) => *snapshot,
            other => panic!("no counts: {other:?}"),
        }
    }

    /// Counts of a version over all classes.
    pub(crate) fn version(&mut self, name: &str) -> Counts {
        let mut all = Counts::default();
        for counts in self.counts().versions.remove(&version(name)).unwrap_or_default().values() {
            all.merge(counts);
        }
        all
    }
}

/// A proxy in this process with its directory.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) control: Control,
    pub(crate) address: String,
    running: Option<Running>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Options { cores: Some(2), ..Options::default() })
    }

    pub(crate) fn with(options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { dir: dir.path().to_owned(), ..options };
        let socket = options.control_socket();
        let running = start(options).unwrap();
        Self { control: Control::to(&socket), dir, address: free_address(), running: Some(running) }
    }

    /// A proxy that serves one instance.
    pub(crate) fn serving(instance: &Instance) -> Self {
        let mut world = Self::new();
        let table = table(&world.address, &[&instance.address]);
        world.control.apply(&table);
        world
    }

    pub(crate) fn client(&self) -> Client {
        Client::to(&self.address)
    }

    /// GET on a connection of its own.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.client().get(path, &[])
    }

    pub(crate) fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop(0);
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop();
    }
}

/// An answer as a client sees it.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// A plain client connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) buffered: Vec<u8>,
}

impl Client {
    pub(crate) fn to(address: &str) -> Self {
        let stream = eventually("a connection", || TcpStream::connect(address).ok());
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, buffered: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let fields: String = headers.iter().flat_map(|(name, value)| [name, ": ", value, "\r\n"]).collect();
        self.send(format!("GET {path} HTTP/1.1\r\nhost: shop.test\r\n{fields}\r\n").as_bytes());
        self.answer().expect("an answer")
    }

    /// The next answer; none when the connection ends first.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        self.head().map(|(status, head)| {
            let mut body = Vec::new();
            let lower = head.to_ascii_lowercase();
            if lower.contains("\r\ntransfer-encoding: chunked") {
                while let Some(piece) = self.chunk() {
                    body.extend(piece);
                }
            } else if let Some(length) = lower.split("\r\ncontent-length: ").nth(1) {
                let length: usize = length.split("\r\n").next().unwrap().trim().parse().unwrap();
                while self.buffered.len() < length {
                    if fill(&mut self.stream, &mut self.buffered).is_none() {
                        break;
                    }
                }
                let length = length.min(self.buffered.len());
                body.extend(self.buffered.drain(..length));
            }
            Answer { status, head, body }
        })
    }

    /// The next answer's head.
    pub(crate) fn head(&mut self) -> Option<(u16, String)> {
        let end = loop {
            if let Some(at) = find(&self.buffered, b"\r\n\r\n") {
                break at + 4;
            }
            fill(&mut self.stream, &mut self.buffered)?;
        };
        let head: Vec<u8> = self.buffered.drain(..end).collect();
        let head = String::from_utf8(head).unwrap();
        Some((head.get(9..12)?.parse().ok()?, head))
    }

    /// The next chunk of a chunked body; none at its end.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = take_line(&mut self.stream, &mut self.buffered)?;
        let size = usize::from_str_radix(line.trim(), 16).ok()?;
        if size == 0 {
            while take_trailer(&mut self.stream, &mut self.buffered)? {}
            return None;
        }
        while self.buffered.len() < size + 2 {
            fill(&mut self.stream, &mut self.buffered)?;
        }
        let piece = self.buffered.drain(..size).collect();
        self.buffered.drain(..2);
        Some(piece)
    }

    /// The next so many bytes.
    pub(crate) fn exactly(&mut self, count: usize) -> Vec<u8> {
        self.try_exactly(count).expect("more bytes")
    }

    /// The next so many bytes; none when the connection ends first.
    pub(crate) fn try_exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.buffered.len() < count {
            fill(&mut self.stream, &mut self.buffered)?;
        }
        Some(self.buffered.drain(..count).collect())
    }

    /// Whether the other end has closed (or reset) the connection.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut one = [0; 1];
        !matches!(self.stream.read(&mut one), Ok(1))
    }
}
