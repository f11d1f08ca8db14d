//! The proxy replaced, killed and restarted under load.

use crate::process::Process;
use crate::world::{Client, Instance, eventually, free_address, stream, table, version, with_canary};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use taxiway_model::control::{Ask, Reply};
use taxiway_model::ids::Generation;
use taxiway_proxy::Options;

/// Clients that send requests until told to stop. A connection that the proxy announced to close
/// (or that it closed while idle) is made anew, as every HTTP client does; a connection refused or
/// an answer missing is a lost request.
struct Traffic {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

impl Traffic {
    fn start(address: &str, clients: usize) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let clients = (0..clients)
            .map(|i| {
                let (stop, answered, address) = (stop.clone(), answered.clone(), address.to_owned());
                std::thread::spawn(move || {
                    let mut lost = Vec::new();
                    while !stop.load(SeqCst) {
                        // Half of the clients connect for each request, to test the backlogs.
                        let per_connection = if i % 2 == 0 { 50 } else { 1 };
                        if let Err(what) = requests(&address, per_connection, &answered) {
                            lost.push(what);
                        }
                    }
                    lost
                })
            })
            .collect();
        Self { stop, answered, clients }
    }

    fn answered(&self) -> u64 {
        self.answered.load(SeqCst)
    }

    fn more(&self, count: u64) {
        let before = self.answered();
        eventually("more answers", || (self.answered() >= before + count).then_some(()));
    }

    fn finish(self) -> (u64, Vec<String>) {
        self.stop.store(true, SeqCst);
        let lost = self.clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        (self.answered.load(SeqCst), lost)
    }
}

fn requests(address: &str, count: usize, answered: &AtomicU64) -> Result<(), String> {
    let connected = std::net::TcpStream::connect(address).map_err(|e| format!("not connected: {e}"))?;
    connected.set_nodelay(true).unwrap();
    connected.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut client = Client { stream: connected, buffered: Vec::new() };
    for _ in 0..count {
        use std::io::Write;
        let sent = client.stream.write_all(b"GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n");
        sent.map_err(|e| format!("not sent: {e}"))?;
        let answer = client.answer().ok_or("no answer")?;
        if answer.status != 200 {
            return Err(format!("{}: {}", answer.status, answer.text()));
        }
        answered.fetch_add(1, SeqCst);
        if answer.header("connection") == Some("close") {
            return Ok(());
        }
    }
    Ok(())
}

#[test]
fn a_successor_takes_over_without_a_lost_request() {
    let (one, two) = (Instance::saying("one"), Instance::saying("two"));
    let dir = tempfile::tempdir().unwrap();
    let address = free_address();
    let mut current = Process::start(dir.path(), false);
    let table = with_canary(table(&address, &[&one.address]), &[&two.address], 50);
    current.control().apply(&table);
    let traffic = Traffic::start(&address, 6);
    traffic.more(200);
    for _ in 0..3 {
        let next = Process::start(dir.path(), true);
        let mut control = next.control();
        let mut old = std::mem::replace(&mut current, next);
        assert!(old.ends(), "the predecessor ends well");
        traffic.more(200);
        let Reply::Hello { tables, .. } = control.ask(&Ask::Hello) else { panic!() };
        let applied = &tables["shop/production"];
        assert_eq!(
            (applied.weight.bp(), applied.lease_ended),
            (5_000, false),
            "the rest of the lease goes with it"
        );
    }
    let (answered, lost) = traffic.finish();
    assert!(lost.is_empty(), "{} of {answered} lost: {lost:?}", lost.len());
    let seen = one.seen() + two.seen();
    assert_eq!(seen, answered, "each request reached an instance exactly once");
}

#[test]
fn what_was_given_back_stays_given_back_for_the_successor() {
    let (one, two) = (Instance::saying("one"), Instance::saying("two"));
    let dir = tempfile::tempdir().unwrap();
    let address = free_address();
    let old = Process::start(dir.path(), false);
    old.control().apply(&with_canary(table(&address, &[&one.address]), &[&two.address], 100));
    old.control().ask(&Ask::ToBaseline { stream: stream(), generation: Generation(5) });
    let new = Process::start(dir.path(), true);
    let renew = Ask::RenewLease { stream: stream(), generation: Generation(5), lease_ms: 60_000 };
    assert!(new.control().refused(&renew).contains("given back"));
    for _ in 0..20 {
        assert_eq!(Client::to(&address).get("/", &[]).text(), "one");
    }
}

#[test]
fn a_killed_proxy_serves_again_within_a_second_of_its_restart() {
    let instance = Instance::saying("one");
    let dir = tempfile::tempdir().unwrap();
    let address = free_address();
    let mut process = Process::start(dir.path(), false);
    process.control().apply(&table(&address, &[&instance.address]));
    for _ in 0..3 {
        let traffic = Traffic::start(&address, 2);
        traffic.more(20);
        process.kill();
        traffic.finish();
        let killed = Instant::now();
        process = Process::start(dir.path(), false);
        assert_eq!(Client::to(&address).get("/", &[]).text(), "one");
        assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
    }
    assert_eq!(process.control().version("v1").requests, 1, "counts begin at zero with each start");
}

