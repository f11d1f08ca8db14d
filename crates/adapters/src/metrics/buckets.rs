//! Sums and values by time bucket: each bucket counts once, when it is complete, on both sides up to the same moment.
//!
//! A source that gathers sums by time gives the newest bucket before it is full, and mends older
//! ones when data come late. So a bucket counts from the moment on at which it should be complete;
//! what it has grown by later is added when it is seen, and so belongs to the next window. Buckets
//! that began before counting began never count. A side without a bucket where the other has one
//! had no request; when neither has one for long, the source has fallen silent.

use std::collections::BTreeMap;

use taxiway_model::metrics::{Sample, Shape, Side, Tally};

use super::answer::{Outcome, Points, Series};
use super::moments::{Means, Triple};

/// Beyond bucket and delay, newest data older than this are not what is going on.
const STALE_S: f64 = 120.0;

/// Buckets of this age are not looked at again: sources do not mend them, and they are not asked for.
const KEPT: usize = 10_000;

/// So much more than all may the bad ones be: sums of two queries are made one after the other.
const SKEW_SHARE: f64 = 0.01;

/// The counting of one metric.
#[derive(Debug)]
pub(super) struct Buckets {
    /// When counting began, on the source's clock.
    began_s: f64,
    sides: [One; 2],
    value: Option<(f64, [Option<f64>; 2])>,
    newest_s: Option<f64>,
}

#[derive(Debug, Default)]
struct One {
    begun: bool,
    /// What each bucket has counted for, by its beginning in milliseconds; by part.
    counted: [BTreeMap<i64, f64>; 2],
    sum: [f64; 2],
    /// Of a mean: count, sum and squares that each bucket has counted for.
    triples: BTreeMap<i64, Triple>,
    means: Means,
}

impl Buckets {
    /// Counting begins at this moment of the source's clock.
    pub(super) fn new(began_s: f64) -> Self {
        Self { began_s, sides: Default::default(), value: None, newest_s: None }
    }

    /// Takes an answer in. Data younger than `delay_s` may not be complete.
    pub(super) fn take(&mut self, shape: &Shape, two_sides: bool, delay_s: f64, points: &Points) -> Outcome {
        let edge_s = points.now_s - delay_s;
        let complete = |series: &Series| complete(series, self.began_s, edge_s - points.bucket_s);
        let sums: Vec<(Side, usize, BTreeMap<i64, f64>)> =
            points.series.iter().map(|one| (one.side, one.part, complete(one))).collect();
        let newest = sums.iter().filter_map(|(.., by_time)| by_time.last_key_value());
        let newest_s = newest.map(|(at_ms, _)| *at_ms as f64 / 1e3).reduce(f64::max);
        self.newest_s = self.newest_s.into_iter().chain(newest_s).reduce(f64::max);
        let taken = match shape {
            Shape::Counts { .. } => self.count(&sums),
            Shape::Scalar { .. } => self.values(&sums, two_sides),
            Shape::Moments { .. } | Shape::Values { .. } => self.moments(shape, &sums),
            Shape::Buckets { .. } => Err("it gives no histogram".to_owned()),
            Shape::Types { .. } => Err("it gives no types".to_owned()),
        };
        if let Err(why) = taken {
            return Outcome::Unusable(why);
        }
        let silent_s = edge_s - self.newest_s.unwrap_or(self.began_s) - points.bucket_s;
        if silent_s > STALE_S + points.bucket_s && self.newest_s.is_some() {
            return Outcome::Unusable(format!("its newest data are {silent_s:.0} s old"));
        }
        for (side, name) in [(0, "canary"), (1, "baseline")].into_iter().take(1 + usize::from(two_sides)) {
            if !self.sides[side].begun {
                return Outcome::Nothing(format!("no data of the {name} yet"));
            }
        }
        self.outcome(shape)
    }

