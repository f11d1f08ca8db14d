//! One test binary: vectors from the design brief, SciPy and mpmath, properties, and exact error rates.

use taxiway_stats as _;

mod intervals;
mod latency;
mod planning;
mod properties;
mod shifts;
mod sums;
mod thresholds;
mod vectors;

/// Equal to 1e-9, absolute below 1 and relative above.
#[track_caller]
fn close(ours: f64, theirs: f64) {
    within(ours, theirs, 1e-9);
}

#[track_caller]
fn within(ours: f64, theirs: f64, tolerance: f64) {
    let scale = theirs.abs().max(1.0);
    assert!((ours - theirs).abs() <= tolerance * scale, "{ours:.15} is not {theirs:.15}");
}
