//! Reading exponential histograms: sparse, sorted `(index, count)` pairs in OpenTelemetry's layout.
//!
//! At scale 6 bucket `i` holds values in `(2^(i/64), 2^((i+1)/64)]`, in whatever unit the recorder chose; 1.09 % wide,
//! so that a value is known to 0.54 %. The functions take any scale; negative and zero values have no bucket here.

use crate::math::{ln, ln_1p};

/// OpenTelemetry scale that Taxiway records with: 2^6 = 64 buckets to the octave.
pub const SCALE: u32 = 6;

/// One bucket: index and how many values fell in it.
pub type Bucket = (i32, u64);

/// Upper edge of bucket `index` at `scale`: `2^((index+1) / 2^scale)`.
pub fn upper_edge(index: i32, scale: u32) -> f64 {
    libm::exp2((f64::from(index) + 1.0) / libm::exp2(f64::from(scale)))
}

/// Lower edge of bucket `index` at `scale`.
pub fn lower_edge(index: i32, scale: u32) -> f64 {
    libm::exp2(f64::from(index) / libm::exp2(f64::from(scale)))
}

/// How many buckets up cover a factor of `1 + tolerance`, rounded up (20 % at scale 6: 17).
pub fn buckets_up(tolerance: f64, scale: u32) -> i32 {
    let exact = ln_1p(tolerance.clamp(0.0, 1e6)) / core::f64::consts::LN_2 * libm::exp2(f64::from(scale));
    // A tolerance meant to be a whole number of buckets must not be rounded up by its last bit.
    libm::ceil(exact - 1e-9) as i32
}

/// The bucket of a value above 0 at `scale`: the smallest whose upper edge is not below it.
pub fn index_of(value: f64, scale: u32) -> i32 {
    let exact = ln(value) / core::f64::consts::LN_2 * libm::exp2(f64::from(scale));
    libm::ceil(exact - 1e-9) as i32 - 1
}

/// Number of values; saturates at `u64::MAX`.
pub fn total(buckets: &[Bucket]) -> u64 {
    buckets.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
}

/// Number of values in buckets above `index`, that is above its upper edge.
pub fn above(buckets: &[Bucket], index: i32) -> u64 {
    buckets.iter().filter(|(bucket, _)| *bucket > index).fold(0, |sum, (_, count)| sum.saturating_add(*count))
}

/// The bucket that holds quantile `q` (the smallest index with at least `q * total` values at or below its upper edge);
/// `None` for an empty histogram.
pub fn quantile_bucket(buckets: &[Bucket], q: f64) -> Option<i32> {
    let wanted = q.clamp(0.0, 1.0) * total(buckets) as f64;
    let mut seen = 0u64;
    for (index, count) in buckets.iter().filter(|(_, count)| *count > 0) {
        seen = seen.saturating_add(*count);
        if seen as f64 >= wanted {
            return Some(*index);
        }
    }
    None
}

/// Quantile `q` in the recorder's unit, interpolated geometrically inside its bucket; `None` for an empty histogram.
pub fn quantile(buckets: &[Bucket], q: f64, scale: u32) -> Option<f64> {
    let index = quantile_bucket(buckets, q)?;
    let below: u64 = total(buckets) - above(buckets, index - 1).min(total(buckets));
    let inside = buckets.iter().filter(|(bucket, _)| *bucket == index).map(|(_, count)| *count).sum::<u64>();
    let part = (q.clamp(0.0, 1.0) * total(buckets) as f64 - below as f64) / inside as f64;
    Some(libm::exp2((f64::from(index) + part.clamp(0.0, 1.0)) / libm::exp2(f64::from(scale))))
}

/// A histogram with running sums, for many questions about the same values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranked {
    indices: Vec<i32>,
    /// Values up to and including each bucket.
    up_to: Vec<u64>,
}

impl Ranked {
    /// Sums buckets sorted by index; saturates.
    pub fn new(buckets: &[Bucket]) -> Self {
        Self::of(buckets.iter().copied())
    }

    /// The same of buckets that come in order; empty ones are left out.
    pub(crate) fn of(buckets: impl Iterator<Item = Bucket>) -> Self {
        let most = buckets.size_hint().0;
        let (mut indices, mut up_to) = (Vec::with_capacity(most), Vec::with_capacity(most));
        let mut sum = 0u64;
        for (index, count) in buckets.filter(|(_, count)| *count > 0) {
            sum = sum.saturating_add(count);
            indices.push(index);
            up_to.push(sum);
        }
        Self { indices, up_to }
    }

    /// As [`total`].
    pub fn total(&self) -> u64 {
        self.up_to.last().copied().unwrap_or(0)
    }

    /// As [`above`].
    pub fn above(&self, index: i32) -> u64 {
        let at = self.indices.partition_point(|known| *known <= index);
        self.total() - at.checked_sub(1).map_or(0, |last| self.up_to[last])
    }

    /// As [`quantile_bucket`].
    pub fn quantile_bucket(&self, q: f64) -> Option<i32> {
        let wanted = q.clamp(0.0, 1.0) * self.total() as f64;
        self.indices.get(self.up_to.partition_point(|sum| (*sum as f64) < wanted)).copied()
    }
}

/// Adds `more` into `sum`; both sorted by index, the result sorted, counts saturating. Linear unless buckets are new.
pub fn merge(sum: &mut Vec<Bucket>, more: &[Bucket]) {
    let mut at = 0;
    for (index, count) in more {
        while at < sum.len() && sum[at].0 < *index {
            at += 1;
        }
        if at < sum.len() && sum[at].0 == *index {
            sum[at].1 = sum[at].1.saturating_add(*count);
        } else {
            sum.insert(at, (*index, *count));
        }
    }
}

/// The sum of two histograms sorted by index, in one pass.
pub fn merged(left: &[Bucket], right: &[Bucket]) -> Vec<Bucket> {
    let mut sum = Vec::with_capacity(left.len().max(right.len()) + 16);
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    loop {
        match (left.peek(), right.peek()) {
            (Some((low, count)), Some((high, more))) if low == high => {
                sum.push((*low, count.saturating_add(*more)));
                left.next();
                right.next();
            }
            (Some((low, _)), Some((high, _))) if low > high => sum.extend(right.next()),
            (Some(_), _) => sum.extend(left.next()),
            (None, Some(_)) => sum.extend(right.next()),
            (None, None) => return sum,
        }
    }
}
