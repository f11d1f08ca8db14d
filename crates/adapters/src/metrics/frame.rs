//! What counts of a source's answers, round by round, and when it is asked again (R4.6): no clock and no
//! network, so that a simulation plays it on a time of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use taxiway_model::ids::MetricName;
use taxiway_model::metrics::{Order, Query, Reading, Retry, Sample, Side, Source};
use taxiway_model::time::Timestamp;

use super::answer::{Answer, Outcome};
use super::buckets::Buckets;
use super::count::Count;
use super::exchange::Failure;

/// Failed rounds in a row from which on there is trouble.
const TROUBLE_AFTER: u32 = 2;

/// The longest pause after failures, unless the source asks for a longer one.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The longest pause a source may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(5);

/// The shortest time between two rounds.
const INTERVAL_MIN_MS: u64 = 100;

/// How far back sums by time are asked for again, so that late ones are found.
const LATE_S: f64 = 600.0;

/// The answers of one round, by query.
pub type Answers = Vec<(Query, Result<Answer, Failure>)>;

/// What comes of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// From the beginning of this round to the next one's.
    pub pause: Duration,
    /// Whether the reading is to be shown: one failed round is bad luck, and shown to nobody.
    pub is_news: bool,
}

/// The counting of one source for one order.
#[derive(Debug)]
pub struct Frame {
    source: Arc<Source>,
    two_sides: bool,
    unheard: [bool; 2],
    /// On our clock; and on the source's, once that has been heard.
    began_s: f64,
    began_there_s: Option<f64>,
    /// The source's clock less ours, as last heard.
    ahead_s: f64,
    counting: BTreeMap<MetricName, Counting>,
    reading: Reading,
    /// Failed rounds in a row.
    failed: u32,
    /// Since when metrics have no answer.
    since: BTreeMap<MetricName, Timestamp>,
}

/// What counts of the answers about one metric.
#[derive(Debug, Default)]
struct Counting {
    counters: Option<Count>,
    buckets: Option<Buckets>,
    /// Where counting of histograms began, on either side.
    base: [Option<Vec<(u64, u64)>>; 2],
}

impl Counting {
    /// Histograms count from the first answer on; a side that had not been heard of then is all new.
    fn histograms(
        &mut self,
        two_sides: bool,
        unheard: [bool; 2],
        found: [bool; 2],
        buckets: [BTreeMap<u64, u64>; 2],
        at_s: f64,
    ) -> Outcome {
        let now: [Vec<(u64, u64)>; 2] = buckets.map(|side| side.into_iter().collect());
        for (place, base) in self.base.iter_mut().enumerate() {
            if found[place] || unheard[place] {
                base.get_or_insert_with(|| now[place].clone());
            }
        }
        let [canary, baseline] = self.base.clone().map(Option::unwrap_or_default);
        let base = Sample::Buckets { canary, baseline };
        let [canary, baseline] = now;
        let now = Sample::Buckets { canary, baseline };
        for (found, name) in found.into_iter().zip(["canary", "baseline"]).take(1 + usize::from(two_sides)) {
            if !found {
                return Outcome::Nothing(format!("no series of the {name} yet"));
            }
        }
        Outcome::Sample(now.since(Some(&base)), Some(at_s))
    }
}

impl Frame {
    /// Counting what an order asks of a source begins now; `count_from` names this counting.
    pub fn new(source: Arc<Source>, order: &Order, count_from: u64, now_s: f64) -> Self {
        Self {
            source,
            two_sides: order.baseline.is_some(),
            unheard: Side::BOTH.map(|side| order.unheard.contains(&side)),
            began_s: now_s,
            began_there_s: None,
            ahead_s: 0.0,
            counting: BTreeMap::new(),
            reading: Reading {
                count_from,
                as_of_us: 0,
                samples: BTreeMap::new(),
                measured: BTreeMap::new(),
                nothing: BTreeMap::new(),
                trouble: BTreeMap::new(),
                retries: BTreeMap::new(),
            },
            failed: 0,
            since: BTreeMap::new(),
        }
    }