    fn count(&mut self, sums: &[(Side, usize, BTreeMap<i64, f64>)]) -> Result<(), String> {
        // Several series of a part are parts of one sum.
        let mut added: BTreeMap<(Side, usize, i64), f64> = BTreeMap::new();
        for (side, part, by_time) in sums {
            for (at_ms, value) in by_time {
                if *value < 0.0 {
                    return Err(format!("a count is {value}"));
                }
                *added.entry((*side, *part, *at_ms)).or_default() += value;
            }
        }
        let before = self.sides.each_ref().map(|one| (one.begun, one.counted.clone(), one.sum));
        for ((side, part, at_ms), value) in added {
            let one = &mut self.sides[usize::from(side == Side::Baseline)];
            let part = part.min(1);
            one.begun |= part == 1;
            let before = one.counted[part].entry(at_ms).or_default();
            // One that has shrunk was mended: what was evidence stays it, and nothing is counted again.
            one.sum[part] += (value - *before).max(0.0);
            *before = before.max(value);
            if one.counted[part].len() > KEPT {
                one.counted[part].pop_first();
            }
        }
        if self.sides.iter().any(One::is_no_share) {
            // An answer that cannot be right leaves no trace: what it said would count for ever.
            for (one, before) in self.sides.iter_mut().zip(before) {
                (one.begun, one.counted, one.sum) = before;
            }
            return Err("`bad` counts more than `total`: it is not a part of it".to_owned());
        }
        Ok(())
    }

    /// Counts, sums and squares: a bucket is taken again when it has more values than before.
    fn moments(&mut self, shape: &Shape, sums: &[(Side, usize, BTreeMap<i64, f64>)]) -> Result<(), String> {
        let has_squares = match shape {
            Shape::Moments { squares, .. } => squares.is_some(),
            _ => true,
        };
        let parts = 2 + usize::from(has_squares);
        let mut added: BTreeMap<(Side, i64), [Option<f64>; 3]> = BTreeMap::new();
        for (side, part, by_time) in sums {
            for (at_ms, value) in by_time {
                if *value < 0.0 && *part != 1 {
                    return Err(format!("a count or a sum of squares is {value}"));
                }
                let sum = &mut added.entry((*side, *at_ms)).or_default()[(*part).min(2)];
                *sum = Some(sum.unwrap_or_default() + value);
            }
        }
        for ((side, at_ms), found) in added {
            let one = &mut self.sides[usize::from(side == Side::Baseline)];
            one.begun |= found[0].is_some();
            one.means.squared(has_squares);
            let count = found[0].unwrap_or_default();
            let before = one.triples.get(&at_ms).copied().unwrap_or_default();
            if count <= before[0] {
                continue;
            }
            if found[..parts].iter().any(Option::is_none) {
                return Err(
                    "a bucket has a count and no sum: the queries have to be of the same values".to_owned()
                );
            }
            let now = found.map(Option::unwrap_or_default);
            one.means.add([0, 1, 2].map(|part| now[part] - before[part]));
            one.triples.insert(at_ms, now);
            if one.triples.len() > KEPT {
                one.triples.pop_first();
            }
        }
        Ok(())
    }

    /// The newest moment at which every side has a value.
    fn values(&mut self, sums: &[(Side, usize, BTreeMap<i64, f64>)], two_sides: bool) -> Result<(), String> {
        let of = |side| sums.iter().filter(move |(known, ..)| *known == side).map(|(.., by_time)| by_time);
        for side in Side::BOTH {
            let count = of(side).count();
            if count > 1 {
                return Err(format!("{count} series on one side, and one is needed: sum or average them"));
            }
        }
        let [canary, baseline] = Side::BOTH.map(|side| of(side).next());
        for (one, by_time) in self.sides.iter_mut().zip([canary, baseline]) {
            one.begun |= by_time.is_some_and(|by_time| !by_time.is_empty());
        }
        let Some(canary) = canary else { return Ok(()) };
        let both = canary.iter().rev().find_map(|(at_ms, value)| match (two_sides, baseline) {
            (false, _) => Some((*at_ms, [Some(*value), None])),
            (true, baseline) => Some((*at_ms, [Some(*value), Some(*baseline?.get(at_ms)?)])),
        });
        if let Some((at_ms, values)) = both {
            self.value = Some((at_ms as f64 / 1e3, values));
        }
        Ok(())
    }

