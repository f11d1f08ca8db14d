//! Releases to play: one stretch a minute.

use taxiway_peers::{Side, Stretch};
use taxiway_stats::histogram::{SCALE, index_of};

/// Stretches in rising order.
pub(crate) type Release = Vec<Stretch>;

/// So many minutes of `total` canary requests, `bad` of them failed, beginning at minute `from`; the baseline has ten
/// times the requests and 1 % errors. Latency is 100 ms.
pub(crate) fn minutes(count: u64, total: u64, bad: u64, from: u64) -> Release {
    let side = |total: u64, bad: u64| Side {
        total,
        bad,
        latency_us: if total == 0 { Vec::new() } else { vec![(index_of(100_000.0, SCALE), total)] },
        ..Side::default()
    };
    (from + 1..=from + count)
        .map(|minute| Stretch {
            until_ms: minute * 60_000,
            canary: side(total, bad),
            baseline: side(total.max(100) * 10, total.max(100) / 10),
        })
        .collect()
}
