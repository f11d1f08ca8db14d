//! A recorder for latencies: dense buckets of the model's exponential histogram (scale 6,
//! microseconds). One core writes, anyone may read; an update is a load and a store.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use taxiway_model::counts::{Histogram, SCALE};

/// Buckets per doubling.
const PER_OCTAVE: usize = 1 << SCALE;
/// Doublings kept apart: 2^32 µs is 71 minutes, longer than any request may wait for its head.
const OCTAVES: usize = 32;
/// One more than the octaves hold: values of 0 and 1 µs lie in bucket -1.
const BUCKETS: usize = PER_OCTAVE * OCTAVES + 1;

/// Upper bounds of the buckets of one octave as 64-bit fixed point with the octave's start at 2^63.
fn bounds() -> &'static [u64; PER_OCTAVE] {
    static BOUNDS: OnceLock<[u64; PER_OCTAVE]> = OnceLock::new();
    BOUNDS.get_or_init(|| {
        // Six square roots of two; sqrt and multiplication round alike on every platform.
        let step = (0..SCALE).fold(2.0_f64, |x, _| x.sqrt());
        let mut bound = 9_223_372_036_854_775_808.0_f64; // 2^63
        std::array::from_fn(|_| {
            bound *= step;
            bound as u64
        })
    })
}

/// The model's bucket index of a latency in microseconds: `(2^(i/64), 2^((i+1)/64)]`.
pub fn bucket(us: u64) -> i16 {
    if us <= 1 {
        return -1;
    }
    let octave = us.ilog2();
    if octave as usize >= OCTAVES {
        return (BUCKETS - 2) as i16;
    }
    let position = us << us.leading_zeros();
    if position == 1 << 63 {
        return (octave as usize * PER_OCTAVE) as i16 - 1;
    }
    let within = bounds().partition_point(|bound| *bound < position).min(PER_OCTAVE - 1);
    (octave as usize * PER_OCTAVE + within) as i16
}

/// Dense counters, written by one core.
#[derive(Debug)]
pub struct Recorder {
    buckets: Box<[AtomicU64]>,
}

impl Recorder {
    /// An empty recorder (16 KiB).
    pub fn new() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Counts one latency. Only the owning core may call this: the update is not one atomic step.
    pub fn record(&self, us: u64) {
        let slot = &self.buckets[(bucket(us) + 1) as usize];
        slot.store(slot.load(Relaxed) + 1, Relaxed);
    }

    /// Adds what was counted to a sparse histogram.
    pub fn add_to(&self, histogram: &mut Histogram) {
        for (index, count) in self.buckets.iter().enumerate() {
            let count = count.load(Relaxed);
            if count > 0 {
                *histogram.buckets.entry(index as i16 - 1).or_default() += count;
            }
        }
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_within_its_bucket() {
        let mut us = 2_u64;
        while us < 1 << 31 {
            for v in [us - 1, us, us + 1] {
                let (i, x) = (f64::from(bucket(v)), v as f64);
                assert!(x > (i / 64.0).exp2() * (1.0 - 1e-12) || v <= 1, "{v} above the lower bound of {i}");
                assert!(x <= ((i + 1.0) / 64.0).exp2() * (1.0 + 1e-12), "{v} below the upper bound of {i}");
            }
            us = us * 21 / 20 + 1;
        }
        assert_eq!((bucket(0), bucket(1), bucket(2), bucket(4)), (-1, -1, 63, 127));
        assert_eq!(bucket(u64::MAX), 2047);
    }

    #[test]
    fn what_is_recorded_is_read_back() {
        let recorder = Recorder::new();
        for us in [0, 1, 2, 1_000, 1_000, u64::MAX] {
            recorder.record(us);
        }
        let mut read = Histogram::default();
        recorder.add_to(&mut read);
        assert_eq!(read.total(), 6);
        assert_eq!(read.buckets[&bucket(1_000)], 2);
    }
}
