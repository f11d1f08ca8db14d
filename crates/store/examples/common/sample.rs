//! What the benches append: records as large as those of a release in progress.

use std::path::Path;

use taxiway_engine::ports::log::{Error, Log as _};
use taxiway_model::ids::StreamId;
use taxiway_model::record::{Actor, NewRecord};
use taxiway_model::time::Timestamp;
use taxiway_store::sqlite::Store;

/// An evidence window with its counts and sparse histograms.
pub(crate) const PAYLOAD_BYTES: usize = 400;

pub(crate) fn stream(number: usize) -> StreamId {
    format!("service-{number:05}/production").parse().expect("a stream's name")
}

pub(crate) fn record(number: u64) -> NewRecord {
    let mut payload = format!("{{\"window\":{number},\"filler\":\"").into_bytes();
    payload.resize(PAYLOAD_BYTES - 2, b'x');
    payload.extend(b"\"}");
    NewRecord {
        at: Timestamp(1_700_000_000_000_000 + number as i64),
        actor: Actor::Engine,
        origin: "engine".to_owned(),
        reason: String::new(),
        dedup: Some(format!("window-{number}")),
        kind: "evidence_recorded".to_owned(),
        format: 1,
        payload,
    }
}

/// Fills a log: `streams` streams of `each` records with all payloads different, and a snapshot of
/// each stream ten records before its end.
#[allow(dead_code, reason = "not every bench fills a log beforehand")]
pub(crate) fn fill(store: &Store, streams: usize, each: u64) -> Result<(), Error> {
    for number in 0..streams {
        let stream = stream(number);
        let base = number as u64 * each;
        let records: Vec<NewRecord> = (base..base + each).map(record).collect();
        store.append(&stream, 0, 0, records)?;
        store.keep_snapshot(&stream, 1, each.saturating_sub(10), &vec![b's'; 2_048])?;
    }
    Ok(())
}

/// Size of the files in a folder, in bytes.
#[allow(dead_code, reason = "not every bench looks at the disk")]
pub(crate) fn bytes_in(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}
