//! Counting of means and of types: what counters of count, sum and squares have grown by together, and
//! which types of errors have come up.
//!
//! A sum may fall, since values may be negative: only its count says whether it began again. What has
//! no sum beside its count is an answer that cannot be used, not a mean of nothing.

use std::collections::BTreeMap;

use taxiway_model::metrics::{Moments, Types};

/// Count, sum and squares of one series.
pub(super) type Triple = [f64; 3];

/// The name that Prometheus gives a series, another one for each part of a mean.
const NAME: &str = "__name__";

/// The means of one side, series by series.
#[derive(Debug, Default)]
pub(super) struct Means {
    last: BTreeMap<String, Triple>,
    counted: Triple,
    has_squares: bool,
}

impl Means {
    /// Takes in what the parts of one answer say. `counts`: what was there before counts, since counting
    /// has begun.
    pub(super) fn take(
        &mut self,
        parts: Vec<(usize, BTreeMap<String, String>, f64)>,
        counts: bool,
    ) -> Result<(), String> {
        let mut series: BTreeMap<String, [Option<f64>; 3]> = BTreeMap::new();
        for (part, mut labels, value) in parts {
            labels.remove(NAME);
            let key: Vec<String> = labels.iter().map(|(label, value)| format!("{label}={value:?}")).collect();
            let parts = series.entry(key.join(",")).or_default();
            if let Some(place) = parts.get_mut(part) {
                *place = Some(value);
            }
        }
        self.has_squares = series.values().all(|parts| parts[2].is_some());
        for (key, parts) in series {
            let (Some(count), Some(sum)) = (parts[0], parts[1]) else {
                let missing = if parts[0].is_none() { "count" } else { "sum" };
                return Err(format!(
                    "a {missing} is missing: the series of `count` and `sum` have to be the same"
                ));
            };
            let now = [count, sum, parts[2].unwrap_or_default()];
            let old = self.last.insert(key, now);
            let more = match old {
                Some(old) if count >= old[0] => [0, 1, 2].map(|part| now[part] - old[part]),
                Some(_) => now,
                None if counts => now,
                None => [0.0; 3],
            };
            self.add(more);
        }
        Ok(())
    }

    /// Adds what a bucket of time has more.
    pub(super) fn add(&mut self, more: Triple) {
        for (sum, more) in self.counted.iter_mut().zip(more) {
            *sum += more;
        }
    }

    pub(super) fn squared(&mut self, has_squares: bool) {
        self.has_squares = has_squares;
    }

    pub(super) fn series(&self) -> usize {
        self.last.len()
    }

    pub(super) fn forget(&mut self) {
        self.last.clear();
    }

    /// Everything counted so far.
    pub(super) fn moments(&self) -> Result<Moments, String> {
        let [count, sum, squares] = self.counted;
        let moments = Moments::of(count.max(0.0).round() as u64, sum, self.has_squares.then_some(squares));
        moments.ok_or_else(|| "its sums are beyond what can be counted".to_owned())
    }
}

/// The types of one side.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    last: BTreeMap<String, f64>,
    types: Types,
    total: f64,
}

impl Kinds {
    /// Takes in one series: of the errors of a type (part 0), or of all sessions (part 1).
    pub(super) fn take(
        &mut self,
        (part, labels, value): (usize, &BTreeMap<String, String>, f64),
        by: &str,
        counts: bool,
    ) {
        let key: Vec<String> = labels.iter().map(|(label, value)| format!("{label}={value:?}")).collect();
        let old = self.last.insert(format!("{part} {}", key.join(",")), value);
        let more = match old {
            Some(old) if value >= old => value - old,
            Some(_) => value,
            None if counts => value,
            None => 0.0,
        };
        if part == 1 {
            self.total += more;
        } else if value > 0.0 {
            // What was there before counting began has been shown, and counts for nothing.
            self.types.add(labels.get(by).map_or("", String::as_str), more.round() as u64);
        }
    }

    pub(super) fn series(&self) -> usize {
        self.last.len()
    }

    pub(super) fn forget(&mut self) {
        self.last.clear();
    }

    /// Everything counted so far.
    pub(super) fn types(&self) -> Types {
        Types { total: self.total.round() as u64, by_type: self.types.by_type.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(pods: &[(&str, Triple)]) -> Vec<(usize, BTreeMap<String, String>, f64)> {
        let of = |(pod, triple): &(&str, Triple)| {
            let labels = |part: usize| {
                let named = [("pod", (*pod).to_owned()), (NAME, format!("x_{part}"))];
                named.map(|(label, value)| (label.to_owned(), value)).into_iter().collect()
            };
            [0, 1, 2].map(|part| (part, labels(part), triple[part]))
        };
        pods.iter().flat_map(of).collect()
    }

    #[test]
    fn sums_may_fall_and_only_the_count_says_that_they_began_again() {
        let mut means = Means::default();
        means.take(parts(&[("a", [100.0, 50.0, 60.0])]), false).unwrap();
        means.take(parts(&[("a", [102.0, 45.0, 90.0])]), true).unwrap();
        assert_eq!(means.moments().unwrap(), Moments::of(2, -5.0, Some(30.0)).unwrap());
        means.take(parts(&[("a", [1.0, 7.0, 49.0]), ("b", [1.0, 1.0, 1.0])]), true).unwrap();
        assert_eq!(means.moments().unwrap(), Moments::of(4, 3.0, Some(80.0)).unwrap());
        let lone = vec![(0, BTreeMap::from([("pod".to_owned(), "c".to_owned())]), 1.0)];
        assert!(means.take(lone, true).unwrap_err().contains("a sum is missing"));
    }

    #[test]
    fn what_was_there_is_known_and_what_comes_up_counts() {
        let mut kinds = Kinds::default();
        let labels = |kind: &str| BTreeMap::from([("type".to_owned(), kind.to_owned())]);
        kinds.take((0, &labels("Old"), 40.0), "type", false);
        kinds.take((0, &labels("Never"), 0.0), "type", false);
        kinds.take((1, &BTreeMap::new(), 1_000.0), "type", false);
        assert_eq!(kinds.types().by_type, BTreeMap::from([("Old".to_owned(), 0)]));
        kinds.take((0, &labels("Fresh"), 2.0), "type", true);
        kinds.take((0, &labels("Old"), 41.0), "type", true);
        kinds.take((1, &BTreeMap::new(), 1_500.0), "type", true);
        let types = kinds.types();
        assert_eq!(types.by_type, BTreeMap::from([("Old".to_owned(), 1), ("Fresh".to_owned(), 2)]));
        assert_eq!(types.total, 500);
    }
}