    /// The span of time for which sums are wanted now, in seconds since the epoch on the source's clock.
    pub fn span_s(&self, now_s: f64) -> [f64; 2] {
        let to_s = now_s + self.ahead_s;
        let bucket_s = self.source.bucket_ms as f64 / 1e3;
        let back_s = LATE_S.max(20.0 * bucket_s);
        // Ours may be set meanwhile; the source's is what its data are of.
        let began_s = self.began_there_s.unwrap_or(self.began_s + self.ahead_s);
        [(to_s - back_s).max(began_s - 2.0 * bucket_s), to_s]
    }

    /// What was counted so far.
    pub fn reading(&self) -> &Reading {
        &self.reading
    }

    /// Takes in the answers to a round that began at `began_s`; both times in seconds since the epoch.
    pub fn take(&mut self, answers: Answers, began_s: f64, now_s: f64) -> Told {
        let failures = self.take_round(answers, now_s);
        let asked = failures.iter().filter_map(|(_, failure)| failure.retry_after).max();
        let interval = Duration::from_millis(self.source.interval_ms.max(INTERVAL_MIN_MS));
        let doublings = self.failed.saturating_sub(1).min(6);
        let slower = interval.saturating_mul(1 << doublings).min(PAUSE_MAX.max(interval));
        let pause = asked.map_or(slower, |asked| slower.max(asked.min(RETRY_AFTER_MAX)));
        // The next round of a source that asks for a pause is far: that is no single bad luck.
        let is_trouble = self.failed >= TROUBLE_AFTER || asked.is_some();
        self.tell(&failures, is_trouble, began_s, now_s.max(began_s + pause.as_secs_f64()));
        Told { pause, is_news: self.failed == 0 || is_trouble }
    }

    /// Says which metrics have trouble, since when, and when their source is asked again.
    fn tell(&mut self, failures: &[(MetricName, Failure)], is_trouble: bool, began_s: f64, next_s: f64) {
        let moment = |at_s: f64| Timestamp((at_s * 1e6) as i64);
        self.since.retain(|metric, _| failures.iter().any(|(failed, _)| failed == metric));
        self.reading.trouble.clear();
        self.reading.retries.clear();
        for (metric, failure) in failures {
            let since = *self.since.entry(metric.clone()).or_insert(moment(began_s));
            if is_trouble {
                self.reading.trouble.insert(metric.clone(), failure.why.clone());
                self.reading.retries.insert(metric.clone(), Retry { since, next: moment(next_s) });
            }
        }
    }

    /// Takes a round's answers into the reading. A metric without an answer keeps its counts: they
    /// grow again when there is one.
    fn take_round(&mut self, answers: Answers, now_s: f64) -> Vec<(MetricName, Failure)> {
        self.reading.nothing.clear();
        let mut failures = Vec::new();
        for (query, answer) in answers {
            if let Err(failure) = answer.and_then(|answer| self.take_one(&query, answer, now_s)) {
                failures.push((query.metric, failure));
            }
        }
        self.failed = if failures.is_empty() { 0 } else { self.failed + 1 };
        failures
    }

    fn take_one(&mut self, query: &Query, answer: Answer, now_s: f64) -> Result<(), Failure> {
        let counting = self.counting.entry(query.metric.clone()).or_default();
        // How far the source's clock is ahead, and up to when by-time sums are complete on it.
        let (ahead_s, edge) = match &answer {
            Answer::Now(vector) => (vector.at_s.map_or(0.0, |at_s| at_s - now_s), None),
            Answer::Buckets(points) => {
                let edge_s = points.now_s - self.source.delay_ms as f64 / 1e3;
                (points.now_s - now_s, Some((edge_s, points.bucket_s)))
            }
            Answer::Histograms { .. } => (0.0, None),
        };
        let outcome = match answer {
            Answer::Now(vector) => {
                let count = counting.counters.get_or_insert_with(|| Count::new(self.unheard));
                count.take(&query.shape, self.two_sides, vector)
            }
            Answer::Buckets(points) => {
                self.ahead_s = points.now_s - now_s;
                let began_s = *self.began_there_s.get_or_insert(self.began_s + self.ahead_s);
                let buckets = counting.buckets.get_or_insert_with(|| Buckets::new(began_s));
                buckets.take(&query.shape, self.two_sides, self.source.delay_ms as f64 / 1e3, &points)
            }
            Answer::Histograms { found, buckets, at_s } => {
                counting.histograms(self.two_sides, self.unheard, found, buckets, at_s)
            }
        };
        match outcome {
            Outcome::Sample(sample, as_of_s) => {
                let measured_s = complete_s(edge, as_of_s).map_or(now_s, |at_s| at_s - ahead_s);
                let measured = Timestamp((measured_s * 1e6) as i64);
                self.reading.measured.insert(query.metric.clone(), measured);
                self.reading.samples.insert(query.metric.clone(), sample);
                let as_of_us = (as_of_s.unwrap_or_default() * 1e6) as i64;
                self.reading.as_of_us = self.reading.as_of_us.max(as_of_us);
                Ok(())
            }
            Outcome::Nothing(why) => {
                self.reading.samples.remove(&query.metric);
                self.reading.nothing.insert(query.metric.clone(), why);
                Ok(())
            }
            Outcome::Unusable(why) => Err(Failure::new(why)),
        }
    }
}

