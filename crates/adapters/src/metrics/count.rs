//! Counts what counters count: series by series, across resets, into one sample for a metric.
//!
//! A counter that is lower than before began again at zero, and all of it is new. A series that
//! comes up beside others that were there is new too (a status that had not occurred), so all of
//! it counts; the first series ever seen of a side are where counting begins. A series that goes
//! away keeps its last value: when a scrape is missed, nothing is counted twice.

use std::collections::{BTreeMap, BTreeSet};

use taxiway_model::metrics::{Sample, Shape, Tally};

use super::answer::{Outcome, PART, Vector};
use super::exchange::SERIES_MAX;
use super::moments::{Kinds, Means};

/// Newest samples older than this are not what is going on.
const STALE_S: f64 = 120.0;

/// So much of the total may be missing when bad ones are counted, since instances are read one
/// after the other.
const SKEW_SHARE: f64 = 0.01;

/// What is said of a share that is none.
const NO_SHARE: &str = "the query counts more bad ones than there are: it is not a share";

/// Side, part, labels and value.
type Series = (usize, usize, BTreeMap<String, String>, f64);

/// The counting of one metric.
#[derive(Debug)]
pub(super) struct Count {
    sides: [Side; 2],
}

#[derive(Debug, Default)]
struct Side {
    /// Whether it had answered nothing when counting began.
    is_unheard: bool,
    /// Whether an answer without this side has been seen: then whatever comes is new.
    was_empty: bool,
    begun: bool,
    last: BTreeMap<(usize, String), f64>,
    /// Counted so far, by part.
    counted: [f64; 2],
    /// Counted so far up to each edge, in microseconds.
    up_to: BTreeMap<u64, f64>,
    value: Option<f64>,
    means: Means,
    kinds: Kinds,
    newest_s: Option<f64>,
}

impl Count {
    /// `unheard`: of which sides whatever comes up is new.
    pub(super) fn new(unheard: [bool; 2]) -> Self {
        Self { sides: unheard.map(|is_unheard| Side { is_unheard, ..Side::default() }) }
    }

    /// Takes an answer in. `two_sides`: a baseline was asked for.
    pub(super) fn take(&mut self, shape: &Shape, two_sides: bool, vector: Vector) -> Outcome {
        let at_s = vector.at_s;
        match self.fold(shape, vector) {
            Err(why) => Outcome::Unusable(why),
            Ok(seen) => {
                // Both are looked at: what comes up later is new on either side.
                let sides = [(0, "canary", true), (1, "baseline", two_sides)];
                let missing = sides.into_iter().filter(|(side, _, wanted)| *wanted && !seen.contains(side));
                let missing: Vec<Outcome> = missing.map(|(side, name, _)| self.missing(side, name)).collect();
                match missing.into_iter().next() {
                    Some(first) => first,
                    None => self.outcome(shape, two_sides, at_s),
                }
            }
        }
    }

    /// A side that was there and is gone is a source that fell silent.
    fn missing(&mut self, side: usize, name: &str) -> Outcome {
        let side = &mut self.sides[side];
        if side.begun {
            return Outcome::Unusable(format!("the series of the {name} are gone"));
        }
        side.was_empty = side.is_unheard;
        Outcome::Nothing(format!("no series of the {name} yet"))
    }

    /// Counts, and returns which sides were there.
    fn fold(&mut self, shape: &Shape, vector: Vector) -> Result<BTreeSet<usize>, String> {
        // The part without which a side is not there: all, or what counts the values.
        let last = usize::from(matches!(shape, Shape::Counts { .. } | Shape::Types { .. }));
        let is_mean = matches!(shape, Shape::Moments { .. } | Shape::Values { .. });
        let mut seen = BTreeSet::new();
        let mut values = [0_usize; 2];
        let mut fresh = Vec::new();
        for (mut labels, value) in vector.series {
            let part = labels.remove(PART).unwrap_or_default();
            let (name, part) = part.split_once('.').ok_or("a series that was not asked for")?;
            let side = usize::from(name != "canary");
            if part == "newest" {
                self.sides[side].newest_s = Some(value);
                continue;
            }
            let part: usize = part.parse().map_err(|_| "a series that was not asked for")?;
            if let Shape::Scalar { .. } = shape {
                values[side] += 1;
                self.sides[side].value = value.is_finite().then_some(value);
                if value.is_finite() {
                    seen.insert(side);
                }
                continue;
            }
            if !value.is_finite() || (value < 0.0 && !(is_mean && part == 1)) {
                return Err(format!("a counter is {value}"));
            }
            if part == last {
                seen.insert(side);
            }
            fresh.push((side, part, labels, value));
        }
        if values.iter().any(|count| *count > 1) {
            return Err(format!(
                "{} series on one side, and one is needed: sum or average them",
                values[0].max(values[1])
            ));
        }
        if is_mean {
            let mut parts = [Vec::new(), Vec::new()];
            for (side, part, labels, value) in fresh {
                parts[side].push((part, labels, value));
            }
            for (side, parts) in self.sides.iter_mut().zip(parts) {
                side.means.take(parts, side.begun || side.was_empty)?;
            }
        } else {
            self.counters(shape, fresh)?;
        }
        for side in &seen {
            let side = &mut self.sides[*side];
            side.begun = true;
            if side.last.len() + side.means.series() + side.kinds.series() > 4 * SERIES_MAX {
                // Series that come and go by the thousand: forgetting is better than growing.
                side.last.clear();
                side.means.forget();
                side.kinds.forget();
                side.begun = false;
            }
        }
        Ok(seen)
    }