#[test]
fn a_second_proxy_on_a_directory_is_refused_unless_it_takes_over() {
    let dir = tempfile::tempdir().unwrap();
    let first = Process::start(dir.path(), false);
    first.control();
    let options = Options { dir: dir.path().to_owned(), cores: Some(1), ..Options::default() };
    let Err(refusal) = taxiway_proxy::start(options) else { panic!("two proxies on one directory") };
    assert!(refusal.to_string().contains("another proxy serves this data directory"), "{refusal}");
}

#[test]
fn a_broken_table_file_hurts_only_its_service() {
    let instance = Instance::saying("one");
    let dir = tempfile::tempdir().unwrap();
    let address = free_address();
    let mut process = Process::start(dir.path(), false);
    process.control().apply(&table(&address, &[&instance.address]));
    process.kill();
    std::fs::write(dir.path().join("proxy/other@production.json"), "{\"table\": nonsense").unwrap();
    let process = Process::start(dir.path(), false);
    assert_eq!(Client::to(&address).get("/", &[]).text(), "one");
    let Reply::Hello { tables, .. } = process.control().ask(&Ask::Hello) else { panic!() };
    assert_eq!(tables.keys().collect::<Vec<_>>(), ["shop/production"]);
}

#[test]
fn a_full_disk_refuses_more_exposure_but_never_less() {
    let (one, two) = (Instance::saying("one"), Instance::saying("two"));
    let dir = tempfile::tempdir().unwrap();
    let address = free_address();
    let process = Process::start(dir.path(), false);
    let mut control = process.control();
    let mut table = with_canary(table(&address, &[&one.address]), &[&two.address], 10);
    control.apply(&table);
    // A directory in the place of the new file fails every write, for root too.
    std::fs::create_dir(dir.path().join("proxy/shop@production.json.new")).unwrap();
    table.generation = Generation(2);
    table.canary.as_mut().unwrap().weight = taxiway_model::weight::WeightBp::percent(50);
    let why = control.refused(&Ask::Apply { table: Box::new(table.clone()) });
    assert!(why.contains("only served when it is kept"), "{why}");
    assert_eq!(control.counts().weight.bp(), 1_000);
    table.generation = Generation(3);
    table.canary.as_mut().unwrap().weight = taxiway_model::weight::WeightBp::ZERO;
    assert_eq!(control.apply(&table).weight.bp(), 0);
    table.generation = Generation(4);
    let reply = control.ask(&Ask::ToBaseline { stream: stream(), generation: Generation(4) });
    assert!(matches!(reply, Reply::Applied(_)), "{reply:?}");
    assert!(control.counts().versions.contains_key(&version("v1")));
}

#[test]
fn a_successor_that_dies_midway_changes_nothing() {
    let (one, two) = (Instance::saying("one"), Instance::saying("two"));
    let dir = tempfile::tempdir().unwrap();
    let address = free_address();
    let mut old = Process::start(dir.path(), false);
    old.control().apply(&with_canary(table(&address, &[&one.address]), &[&two.address], 100));
    let traffic = Traffic::start(&address, 4);
    for point in ["proxy.takeover-received", "proxy.takeover-before-ready"] {
        let mut successor = Process::start_with(dir.path(), true, &format!("{point}=panic"));
        assert!(!successor.ends(), "{point}: it was to die");
        traffic.more(50);
    }
    // A connection that only the dead successor had accepted is lost with it; nothing else is.
    let lost = traffic.finish().1;
    assert!(
        lost.iter().all(|what| what.starts_with("no answer") || what.starts_with("not sent")),
        "{lost:?}"
    );
    assert!(!old.control().counts().lease_ended);
    assert_eq!(Client::to(&address).get("/", &[]).text(), "two", "the lease runs on");
    let heir = Process::start(dir.path(), true);
    heir.control();
    assert!(old.ends());
    assert_eq!(Client::to(&address).get("/", &[]).text(), "two");
}

#[test]
fn a_proxy_that_dies_around_a_write_serves_the_old_table_or_the_new() {
    let (one, two) = (Instance::saying("one"), Instance::saying("two"));
    for (point, generation) in [("proxy.before-table-persist", 1), ("proxy.after-table-persist", 2)] {
        let dir = tempfile::tempdir().unwrap();
        let address = free_address();
        let first = table(&address, &[&one.address]);
        // The first write passes, the second meets the fail point and the process is killed there.
        let mut process = Process::start_with(dir.path(), false, &format!("{point}=1*off->sleep(60000)"));
        let mut control = process.control();
        control.apply(&first);
        let mut second = with_canary(first, &[&two.address], 50);
        second.generation = Generation(2);
        control.tell(&Ask::Apply { table: Box::new(second) });
        let kept = dir.path().join("proxy/shop@production.json");
        if generation == 2 {
            eventually("the new file", || {
                std::fs::read_to_string(&kept).ok()?.contains("\"v2\"").then_some(())
            });
        }
        process.kill();
        let process = Process::start(dir.path(), false);
        let Reply::Hello { tables, .. } = process.control().ask(&Ask::Hello) else { panic!() };
        assert_eq!(tables["shop/production"].generation, Generation(generation), "{point}");
        assert_eq!(Client::to(&address).get("/", &[]).text(), "one", "no lease survives");
    }
}
