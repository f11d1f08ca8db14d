//! Clients that take more than their share: each is held to its bound, and honest clients hardly
//! notice.

use crate::downgrade::{fields, frame, opening};
use crate::process::Process;
use crate::world::{Client, Instance, World, eventually, free_address, listen, read_request, table};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};
use taxiway_model::route::Limits;

fn limited(instance: &str, change: impl FnOnce(&mut Limits)) -> World {
    let mut world = World::new();
    let mut table = table(&world.address, &[instance]);
    change(&mut table.listen.limits);
    world.control.apply(&table);
    world
}

#[test]
fn heads_over_the_limits_are_refused() {
    let instance = Instance::saying("ok");
    let world = limited(&instance.address, |_| {});
    let megabyte = format!("GET / HTTP/1.1\r\nhost: x\r\nx-large: {}\r\n\r\n", "a".repeat(1 << 20));
    let many = format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "x-a: b\r\n".repeat(101));
    let line = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(100_000));
    for (request, statuses) in [(megabyte, &[431][..]), (many, &[431]), (line, &[414, 431])] {
        let mut client = world.client();
        // Refused while it is still being sent: the rest may not be accepted any more.
        let _ = client.stream.write_all(request.as_bytes());
        if let Some(answer) = client.answer() {
            assert!(statuses.contains(&answer.status), "{answer:?}");
        }
        assert!(client.is_closed());
    }
    let fits = format!("x-large: {}\r\n", "a".repeat(60_000));
    let mut client = world.client();
    client.send(format!("GET / HTTP/1.1\r\nhost: x\r\n{fits}\r\n").as_bytes());
    assert_eq!(client.answer().unwrap().status, 200);
    assert_eq!(instance.seen(), 1);
}

