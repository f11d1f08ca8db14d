//! Start on a log of 1,000,000 events with snapshots: time until every stream can be operated.
//!
//! Prints one JSON object. Optional argument: number of events (default 1,000,000). The start is
//! measured in a process of its own, whose memory nothing else has touched.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use taxiway_engine::ports::log::Log as _;
use taxiway_store::sqlite::{Options, Store};

#[path = "common/sample.rs"]
mod sample;

const STREAMS: usize = 1_000;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.as_slice() {
        [word, dir] if word == "--start-on" => start(Path::new(dir)),
        [] => prepare(1_000_000),
        [events, ..] => prepare(events.parse()?),
    }
}

fn prepare(events: u64) -> Outcome {
    let dir = tempfile::tempdir()?;
    let store = Store::open(dir.path(), Options::default())?;
    let begun = Instant::now();
    sample::fill(&store, STREAMS, events / STREAMS as u64)?;
    eprintln!(
        "filled in {:.1} s, {} MB",
        begun.elapsed().as_secs_f64(),
        sample::bytes_in(dir.path()) / 1_000_000
    );
    drop(store);
    let status = Command::new(std::env::current_exe()?).arg("--start-on").arg(dir.path()).status()?;
    if status.success() { Ok(()) } else { Err(format!("the start failed: {status}").into()) }
}

fn start(dir: &Path) -> Outcome {
    let begun = Instant::now();
    let store = Store::open(dir, Options::default())?;
    let opened_ms = begun.elapsed().as_millis() as u64;
    let streams = store.streams()?;
    let (mut records, mut snapshots) = (0, 0);
    for (stream, _) in &streams {
        let from = store.snapshot(stream, 1)?;
        snapshots += usize::from(from.is_some());
        records += store.read(stream, from.map_or(0, |(seq, _)| seq), usize::MAX)?.len();
    }
    let ready_ms = begun.elapsed().as_millis() as u64;
    let epoch = store.take_lead("bench")?;
    let led_ms = begun.elapsed().as_millis() as u64;
    let printed = serde_json::json!({
        "bench": "start", "events": store.checkpoint()?.size, "streams": streams.len(), "snapshots": snapshots,
        "records_after_snapshots": records, "epoch": epoch, "opened_ms": opened_ms,
        "ready_ms": ready_ms, "leading_ms": led_ms, "resident_mb": resident_kb()? / 1_000,
        "log_mb": sample::bytes_in(dir) / 1_000_000, "target": "under 3000 ms",
    });
    println!("{printed}");
    Ok(())
}

fn resident_kb() -> Result<u64, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line =
        status.lines().find(|line| line.starts_with("VmHWM:")).ok_or("no VmHWM in /proc/self/status")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number after VmHWM")?.parse()?)
}
