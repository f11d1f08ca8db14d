//! Latencies in buckets of at most 1.6 % width.

/// Bits of a value that its bucket keeps below the leading one.
const BITS: u32 = 6;

/// Counts of microseconds, exact below 64 µs and within 1.6 % above.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    counts: Vec<u64>,
    total: u64,
    max_us: u64,
}

impl Latencies {
    /// Counts one latency in microseconds.
    pub fn record(&mut self, us: u64) {
        let bucket = bucket_of(us);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
        self.max_us = self.max_us.max(us);
    }

    /// Adds all counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.max_us = self.max_us.max(other.max_us);
    }

    /// How many latencies were counted.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// The largest latency in microseconds, 0 when nothing was counted.
    pub const fn max_us(&self) -> u64 {
        self.max_us
    }

    /// The least latency in microseconds that `per_mille` of a thousand requests do not exceed (upper edge of its
    /// bucket, never above the maximum); `None` when nothing was counted.
    pub fn quantile_us(&self, per_mille: u64) -> Option<u64> {
        let rank = (self.total * per_mille.min(1000)).div_ceil(1000).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Some(upper_edge(bucket).min(self.max_us));
            }
        }
        None
    }
}

fn bucket_of(us: u64) -> usize {
    if us < 1 << BITS {
        return us as usize;
    }
    let shift = us.ilog2() - BITS;
    let within = (us >> shift) - (1 << BITS);
    ((u64::from(shift) + 1) * (1 << BITS) + within) as usize
}

fn upper_edge(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 1 << BITS {
        return bucket;
    }
    let shift = (bucket >> BITS) - 1;
    let within = bucket & ((1 << BITS) - 1);
    (((1 << BITS) + within + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_a_bucket_that_is_at_most_a_64th_wide() {
        for us in (0..5_000).chain((12..63).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1])) {
            let edge = upper_edge(bucket_of(us));
            assert!(edge >= us && edge - us <= us / 64, "{us} is in the bucket up to {edge}");
        }
    }

    #[test]
    fn quantiles_of_known_latencies() {
        let mut latencies = Latencies::default();
        for us in 1..=1_000 {
            latencies.record(us * 10);
        }
        for (per_mille, exact) in [(0, 10), (500, 5_000), (950, 9_500), (990, 9_900), (1000, 10_000)] {
            let got = latencies.quantile_us(per_mille).expect("it has counts");
            assert!(got >= exact && got <= exact + exact / 64, "{per_mille}: {got}");
        }
        assert_eq!(Latencies::default().quantile_us(500), None);
    }
}
