//! Records per second that `log verify` and a replay read.
//!
//! Prints one JSON object. Optional argument: number of records (default 200,000).

use std::time::Instant;

use taxiway_engine::ports::log::Log as _;
use taxiway_store::sqlite::{Options, Store};

#[path = "common/sample.rs"]
mod sample;

const STREAMS: usize = 200;
/// Records a follower asks for at once.
const PAGE: usize = 1_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let records: u64 = std::env::args().nth(1).map_or(Ok(200_000), |word| word.parse())?;
    let dir = tempfile::tempdir()?;
    let store = Store::open(dir.path(), Options::default())?;
    sample::fill(&store, STREAMS, records / STREAMS as u64)?;
    let kept = store.checkpoint()?;
    let rate = |begun: Instant| (records as f64 / begun.elapsed().as_secs_f64()) as u64;

    let begun = Instant::now();
    let verified = store.verify(Some(&kept.note))?;
    let verified_per_s = rate(begun);
    assert_eq!((verified.records, verified.damages), (records, Vec::new()));

    let begun = Instant::now();
    let mut last = 0;
    while let Some(record) = store.read_all(last, PAGE)?.last() {
        last = record.global;
    }
    let read_per_s = rate(begun);
    assert_eq!(last, records);

    let begun = Instant::now();
    let mut found = 0;
    for (stream, _) in store.streams()? {
        found += store.read(&stream, 0, usize::MAX)?.len() as u64;
    }
    let read_by_stream_per_s = rate(begun);
    assert_eq!(found, records);

    let printed = serde_json::json!({
        "bench": "verify", "records": records, "verified_per_s": verified_per_s, "read_per_s": read_per_s,
        "read_by_stream_per_s": read_by_stream_per_s, "target": "replay of 100000 events/s",
    });
    println!("{printed}");
    Ok(())
}