    /// Takes in counters: side, part, labels and value of each.
    fn counters(&mut self, shape: &Shape, fresh: Vec<Series>) -> Result<(), String> {
        let named = fresh.into_iter().map(|(side, part, labels, value)| {
            let key = key(&labels);
            (side, part, labels, key, value)
        });
        let fresh: Vec<_> = named.collect();
        if let Shape::Counts { .. } = shape {
            // An answer that cannot be right leaves no trace: what it said would count for ever.
            let mut after = self.sides.each_ref().map(|side| side.counted);
            for (side, part, _, key, value) in &fresh {
                after[*side][*part] += self.sides[*side].more(*part, key, *value);
            }
            if after.into_iter().any(is_no_share) {
                return Err(NO_SHARE.to_owned());
            }
        }
        for (side, part, labels, key, value) in fresh {
            self.sides[side].count(shape, part, key, &labels, value)?;
        }
        Ok(())
    }

    fn outcome(&self, shape: &Shape, two_sides: bool, at_s: Option<f64>) -> Outcome {
        let sides = &self.sides[..=usize::from(two_sides)];
        let newest = sides
            .iter()
            .map(|side| side.newest_s.or(at_s))
            .min_by(|a, b| a.unwrap_or(0.0).total_cmp(&b.unwrap_or(0.0)));
        let newest = newest.flatten();
        if let (Some(at_s), Some(newest_s)) = (at_s, newest)
            && at_s - newest_s > STALE_S
        {
            return Outcome::Unusable(format!("its newest samples are {:.0} s old", at_s - newest_s));
        }
        let [canary, baseline] = &self.sides;
        let sample = match shape {
            Shape::Counts { .. } => Sample::Counts { canary: canary.tally(), baseline: baseline.tally() },
            Shape::Buckets { .. } => {
                Sample::Buckets { canary: canary.buckets(), baseline: baseline.buckets() }
            }
            Shape::Scalar { .. } => Sample::Scalar { canary: canary.micro(), baseline: baseline.micro() },
            Shape::Moments { .. } | Shape::Values { .. } => {
                match (canary.means.moments(), baseline.means.moments()) {
                    (Ok(canary), Ok(baseline)) => Sample::Moments { canary, baseline },
                    (Err(why), _) | (_, Err(why)) => return Outcome::Unusable(why),
                }
            }
            Shape::Types { .. } => {
                Sample::Types { canary: canary.kinds.types(), baseline: baseline.kinds.types() }
            }
        };
        Outcome::Sample(sample, newest)
    }
}

/// A series by its labels.
fn key(labels: &BTreeMap<String, String>) -> String {
    let parts: Vec<String> = labels.iter().map(|(label, value)| format!("{label}={value:?}")).collect();
    parts.join(",")
}

/// Whether there are more bad ones than all.
fn is_no_share([bad, total]: [f64; 2]) -> bool {
    bad > total * (1.0 + SKEW_SHARE) + 5.0
}

impl Side {
    fn count(
        &mut self,
        shape: &Shape,
        part: usize,
        key: String,
        labels: &BTreeMap<String, String>,
        value: f64,
    ) -> Result<(), String> {
        if let Shape::Types { by, .. } = shape {
            self.kinds.take((part, labels, value), by, self.begun || self.was_empty);
            return Ok(());
        }
        let more = self.more(part, &key, value);
        self.last.insert((part, key), value);
        if let Shape::Buckets { unit_us, .. } = shape {
            let le = labels.get("le").ok_or("a bucket has no label `le`")?;
            let edge: f64 = le.parse().map_err(|_| format!("`{le}` is not the edge of a bucket"))?;
            let edge_us =
                if edge == f64::INFINITY { u64::MAX } else { (edge * *unit_us as f64).round() as u64 };
            *self.up_to.entry(edge_us).or_default() += more;
        } else {
            self.counted[part] += more;
        }
        Ok(())
    }