#[test]
fn a_chunked_body_over_the_limit_is_refused_as_it_comes() {
    let instance = Instance::saying("ok");
    let mut world = limited(&instance.address, |limits| limits.body_bytes_max = 10_000);
    let mut client = world.client();
    client.send(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    for _ in 0..3 {
        let _ = client.stream.write_all(format!("1000\r\n{}\r\n", "x".repeat(0x1000)).as_bytes());
    }
    assert_eq!(client.answer().unwrap().status, 413);
    assert!(client.is_closed());
    assert_eq!(instance.seen(), 0);
    let counts = world.control.counts();
    assert_eq!(counts.refused["body_too_large"], 1);
    assert_eq!(world.control.version("v1").errors(), 0, "the client's fault is not the version's");
}

#[test]
fn slow_heads_and_bodies_are_ended() {
    let instance = Instance::saying("ok");
    let mut world = limited(&instance.address, |limits| {
        limits.header_ms_max = 300;
        limits.body_idle_ms_max = 300;
    });
    // Drips bytes faster than any gap limit, but the head as a whole takes too long.
    let mut slow = world.client();
    slow.send(b"GET / HTTP/1.1\r\nhost: x\r\nx-a: ");
    let mut dripping = slow.stream.try_clone().unwrap();
    std::thread::spawn(move || {
        while dripping.write_all(b"a").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    assert_eq!(slow.answer().unwrap().status, 408);
    assert!(slow.is_closed());
    // One that says nothing at all, one that stops in the middle of a preface, one in a body.
    for opening in [&b""[..], b"PRI", b"GE"] {
        let mut silent = world.client();
        silent.send(opening);
        if let Some(answer) = silent.answer() {
            assert_eq!(answer.status, 408);
        }
        assert!(silent.is_closed(), "{opening:?}");
    }
    let mut stuck = world.client();
    stuck.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf");
    assert_eq!(stuck.answer().unwrap().status, 408);
    assert!(stuck.is_closed());
    assert_eq!(instance.seen(), 0);
    let refused = world.control.counts().refused;
    assert!(refused["head_timeout"] >= 2 && refused["body_timeout"] == 1, "{refused:?}");
    assert_eq!(world.control.version("v1").errors(), 0);
}

#[test]
fn an_instance_that_does_not_answer_is_a_timeout() {
    let instance = listen(|mut stream| {
        read_request(&mut stream, &mut Vec::new());
        let _ = stream.read(&mut [0]);
    });
    let mut world = limited(&instance, |limits| limits.response_ms_max = 250);
    let begun = Instant::now();
    let answer = world.get("/");
    assert_eq!(answer.status, 504);
    assert!(begun.elapsed() >= Duration::from_millis(240));
    // The limit runs from the request's end: a long upload is no slow answer.
    let mut client = world.client();
    client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 8\r\n\r\n");
    let begun = Instant::now();
    for _ in 0..8 {
        client.send(b"x");
        std::thread::sleep(Duration::from_millis(60));
    }
    assert_eq!(client.answer().unwrap().status, 504);
    assert!(begun.elapsed() >= Duration::from_millis(8 * 60 + 150), "{:?}", begun.elapsed());
    let counts = world.control.version("v1");
    assert_eq!((counts.requests, counts.timeouts, counts.errors()), (2, 2, 2));
}

#[test]
fn idle_connections_and_clients_that_do_not_read_are_closed() {
    let instance = Instance::answering(|request| {
        let length = if request.starts_with(b"GET /large") { 64 << 20 } else { 2 };
        let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").into_bytes();
        answer.resize(answer.len() + length, b'x');
        answer
    });
    let mut world = limited(&instance.address, |limits| limits.idle_ms_max = 300);
    let mut idle = world.client();
    idle.get("/", &[]);
    assert!(idle.is_closed());
    let mut deaf = world.client();
    deaf.send(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n");
    eventually("the deaf client's end", || world.control.counts().refused.get("write_timeout").copied());
    eventually("nothing open", || world.control.counts().open.values().all(|open| *open == 0).then_some(()));
}

#[test]
fn connections_over_the_limit_are_closed_at_once() {
    let instance = Instance::saying("ok");
    let mut world = limited(&instance.address, |limits| limits.connections_max = 10);
    let mut clients: Vec<_> = (0..10).map(|_| world.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/", &[]).status, 200);
    }
    assert!(world.client().is_closed());
    assert_eq!(world.control.counts().refused["connections_max"], 1);
    clients.pop();
    eventually("room for another", || {
        let mut client = world.client();
        client.stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").ok()?;
        client.answer()
    });
}

fn open_stream(number: u32) -> Vec<u8> {
    let block =
        fields(&[(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"x"), (b":path", b"/")]);
    frame(1, 5, number, &block)
}

#[test]
fn rapid_reset_ends_the_connection() {
    let instance = Instance::saying("ok");
    let world = limited(&instance.address, |_| {});
    let mut client = world.client();
    client.send(&opening());
    let mut sent = 0;
    for number in (1..20_000).step_by(2) {
        let attack = [open_stream(number), frame(3, 0, number, &8_u32.to_be_bytes())].concat();
        if client.stream.write_all(&attack).is_err() {
            break;
        }
        sent += 1;
    }
    let mut rest = Vec::new();
    let _ = client.stream.read_to_end(&mut rest);
    assert!(crate::world::find(&rest, &[0, 0, 0, 11]).is_some(), "GOAWAY with ENHANCE_YOUR_CALM");
    assert!(instance.seen() < 1_000, "{} of {sent} reached the instance", instance.seen());
    assert_eq!(world.get("/").status, 200);
}

#[test]
fn streams_at_once_are_bounded() {
    let gate = std::sync::Arc::new(AtomicBool::new(false));
    let wait = gate.clone();
    let instance = Instance::answering(move |_| {
        while !wait.load(SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()
    });
    let mut world = limited(&instance.address, |limits| limits.h2_streams_max = 8);
    let mut client = world.client();
    client.send(&opening());
    for number in (1..101).step_by(2) {
        let _ = client.stream.write_all(&open_stream(number));
    }
    eventually("eight open requests", || {
        (world.control.counts().open.values().sum::<u64>() == 8).then_some(())
    });
    assert!(instance.seen() <= 8, "{}", instance.seen());
    gate.store(true, SeqCst);
}

/// The 99th percentile of honest requests, each on a kept connection.
fn honest_p99(address: &str) -> Duration {
    let mut client = Client::to(address);
    let mut times: Vec<_> = (0..500)
        .map(|_| {
            let begun = Instant::now();
            assert_eq!(client.get("/", &[]).status, 200);
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() * 99 / 100]
}

/// A proxy process with its address; limits are shortened by the test.
fn process(instance: &str, change: impl FnOnce(&mut Limits)) -> (tempfile::TempDir, Process, String) {
    let dir = tempfile::tempdir().unwrap();
    let address = free_address();
    let process = Process::start(dir.path(), false);
    let mut table = table(&address, &[instance]);
    change(&mut table.listen.limits);
    process.control().apply(&table);
    (dir, process, address)
}

/// What others may do to an honest client's p99: double it. The floor is what a busy test machine
/// of two cores adds by itself now and then; for the same reason the least of five measurements
/// counts. Harm done by an attack would be in all of them.
fn hardly_noticed(quiet: Duration, address: &str) {
    let bound = 2 * quiet.max(Duration::from_millis(5));
    let mut attacked = Vec::new();
    while attacked.len() < 5 && attacked.last().is_none_or(|p99| *p99 > bound) {
        attacked.push(honest_p99(address));
    }
    assert!(attacked.last().is_some_and(|p99| *p99 <= bound), "p99 {quiet:?} became {attacked:?}");
}

#[test]
fn ten_thousand_idle_connections_hardly_touch_the_others() {
    let instance = Instance::saying("ok");
    let (_dir, process, address) = process(&instance.address, |_| {});
    let quiet = honest_p99(&address);
    // Each end of a connection takes a descriptor, here and in the proxy's process; other tests of
    // this process need some too.
    let (_, hard) = rlimit();
    let wanted = 10_000.min(usize::try_from(hard / 5 * 3).unwrap_or(usize::MAX));
    if wanted < 10_000 {
        eprintln!("scaled down to {wanted} connections: the hard limit on descriptors is {hard}");
    }
    let mut idle = Vec::with_capacity(wanted);
    for _ in 0..wanted {
        // Each has asked once, so that it is idle rather than new.
        let mut client = eventually("a connection", || TcpStream::connect(&address).ok());
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        assert!(client.read(&mut [0; 512]).unwrap() > 0);
        idle.push(client);
    }
    hardly_noticed(quiet, &address);
    assert_eq!(process.control().counts().refused.get("connections_max"), None);
}

/// The limits on descriptors, the soft one raised to the hard one.
fn rlimit() -> (u64, u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(u64::MAX);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    (limit.current.unwrap_or(u64::MAX), hard)
}

#[test]
fn slow_attackers_hardly_touch_the_others() {
    let instance = Instance::saying("ok");
    let (_dir, _process, address) = process(&instance.address, |limits| limits.header_ms_max = 3_000);
    let quiet = honest_p99(&address);
    let stop = std::sync::Arc::new(AtomicBool::new(false));
    let attacker = {
        let (stop, address) = (stop.clone(), address.clone());
        std::thread::spawn(move || {
            let opening = |i: usize| match i % 3 {
                0 => b"GET / HTTP/1.1\r\nhost: x\r\nx-a: ".to_vec(),
                1 => b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n".to_vec(),
                _ => super::downgrade::opening(),
            };
            let connect = |i: usize| {
                let mut stream = TcpStream::connect(&address).ok()?;
                stream.write_all(&opening(i)).ok()?;
                Some(stream)
            };
            let mut slow: Vec<_> = (0..900).filter_map(connect).collect();
            while !stop.load(SeqCst) {
                for (i, stream) in slow.iter_mut().enumerate() {
                    if i % 3 < 2
                        && stream.write_all(b"a").is_err()
                        && let Some(again) = connect(i)
                    {
                        *stream = again;
                    }
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        })
    };
    std::thread::sleep(Duration::from_millis(300));
    hardly_noticed(quiet, &address);
    stop.store(true, SeqCst);
    attacker.join().unwrap();
}

#[test]
fn a_large_body_passes_without_being_held() {
    const BYTES: usize = 256 << 20;
    let instance = listen(|mut stream| {
        let mut piece = vec![0; 1 << 20];
        let (mut head, mut got) = (Vec::new(), 0);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut piece[..1]).unwrap();
            head.push(piece[0]);
        }
        while got < BYTES {
            got += stream.read(&mut piece).unwrap();
        }
        stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {BYTES}\r\n\r\n").as_bytes()).unwrap();
        for _ in 0..BYTES >> 20 {
            stream.write_all(&piece).unwrap();
        }
    });
    let (_dir, process, address) = process(&instance, |_| {});
    let mut client = Client::to(&address);
    client.send(format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {BYTES}\r\n\r\n").as_bytes());
    let piece = vec![7; 1 << 20];
    for _ in 0..BYTES >> 20 {
        client.send(&piece);
    }
    assert_eq!(client.head().unwrap().0, 200);
    let mut got = client.buffered.len();
    let mut piece = vec![0; 1 << 20];
    while got < BYTES {
        let count = client.stream.read(&mut piece).unwrap();
        assert!(count > 0, "the answer broke off at {got}");
        got += count;
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.child.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak_kib < 64 * 1024, "{peak_kib} KiB of memory for a body of {BYTES} bytes");
}
