//! Appends per second from 64 writers, with the disk as it is and with an fsync of 5 ms.
//!
//! Prints one JSON object. Optional argument: seconds per measurement (default 5).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use taxiway_engine::ports::log::Log as _;
use taxiway_store::points;
use taxiway_store::sqlite::{Options, Store};

#[path = "common/sample.rs"]
mod sample;

const WRITERS: usize = 64;

/// What one measurement found.
struct Measured {
    appends_per_s: u64,
    p50_us: u64,
    p99_us: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds: u64 = std::env::args().nth(1).map_or(Ok(5), |word| word.parse())?;
    let plain = measure(Duration::from_secs(seconds))?;
    let _scenario = fail::FailScenario::setup();
    fail::cfg(points::APPEND_BEFORE_COMMIT, "sleep(5)")?;
    let slow = measure(Duration::from_secs(seconds))?;
    let object = |measured: &Measured| {
        serde_json::json!({
            "appends_per_s": measured.appends_per_s,
            "p50_us": measured.p50_us,
            "p99_us": measured.p99_us,
        })
    };
    let printed = serde_json::json!({
        "bench": "store", "writers": WRITERS, "seconds": seconds, "payload_bytes": sample::PAYLOAD_BYTES,
        "fsync_of_the_disk": object(&plain), "fsync_plus_5_ms": object(&slow),
        "target": "2000 appends/s with an fsync of 5 ms",
    });
    println!("{printed}");
    Ok(())
}

fn measure(duration: Duration) -> Result<Measured, Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let store = Store::open(dir.path(), Options::default())?;
    let stop = AtomicBool::new(false);
    let begun = Instant::now();
    let mut waits_us: Vec<u64> = Vec::new();
    std::thread::scope(|scope| {
        let (store, stop) = (&store, &stop);
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| scope.spawn(move || write(store, stop, writer))).collect();
        std::thread::sleep(duration);
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            waits_us.extend(writer.join().expect("no writer panics"));
        }
    });
    let seconds = begun.elapsed().as_secs_f64();
    waits_us.sort_unstable();
    let at = |share: usize| waits_us[(waits_us.len() - 1) * share / 100];
    let verified = store.verify(None)?;
    assert_eq!((verified.damages, verified.records), (Vec::new(), waits_us.len() as u64));
    Ok(Measured { appends_per_s: (waits_us.len() as f64 / seconds) as u64, p50_us: at(50), p99_us: at(99) })
}

/// Appends to a stream of its own, one record at a time, each time waiting until it is durable.
fn write(store: &Store, stop: &AtomicBool, writer: usize) -> Vec<u64> {
    let stream = sample::stream(writer);
    let mut waits_us = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let seq = waits_us.len() as u64;
        let asked = Instant::now();
        store.append(&stream, seq, 0, vec![sample::record(seq)]).expect("the disk takes it");
        waits_us.push(u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    waits_us
}