    fn outcome(&self, shape: &Shape) -> Outcome {
        if let Shape::Scalar { .. } = shape {
            let Some((at_s, values)) = self.value else {
                return Outcome::Nothing("no moment at which both sides have a value yet".to_owned());
            };
            let [canary, baseline] = values.map(|value| {
                let micro = (value? * 1e6).round();
                (micro.abs() < 1e18).then_some(micro as i64)
            });
            return Outcome::Sample(Sample::Scalar { canary, baseline }, Some(at_s));
        }
        if let Shape::Moments { .. } | Shape::Values { .. } = shape {
            let [canary, baseline] = self.sides.each_ref().map(|one| one.means.moments());
            return match (canary, baseline) {
                (Ok(canary), Ok(baseline)) => {
                    Outcome::Sample(Sample::Moments { canary, baseline }, self.newest_s)
                }
                (Err(why), _) | (_, Err(why)) => Outcome::Unusable(why),
            };
        }
        let [canary, baseline] = self.sides.each_ref().map(One::tally);
        Outcome::Sample(Sample::Counts { canary, baseline }, self.newest_s)
    }
}

/// The buckets of a series that are complete, the last of each moment, without gaps and NaN.
fn complete(series: &Series, from_s: f64, to_s: f64) -> BTreeMap<i64, f64> {
    let within = |at_s: f64| at_s >= from_s && at_s <= to_s + 1e-6;
    let points = series.points.iter().filter(|(at_s, value)| within(*at_s) && value.is_finite());
    points.map(|(at_s, value)| ((at_s * 1e3).round() as i64, *value)).collect()
}

impl One {
    /// Whether there are more bad ones than all.
    fn is_no_share(&self) -> bool {
        let [bad, total] = self.sum;
        bad > total * (1.0 + SKEW_SHARE) + 5.0
    }