/// Up to when an answer is complete, on the source's clock: sums by time up to the end of their last whole
/// bucket, others up to their newest.
fn complete_s(edge: Option<(f64, f64)>, newest_s: Option<f64>) -> Option<f64> {
    match (edge, newest_s) {
        (Some((edge_s, bucket_s)), Some(newest_s)) if bucket_s > 0.0 && edge_s > newest_s => {
            Some(newest_s + ((edge_s - newest_s) / bucket_s).floor() * bucket_s)
        }
        (Some((edge_s, _)), _) => Some(edge_s),
        (None, newest_s) => newest_s,
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::{Points, Series};
    use super::*;
    use taxiway_model::metrics::{Api, Outputs, Shape};

    /// Sums in buckets of ten seconds that are complete after five, asked for every ten.
    fn order() -> Order {
        let shape = Shape::Counts { bad: "b".into(), total: "t".into(), scale_micro: 1_000_000 };
        let metric = MetricName::new("m").expect("a name");
        let source = Source {
            name: "sums".into(),
            api: Api::Csv { path: "{side}.csv".into() },
            interval_ms: 10_000,
            timeout_ms: 1_000,
            bucket_ms: 10_000,
            delay_ms: 5_000,
            canary: BTreeMap::new(),
            baseline: BTreeMap::new(),
            queries: vec![Query { metric, text: "b / t".into(), shape }],
        };
        let (canary, baseline) = ("v2".to_owned(), Some("v1".to_owned()));
        Order { sources: vec![source], canary, baseline, outputs: Outputs::default(), unheard: [].into() }
    }

    fn frame(now_s: f64) -> Frame {
        let order = order();
        Frame::new(Arc::new(order.sources[0].clone()), &order, 1, now_s)
    }

    fn answered(now_s: f64, newest_s: f64) -> Answers {
        let series = Side::BOTH.map(|side| Series { side, part: 1, points: vec![(newest_s, 5.0)] });
        let points = Points { now_s, bucket_s: 10.0, series: series.into() };
        vec![(order().sources[0].queries[0].clone(), Ok(Answer::Buckets(points)))]
    }

    #[test]
    fn sums_are_measured_up_to_the_end_of_their_last_whole_bucket() {
        let mut frame = frame(1_000.0);
        for (now_s, newest_s, measured_s) in [(1_018.0, 1_000.0, 1_010), (1_044.0, 1_010.0, 1_030)] {
            frame.take(answered(now_s, newest_s), now_s, now_s);
            let measured: Vec<_> = frame.reading().measured.values().map(|at| at.0 / 1_000_000).collect();
            assert_eq!(measured, [measured_s]);
        }
    }

    #[test]
    fn a_clock_of_ours_that_is_set_back_leaves_what_is_asked_for_where_it_was() {
        let mut frame = frame(10_000.0);
        frame.take(answered(10_018.0, 10_000.0), 10_018.0, 10_018.0);
        // An hour back: the source goes on as it did.
        frame.take(answered(10_028.0, 10_010.0), 6_428.0, 6_428.0);
        assert_eq!(frame.span_s(6_438.0), [9_980.0, 10_038.0]);
    }
}
