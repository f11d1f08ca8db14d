//! From the decision to go back until the last request routed to the canary, measured at the
//! router: real proxy, real log, real engine, real connections; only the instances are fixed.
//!
//! `cargo xtask bench shift` prints one JSON object; each run is measured without and with 5 ms
//! added to every append.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use taxiway_adapters::traffic::builtin::Builtin;
use taxiway_engine::ports::checks::Checks;
use taxiway_engine::ports::log::{self, Appended, Checkpoint, Log, Verified};
use taxiway_engine::ports::traffic::Traffic;
use taxiway_engine::ports::workload::{self, Workload};
use taxiway_engine::{Engine, Ports, Runner, SystemClock};
use taxiway_model::command::Command;
use taxiway_model::decision::{CheckOrder, DesiredWorkload};
use taxiway_model::document;
use taxiway_model::event::Event;
use taxiway_model::ids::{Digest, StreamId, VersionName};
use taxiway_model::observation::{CheckStatus, Instance, InstancePhase, WorkloadStatus};
use taxiway_model::record::{Actor, NewRecord, StoredRecord};
use taxiway_model::service::{Provenance, ServiceSpec, Version};
use taxiway_model::time::Timestamp;

const ROUNDS: usize = 100;
const CLIENTS: usize = 8;
const WAIT_MS_MAX: u64 = 10_000;

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let rounds = if quick { 10 } else { ROUNDS };
    let plain = measure(rounds, 0);
    let slow = measure(rounds, 5);
    println!(
        "{}",
        serde_json::json!({"bench": "shift", "rounds": rounds, "clients": CLIENTS,
            "unit": "microseconds from the decision to the last request routed to the canary",
            "fsync_as_is": plain, "fsync_plus_5_ms": slow, "target_p99": 10_000})
    );
}

/// Shifts of `rounds` releases that are sent back, as min, p50, p99 and max.
fn measure(rounds: usize, append_delay_ms: u64) -> serde_json::Value {
    let dir = tempfile::tempdir().expect("a directory for temporary files");
    let listen = free_address();
    let addresses = BTreeMap::from([(name("v1"), upstream()), (name("v2"), upstream())]);
    let options = taxiway_proxy::Options {
        dir: dir.path().to_owned(),
        control_socket: None,
        metrics: None,
        cores: None,
        takeover: false,
    };
    let socket = options.control_socket();
    let running = taxiway_proxy::start(options).expect("a proxy in an empty directory");
    let store = taxiway_store::sqlite::Store::open(dir.path(), taxiway_store::sqlite::Options::default())
        .expect("a log in an empty directory");
    let traffic = Arc::new(Builtin::new(socket));
    let ports = Ports {
        log: Arc::new(Slow { inner: store, delay: Duration::from_millis(append_delay_ms) }),
        workload: Arc::new(Fixed { addresses, order: std::sync::Mutex::default() }),
        traffic: Arc::clone(&traffic) as Arc<dyn Traffic>,
        checks: Arc::new(NoChecks),
        clock: Arc::new(SystemClock::new()),
    };
    let engine = Engine::open(ports, "bench").expect("a fresh log");
    let runner = Runner::start(engine.clone(), 2).expect("threads");
    let spec = spec(&listen);
    let stream = StreamId { service: spec.name.clone(), environment: spec.environment.clone() };
    start(&engine, &runner, &stream, &spec, "v1");
    until("v1 is sealed", || engine.state(&stream).stable.is_some());
    let stop = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..CLIENTS).map(|_| client(listen.clone(), &stop, &sent)).collect();
    let mut shifts: Vec<i64> =
        (0..rounds).map(|_| round(&engine, &runner, &stream, &spec, &*traffic)).collect();
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().expect("a client does not panic");
    }
    runner.stop();
    drop(running);
    shifts.sort_unstable();
    let at = |q: usize| shifts[((shifts.len() - 1) * q).div_ceil(100)];
    serde_json::json!({"min": at(0), "p50": at(50), "p99": at(99), "max": at(100),
        "requests": sent.load(Ordering::SeqCst)})
}

/// One release that is exposed, gets traffic, and is sent back; microseconds.
fn round(
    engine: &Engine,
    runner: &Runner,
    stream: &StreamId,
    spec: &ServiceSpec,
    traffic: &dyn Traffic,
) -> i64 {
    start(engine, runner, stream, spec, "v2");
    let canary = name("v2");
    let routed = || traffic.counts(stream).ok().and_then(|counts| counts.last_routed.get(&canary).copied());
    let before = routed();
    until("the canary gets requests", || routed() > before);
    let listener = engine.listen();
    engine
        .submit(stream, &Command::Abort, Actor::Engine, "bench", "")
        .expect("a release in flight can be aborted");
    runner.kick(stream);
    let decided = listener
        .iter()
        .find(|recorded| matches!(recorded.event, Event::ReturnDecided { .. }))
        .expect("the abort is recorded")
        .at;
    until("the release has ended", || engine.state(stream).flight.is_none());
    let last = routed().expect("the canary had requests");
    // The record's time is taken right before the router is asked; a request routed earlier still
    // counts as zero.
    (last.0 - decided.0).max(0)
}

fn start(engine: &Engine, runner: &Runner, stream: &StreamId, spec: &ServiceSpec, version: &str) {
    let version = Version {
        name: name(version),
        digest: Digest::of(version.as_bytes()),
        target: spec.target.clone(),
        provenance: Provenance::default(),
    };
    let plan = taxiway_decide::plan::resolve(spec, version, &engine.state(stream));
    let command = Command::Start { plan: Box::new(plan), again: true };
    engine.submit(stream, &command, Actor::Engine, "bench", "").expect("a sound plan");
    runner.kick(stream);
}