    /// Bad ones and all.
    fn tally(&self) -> Tally {
        let [bad, total] = self.sum;
        let total = total.round() as u64;
        Tally { total, bad: (bad.round() as u64).min(total) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: f64 = 1_000.0;

    fn counts() -> Shape {
        Shape::Counts { bad: String::new(), total: String::new(), scale_micro: 1_000_000 }
    }

    fn scalar() -> Shape {
        Shape::Scalar { expression: String::new(), every_ms: 1, why: String::new() }
    }

    type Given<'a> = (Side, usize, &'a [(f64, f64)]);

    /// An answer at a moment, in buckets of ten seconds.
    fn points(now_s: f64, series: &[Given<'_>]) -> Points {
        let one =
            |(side, part, points): &Given<'_>| Series { side: *side, part: *part, points: points.to_vec() };
        Points { now_s, bucket_s: 10.0, series: series.iter().map(one).collect() }
    }

    fn tallies(outcome: &Outcome) -> [(u64, u64); 2] {
        let Outcome::Sample(Sample::Counts { canary, baseline }, _) = outcome else { panic!("{outcome:?}") };
        [canary, baseline].map(|tally| (tally.total, tally.bad))
    }

    use Side::{Baseline as B, Canary as C};

    #[test]
    fn a_bucket_counts_once_when_it_is_complete_and_late_data_are_added() {
        let mut buckets = Buckets::new(BEGAN);
        let mut take = |now_s, series: &[_]| buckets.take(&counts(), true, 5.0, &points(now_s, series));
        // What began before us never counts, and the newest bucket is not complete.
        let nothing = take(1_014.0, &[(C, 1, &[(990.0, 50.0), (1_000.0, 7.0)]), (B, 1, &[(1_000.0, 70.0)])]);
        assert_eq!(nothing, Outcome::Nothing("no data of the canary yet".to_owned()));
        let first = [(C, 1, &[(1_000.0, 10.0)][..]), (C, 0, &[(1_000.0, 1.0)]), (B, 1, &[(1_000.0, 100.0)])];
        assert_eq!(tallies(&take(1_015.0, &first)), [(10, 1), (100, 0)]);
        assert_eq!(tallies(&take(1_016.0, &first)), [(10, 1), (100, 0)], "the same answer again");
        // Late ones are added, a mended sum takes nothing back, and doubles of a moment are one.
        let late = [
            (C, 1, &[(1_000.0, 12.0), (1_010.0, 5.0), (1_010.0, 5.0)][..]),
            (C, 0, &[(1_000.0, 0.0)]),
            (B, 1, &[(1_000.0, 90.0), (1_010.0, 50.0)]),
        ];
        assert_eq!(tallies(&take(1_025.0, &late)), [(17, 1), (150, 0)]);
    }

    #[test]
    fn several_series_are_one_sum_and_gaps_are_none() {
        let mut buckets = Buckets::new(BEGAN);
        let series = [
            (C, 1, &[(1_000.0, 10.0), (1_010.0, f64::NAN)][..]),
            (C, 1, &[(1_000.0, 20.0), (1_010.0, f64::INFINITY)]),
            (B, 1, &[(1_000.0, 1.0)]),
        ];
        let outcome = buckets.take(&counts(), true, 0.0, &points(1_020.0, &series));
        assert_eq!(tallies(&outcome), [(30, 0), (1, 0)]);
        // The canary has no request for a while: no evidence, and no trouble.
        let quiet = [(B, 1, &[(1_200.0, 5.0)][..])];
        let outcome = buckets.take(&counts(), true, 0.0, &points(1_210.0, &quiet));
        assert_eq!(tallies(&outcome), [(30, 0), (6, 0)]);
    }

    #[test]
    fn silence_nonsense_and_shares_above_all_are_told() {
        let mut buckets = Buckets::new(BEGAN);
        let both = [(C, 1, &[(1_000.0, 1.0)][..]), (B, 1, &[(1_000.0, 1.0)])];
        buckets.take(&counts(), true, 0.0, &points(1_010.0, &both));
        let told = |buckets: &mut Buckets, now_s: f64, series: &[_]| {
            let outcome = buckets.take(&counts(), true, 0.0, &points(now_s, series));
            let Outcome::Unusable(why) = outcome else { panic!("{outcome:?}") };
            why
        };
        assert_eq!(told(&mut buckets, 1_200.0, &both), "its newest data are 190 s old");
        assert_eq!(told(&mut buckets, 1_020.0, &[(C, 1, &[(1_010.0, -1.0)])]), "a count is -1");
        let more = [(C, 0, &[(1_010.0, 100.0)][..]), (C, 1, &[(1_010.0, 10.0)]), (B, 1, &[(1_010.0, 1.0)])];
        assert!(told(&mut buckets, 1_020.0, &more).contains("more than `total`"));
    }

    #[test]
    fn an_answer_that_cannot_be_right_leaves_no_trace() {
        let mut buckets = Buckets::new(BEGAN);
        let of = |bad: f64| {
            [(C, 1, vec![(1_000.0, 10.0)]), (C, 0, vec![(1_000.0, bad)]), (B, 1, vec![(1_000.0, 9.0)])]
        };
        let mut take = |bad: f64| {
            let given = of(bad);
            let series: Vec<Given<'_>> =
                given.iter().map(|(side, part, all)| (*side, *part, &all[..])).collect();
            buckets.take(&counts(), true, 0.0, &points(1_010.0, &series))
        };
        assert!(matches!(take(500.0), Outcome::Unusable(why) if why.contains("more than `total`")));
        assert_eq!(tallies(&take(1.0)), [(10, 1), (9, 0)]);
    }

    #[test]
    fn values_are_of_one_moment_on_both_sides() {
        let mut buckets = Buckets::new(BEGAN);
        let mut take = |now_s, series: &[_]| buckets.take(&scalar(), true, 0.0, &points(now_s, series));
        let apart = [(C, 0, &[(1_010.0, 2.0)][..]), (B, 0, &[(1_000.0, 1.0)])];
        assert!(matches!(take(1_020.0, &apart), Outcome::Nothing(why) if why.contains("both sides")));
        let both = [(C, 0, &[(1_010.0, 2.0), (1_020.0, 3.0)][..]), (B, 0, &[(1_010.0, 1.5)])];
        let wanted = Sample::Scalar { canary: Some(2_000_000), baseline: Some(1_500_000) };
        assert_eq!(take(1_030.0, &both), Outcome::Sample(wanted, Some(1_010.0)));
        let two = [(C, 0, &[(1_010.0, 2.0)][..]), (C, 0, &[(1_010.0, 2.0)])];
        assert!(matches!(take(1_030.0, &two), Outcome::Unusable(why) if why.contains("2 series")));
    }
}