    /// What a series has counted more than before.
    fn more(&self, part: usize, key: &str, value: f64) -> f64 {
        match self.last.get(&(part, key.to_owned())) {
            Some(old) if value >= *old => value - old,
            Some(_) => value,
            None if self.begun || self.was_empty => value,
            None => 0.0,
        }
    }

    /// Bad ones and all.
    fn tally(&self) -> Tally {
        let [bad, total] = self.counted;
        let total = total.round() as u64;
        Tally { total, bad: (bad.round() as u64).min(total) }
    }

    /// Buckets say how many lie at or below their edge; here each value is in one bucket.
    fn buckets(&self) -> Vec<(u64, u64)> {
        let mut below = 0_u64;
        let mut buckets = Vec::new();
        for (edge, up_to) in &self.up_to {
            let up_to = (up_to.round() as u64).max(below);
            buckets.push((*edge, up_to - below));
            below = up_to;
        }
        buckets
    }

    fn micro(&self) -> Option<i64> {
        let micro = (self.value? * 1e6).round();
        (micro.abs() < 1e18).then_some(micro as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts() -> Shape {
        Shape::Counts {
            bad: "b{__side__=\"\"}".into(),
            total: "t{__side__=\"\"}".into(),
            scale_micro: 1_000_000,
        }
    }

    fn vector(series: &[(&str, &str, f64)]) -> Vector {
        let series = series.iter().map(|(part, pod, value)| {
            (
                BTreeMap::from([
                    (PART.to_owned(), (*part).to_owned()),
                    ("pod".to_owned(), (*pod).to_owned()),
                ]),
                *value,
            )
        });
        Vector { at_s: Some(1_000.0), series: series.collect() }
    }

    fn tallies(outcome: &Outcome) -> [(u64, u64); 2] {
        let Outcome::Sample(Sample::Counts { canary, baseline }, _) = outcome else { panic!("{outcome:?}") };
        [canary, baseline].map(|tally| (tally.total, tally.bad))
    }

    #[test]
    fn resets_new_series_and_gaps_are_counted_once() {
        let mut count = Count::new([true; 2]);
        let mut take = |series: &[_]| count.take(&counts(), true, vector(series));
        let [c, cb, b, bb] = ["canary.1", "canary.0", "baseline.1", "baseline.0"];
        assert_eq!(tallies(&take(&[(c, "a", 100.0), (b, "a", 1e6)])), [(0, 0), (0, 0)]);
        // A first failure brings its series up: it counts.
        assert_eq!(
            tallies(&take(&[(c, "a", 110.0), (cb, "a", 3.0), (b, "a", 1e6 + 50.0)])),
            [(10, 3), (50, 0)]
        );
        // The canary's instance restarted.
        assert_eq!(
            tallies(&take(&[(c, "a", 7.0), (cb, "a", 0.0), (b, "a", 1e6 + 50.0), (bb, "a", 2.0)])),
            [(17, 3), (50, 2)]
        );
        // An instance is missed once, then there again; another is new.
        assert_eq!(tallies(&take(&[(c, "b", 5.0), (b, "a", 1e6 + 60.0)])), [(22, 3), (60, 2)]);
        assert_eq!(tallies(&take(&[(c, "a", 9.0), (c, "b", 5.0), (b, "a", 1e6 + 60.0)])), [(24, 3), (60, 2)]);
    }

    #[test]
    fn what_comes_up_after_nothing_is_all_new() {
        let mut count = Count::new([true; 2]);
        let nothing = count.take(&counts(), true, vector(&[("baseline.1", "a", 10.0)]));
        assert_eq!(nothing, Outcome::Nothing("no series of the canary yet".to_owned()));
        let both = [("canary.1", "a", 40.0), ("baseline.1", "a", 15.0)];
        assert_eq!(tallies(&count.take(&counts(), true, vector(&both))), [(40, 0), (5, 0)]);
        let gone = count.take(&counts(), true, vector(&[("baseline.1", "a", 20.0)]));
        assert_eq!(gone, Outcome::Unusable("the series of the canary are gone".to_owned()));
    }

    #[test]
    fn what_was_counted_before_us_is_not_new_when_it_comes_up_late() {
        let mut count = Count::new([false; 2]);
        count.take(&counts(), true, vector(&[("baseline.1", "a", 10.0)]));
        let both = [("canary.1", "a", 40.0), ("baseline.1", "a", 15.0)];
        assert_eq!(tallies(&count.take(&counts(), true, vector(&both))), [(0, 0), (5, 0)]);
        let more = [("canary.1", "a", 43.0), ("baseline.1", "a", 15.0)];
        assert_eq!(tallies(&count.take(&counts(), true, vector(&more))), [(3, 0), (5, 0)]);
    }

    #[test]
    fn an_answer_that_cannot_be_right_leaves_no_trace() {
        let mut count = Count::new([true; 2]);
        let of = |canary: f64, bad: f64| {
            let all = [("canary.1", "a", canary), ("canary.0", "a", bad), ("baseline.1", "a", canary)];
            vector(&all)
        };
        count.take(&counts(), true, of(100.0, 1.0));
        let odd = count.take(&counts(), true, of(110.0, 900.0));
        assert!(matches!(odd, Outcome::Unusable(why) if why.contains("not a share")));
        assert_eq!(tallies(&count.take(&counts(), true, of(120.0, 2.0))), [(20, 1), (20, 0)]);
    }

    #[test]
    fn sides_that_come_up_together_are_counted_alike() {
        let mut count = Count::new([true; 2]);
        count.take(&counts(), true, vector(&[]));
        let both = [("canary.1", "a", 40.0), ("baseline.1", "a", 400.0)];
        assert_eq!(tallies(&count.take(&counts(), true, vector(&both))), [(40, 0), (400, 0)]);
    }

    #[test]
    fn what_is_no_share_or_no_count_is_told() {
        let mut count = Count::new([true; 2]);
        count.take(&counts(), false, vector(&[("canary.1", "a", 0.0), ("canary.0", "a", 0.0)]));
        let more_bad =
            count.take(&counts(), false, vector(&[("canary.1", "a", 10.0), ("canary.0", "a", 20.0)]));
        assert!(matches!(more_bad, Outcome::Unusable(why) if why.contains("not a share")));
        for odd in [f64::NAN, f64::INFINITY, -1.0] {
            let outcome = Count::new([true; 2]).take(&counts(), false, vector(&[("canary.1", "a", odd)]));
            assert!(matches!(outcome, Outcome::Unusable(_)), "{odd}");
        }
        let old = [("canary.1", "a", 1.0), ("canary.newest", "", 800.0)];
        let stale = Count::new([true; 2]).take(&counts(), false, vector(&old));
        assert_eq!(stale, Outcome::Unusable("its newest samples are 200 s old".to_owned()));
    }

    #[test]
    fn buckets_become_values_in_one_bucket_each() {
        let shape = Shape::Buckets {
            buckets: "x_bucket{__side__=\"\"}".into(),
            quantile_bp: 9_500,
            unit_us: 1_000_000,
            scale_micro: 1_000_000,
        };
        let of = |counts: [f64; 3]| {
            let series = ["0.1", "0.5", "+Inf"].iter().zip(counts).map(|(le, value)| {
                let labels = [(PART, "canary.0"), ("le", le)].map(|(l, v)| (l.to_owned(), v.to_owned()));
                (BTreeMap::from(labels), value)
            });
            Vector { at_s: Some(1.0), series: series.collect() }
        };
        let mut count = Count::new([true; 2]);
        count.take(&shape, false, of([10.0, 10.0, 10.0]));
        let outcome = count.take(&shape, false, of([15.0, 18.0, 19.0]));
        let Outcome::Sample(Sample::Buckets { canary, .. }, _) = outcome else { panic!("{outcome:?}") };
        assert_eq!(canary, [(100_000, 5), (500_000, 3), (u64::MAX, 1)]);
    }

    #[test]
    fn a_value_must_be_one_and_finite() {
        let shape = Shape::Scalar { expression: "g{__side__=\"\"}".into(), every_ms: 1, why: String::new() };
        let two = [("canary.0", "a", 1.0), ("canary.0", "b", 2.0)];
        assert!(matches!(Count::new([true; 2]).take(&shape, false, vector(&two)), Outcome::Unusable(_)));
        let nan = Count::new([true; 2]).take(&shape, false, vector(&[("canary.0", "a", f64::NAN)]));
        assert!(matches!(nan, Outcome::Nothing(_)), "0/0 is no data: {nan:?}");
        let one = Count::new([true; 2]).take(&shape, false, vector(&[("canary.0", "a", 0.25)]));
        assert!(matches!(one, Outcome::Sample(Sample::Scalar { canary: Some(250_000), baseline: None }, _)));
    }
}