fn spec(listen: &str) -> ServiceSpec {
    let text = format!(
        "name: bench\nowner: bench\ntarget:\n  command: [unused]\n  replicas: 1\ntraffic:\n  listen: [\"{listen}\"]\n\
         strategy:\n  steps:\n    - {{name: half, weight: 50%, bake: 1h}}\n    - {{name: all, weight: 100%, bake: 0s}}\n"
    );
    document::read(text.as_bytes(), "/")
        .unwrap_or_else(|problems| panic!("the bench's own document: {problems:?}"))
}

fn name(text: &str) -> VersionName {
    VersionName::new(text).expect("a valid name")
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let from = Instant::now();
    while !holds() {
        assert!(from.elapsed() < Duration::from_millis(WAIT_MS_MAX), "waited too long until {what}");
        std::thread::yield_now();
    }
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound listener has an address").to_string()
}

/// A tiny HTTP/1.1 server; returns its address.
fn upstream() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound listener has an address").to_string();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            std::thread::spawn(move || answer(connection));
        }
    });
    address
}

fn answer(mut connection: TcpStream) {
    let mut buffer = [0; 8_192];
    while let Ok(read @ 1..) = connection.read(&mut buffer) {
        if buffer[..read].ends_with(b"\r\n\r\n")
            && connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").is_err()
        {
            return;
        }
    }
}

fn client(address: String, stop: &Arc<AtomicBool>, sent: &Arc<AtomicU64>) -> std::thread::JoinHandle<()> {
    let (stop, sent) = (Arc::clone(stop), Arc::clone(sent));
    std::thread::spawn(move || {
        let mut buffer = [0; 8_192];
        while !stop.load(Ordering::SeqCst) {
            let Ok(mut connection) = TcpStream::connect(&address) else { continue };
            while !stop.load(Ordering::SeqCst)
                && connection.write_all(b"GET / HTTP/1.1\r\nhost: bench\r\n\r\n").is_ok()
                && matches!(connection.read(&mut buffer), Ok(1..))
            {
                sent.fetch_add(1, Ordering::Relaxed);
                // Bounded, so that the clients leave cores for what is measured.
                std::thread::park_timeout(Duration::from_micros(500));
            }
        }
    })
}

/// Instances that are always there.
struct Fixed {
    addresses: BTreeMap<VersionName, String>,
    order: std::sync::Mutex<Order>,
}

#[derive(Default)]
struct Order(Option<DesiredWorkload>);

impl Workload for Fixed {
    fn apply(&self, desired: &DesiredWorkload) -> Result<(), workload::Error> {
        self.order.lock().expect("no holder panics").0 = Some(desired.clone());
        Ok(())
    }

    fn observe(&self, _: &StreamId) -> Result<WorkloadStatus, workload::Error> {
        let order = self.order.lock().expect("no holder panics");
        let Some(desired) = &order.0 else { return Ok(WorkloadStatus::default()) };
        let instances = desired.versions.iter().map(|wanted| Instance {
            version: wanted.version.name.clone(),
            number: 0,
            address: self.addresses[&wanted.version.name].clone(),
            phase: InstancePhase::Ready,
            restarts: 0,
            why: String::new(),
            ready_since: Some(Timestamp::default()),
            memory_bytes: 0,
            cpu_milli: 0,
            pid: None,
            output: String::new(),
        });
        Ok(WorkloadStatus {
            generation: desired.generation,
            instances: instances.collect(),
            broken: BTreeMap::new(),
        })
    }

    fn stop(&self, _: &StreamId) -> Result<(), workload::Error> {
        Ok(())
    }
}

/// A release without checks asks for none.
struct NoChecks;

impl Checks for NoChecks {
    fn start(&self, _: &CheckOrder) {}

    fn status(&self, _: &str, _: u32) -> Option<CheckStatus> {
        None
    }
}

/// A log whose every append takes longer.
struct Slow<L> {
    inner: L,
    delay: Duration,
}

impl<L: Log> Log for Slow<L> {
    fn append(
        &self,
        stream: &StreamId,
        expected_seq: u64,
        epoch: u64,
        records: Vec<NewRecord>,
    ) -> Result<Appended, log::Error> {
        std::thread::park_timeout(self.delay);
        self.inner.append(stream, expected_seq, epoch, records)
    }

    fn read(&self, stream: &StreamId, after: u64, limit: usize) -> Result<Vec<StoredRecord>, log::Error> {
        self.inner.read(stream, after, limit)
    }

    fn read_all(&self, after: u64, limit: usize) -> Result<Vec<StoredRecord>, log::Error> {
        self.inner.read_all(after, limit)
    }

    fn streams(&self) -> Result<Vec<(StreamId, u64)>, log::Error> {
        self.inner.streams()
    }

    fn snapshot(&self, stream: &StreamId, format: u32) -> Result<Option<(u64, Vec<u8>)>, log::Error> {
        self.inner.snapshot(stream, format)
    }

    fn keep_snapshot(
        &self,
        stream: &StreamId,
        format: u32,
        seq: u64,
        bytes: &[u8],
    ) -> Result<(), log::Error> {
        self.inner.keep_snapshot(stream, format, seq, bytes)
    }

    fn take_lead(&self, owner: &str) -> Result<u64, log::Error> {
        self.inner.take_lead(owner)
    }

    fn checkpoint(&self) -> Result<Checkpoint, log::Error> {
        self.inner.checkpoint()
    }

    fn verify(&self, kept: Option<&str>) -> Result<Verified, log::Error> {
        self.inner.verify(kept)
    }
}
