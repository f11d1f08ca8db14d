//! The fake source of metrics: it counts what versions answered, as a source beside the router would,
//! and answers questions about it, or fails to. What counts of its answers is the real frame's business.

use crate::random::Random;
use crate::scenario::TROUBLED_MS;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use taxiway_adapters::metrics::Failure;
use taxiway_adapters::metrics::answer::{Answer, PART, Points, Series, Vector, part};
use taxiway_adapters::metrics::frame::Frame;
use taxiway_model::metrics::{Order, Reading, Side, Tally};
use taxiway_model::time::Timestamp;

/// What a throttled source asks for.
const RETRY_AFTER: Duration = Duration::from_secs(20);

/// By how much data come later than they should while they come late.
const LATE_MS: u64 = 40_000;

/// Data older than this may be called old.
const FRESH_MS: u64 = 60_000;

/// A fault of a source of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceFault {
    /// It takes a question and never answers.
    Hangs,
    /// It answers 500.
    Fails,
    /// It answers 429 and asks to be left alone.
    Throttles,
    /// Every other question fails.
    Flaps,
    /// It answers, and has nothing of the canary.
    Nothing,
    /// It answers, and has nothing of the baseline.
    NoBaseline,
    /// What it answers is no number, no count, or no share.
    Garbage,
    /// What it counts comes late.
    Late,
    /// It gives its last answer again, and every series twice.
    Repeats,
    /// The counters of an instance begin again.
    Resets,
}

/// Every fault with its share of the draws.
pub const SOURCE_FAULTS: &[SourceFault] = &[
    SourceFault::Hangs,
    SourceFault::Hangs,
    SourceFault::Fails,
    SourceFault::Fails,
    SourceFault::Throttles,
    SourceFault::Flaps,
    SourceFault::Nothing,
    SourceFault::NoBaseline,
    SourceFault::Garbage,
    SourceFault::Late,
    SourceFault::Repeats,
    SourceFault::Resets,
];

/// What a source is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSetup {
    /// Its clock against ours.
    pub ahead_ms: i64,
    /// Faults by time, with how long each lasts.
    pub faults: Vec<(u64, SourceFault, u64)>,
}

/// What a round of questions gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Both sides asked for.
    Well,
    /// The answer that there is nothing.
    Nothing,
    /// No answer that can be used.
    Trouble,
}

/// A round of questions as the witness hears of it.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    /// Of which engine.
    pub(crate) seat: u64,
    pub(crate) heard: Heard,
    /// Up to when it told everything, in the world's time.
    pub(crate) measured_ms: u64,
    /// Why nothing was made of an answer that nothing was wrong with.
    pub(crate) refused: Option<String>,
}

/// An answer as it leaves the source.
#[derive(Debug, Clone)]
struct Given {
    answer: Answer,
    measured_ms: u64,
    /// Whether nothing is wrong with it.
    is_sound: bool,
}

/// The counters of one version: bad ones and all, by instance and by time.
#[derive(Debug, Default, Clone)]
struct Counters {
    instances: [Tally; 2],
    /// By the number of the bucket of time.
    by_time: BTreeMap<u64, Tally>,
    turn: bool,
    /// All that can be seen, whatever was reset.
    seen: u64,
}

/// When it can be seen, when it was, of which version.
type UnderWay = (u64, u64, String, Tally);

#[derive(Debug)]
struct Asker {
    seat: u64,
    order: Order,
    frame: Frame,
    shown: Option<Reading>,
    due_ms: u64,
    /// A question under way: since when, on both clocks.
    hangs: Option<(u64, f64)>,
}

#[derive(Debug)]
pub(crate) struct Source {
    setup: SourceSetup,
    /// The time of day at the world's beginning.
    dawn: Timestamp,
    counters: BTreeMap<String, Counters>,
    /// Counted and not to be seen yet: until when, of when, of which version.
    under_way: Vec<UnderWay>,
    bucket_ms: u64,
    /// Up to when everything can be seen, in the world's time.
    whole_ms: u64,
    askers: Vec<Asker>,
    orders: u64,
    answered: BTreeMap<u64, Given>,
    /// When a request was last seen.
    newest_ms: u64,
    random: Random,
    now_ms: u64,
}

impl Source {
    pub(crate) fn new(setup: SourceSetup, bucket_ms: u64, dawn: Timestamp, random: Random) -> Self {
        Self {
            setup,
            dawn,
            counters: BTreeMap::new(),
            under_way: Vec::new(),
            bucket_ms: bucket_ms.max(1),
            whole_ms: 0,
            askers: Vec::new(),
            orders: 0,
            answered: BTreeMap::new(),
            newest_ms: 0,
            random,
            now_ms: 0,
        }
    }

    fn suffers(&self, fault: SourceFault) -> bool {
        let now_ms = self.now_ms;
        now_ms < TROUBLED_MS
            && self
                .setup
                .faults
                .iter()
                .any(|(at_ms, one, lasts_ms)| *one == fault && (*at_ms..at_ms + lasts_ms).contains(&now_ms))
    }

    /// A version answered requests in a stretch of time that ends now.
    pub(crate) fn count(&mut self, now_ms: u64, version: &str, tally: Tally, delay_ms: u64) {
        let late_ms = if self.suffers(SourceFault::Late) { LATE_MS } else { 0 };
        // What takes the whole delay may just miss it: three quarters of it do not.
        let mut seen_ms = now_ms + delay_ms * 3 / 4 + late_ms;
        if delay_ms == 0 {
            // A counter has no holes: what comes after something late comes later still.
            seen_ms = seen_ms.max(self.under_way.last().map_or(0, |(seen_ms, ..)| *seen_ms));
        }
        self.under_way.push((seen_ms, now_ms, version.to_owned(), tally));
    }

    /// Lets time pass: what was under way arrives, and due questions are put.
    pub(crate) fn advance(&mut self, now_ms: u64, wall: Timestamp) -> Vec<Round> {
        let resets = self.setup.faults.iter().filter(|(at_ms, fault, _)| {
            *fault == SourceFault::Resets && (self.now_ms..now_ms).contains(at_ms)
        });
        if resets.count() > 0 {
            self.counters.values_mut().for_each(|one| one.instances[0] = Tally::default());
        }
        self.now_ms = now_ms;
        self.arrive();
        let mut rounds = Vec::new();
        for mut asker in std::mem::take(&mut self.askers) {
            rounds.extend(self.ask(&mut asker, wall));
            self.askers.push(asker);
        }
        rounds
    }

    fn arrive(&mut self) {
        let now_ms = self.now_ms;
        let all = std::mem::take(&mut self.under_way).into_iter();
        let (there, later): (Vec<UnderWay>, Vec<UnderWay>) =
            all.partition(|(seen_ms, ..)| *seen_ms <= now_ms);
        self.under_way = later;
        for (_, at_ms, version, tally) in there {
            self.newest_ms = now_ms;
            let counters = self.counters.entry(version).or_default();
            // Instances take turns.
            counters.turn = !counters.turn;
            counters.seen += tally.total;
            let instance = &mut counters.instances[usize::from(counters.turn)];
            // A stretch that ends on an edge lies before it.
            let bucket = counters.by_time.entry(at_ms.saturating_sub(1) / self.bucket_ms).or_default();
            for into in [instance, bucket] {
                into.total += tally.total;
                into.bad += tally.bad;
            }
        }
        let oldest = self.under_way.iter().map(|(_, at_ms, ..)| at_ms.saturating_sub(1)).min();
        self.whole_ms = oldest.unwrap_or(now_ms);
    }

    /// What can be seen of each version.
    pub(crate) fn seen(&self) -> BTreeMap<String, u64> {
        self.counters.iter().map(|(name, one)| (name.clone(), one.seen)).collect()
    }

    /// A time of the world on the source's clock. It knows neither of sleep nor of clocks that are set.
    fn clock_s(&self, at_ms: u64) -> f64 {
        let ms = at_ms as f64 + self.setup.ahead_ms as f64;
        self.dawn.0 as f64 / 1e6 + ms / 1e3
    }

    fn ask(&mut self, asker: &mut Asker, wall: Timestamp) -> Option<Round> {
        let wall_s = wall.0 as f64 / 1e6;
        let timeout_ms = asker.order.sources[0].timeout_ms;
        if let Some((began_ms, began_s)) = asker.hangs {
            if self.now_ms < began_ms + timeout_ms {
                return None;
            }
            asker.hangs = None;
            let failure = Failure::new(format!("no answer within {timeout_ms} ms"));
            return Some(asker.take(Err(failure), began_ms, began_s, wall_s));
        }
        if self.now_ms < asker.due_ms {
            return None;
        }
        if self.suffers(SourceFault::Hangs) {
            asker.hangs = Some((self.now_ms, wall_s));
            return None;
        }
        let answer = self.answer(asker, wall_s);
        Some(asker.take(answer, self.now_ms, wall_s, wall_s))
    }

    fn answer(&mut self, asker: &Asker, wall_s: f64) -> Result<Given, Failure> {
        if self.suffers(SourceFault::Fails) {
            return Err(Failure::new("it answers 500 Internal Server Error"));
        }
        if self.suffers(SourceFault::Throttles) {
            let why = "it answers 429 Too Many Requests".to_owned();
            return Err(Failure { why, retry_after: Some(RETRY_AFTER) });
        }
        if self.suffers(SourceFault::Flaps) && self.random.chance(500_000) {
            return Err(Failure::new("it answers 503 Service Unavailable"));
        }
        let repeats = self.suffers(SourceFault::Repeats);
        if repeats && let Some(given) = self.answered.get(&asker.seat) {
            return Ok(Given { is_sound: false, ..given.clone() });
        }
        let counted = |name: &str| self.counters.get(name).cloned().unwrap_or_default();
        let source = &asker.order.sources[0];
        let measured_ms = match source.bucket_ms {
            0 => self.whole_ms,
            // Sums that come later than the delay they were promised with count where they arrive.
            _ if self.setup.faults.iter().any(|(_, fault, _)| *fault == SourceFault::Late) => 0,
            width_ms => self.whole_ms.min(self.now_ms.saturating_sub(source.delay_ms)) / width_ms * width_ms,
        };
        let mut sides = vec![(Side::Canary, counted(&asker.order.canary))];
        sides.extend(asker.order.baseline.as_deref().map(|name| (Side::Baseline, counted(name))));
        let (no_canary, no_baseline) =
            (self.suffers(SourceFault::Nothing), self.suffers(SourceFault::NoBaseline));
        sides.retain(|(side, _)| !(if *side == Side::Canary { no_canary } else { no_baseline }));
        let mut answer = match source.bucket_ms {
            0 => self.counters_now(&sides),
            width_ms => self.sums(&sides, width_ms, asker.frame.span_s(wall_s)[0]),
        };
        let mut is_sound = false;
        if self.suffers(SourceFault::Garbage) {
            self.spoil(&mut answer)?;
        } else {
            if repeats {
                double(&mut answer);
            }
            is_sound = !no_canary && !no_baseline && !self.suffers(SourceFault::Late);
            is_sound &= self.now_ms < self.newest_ms + FRESH_MS;
            let given = Given { answer: answer.clone(), measured_ms, is_sound };
            self.answered.insert(asker.seat, given);
        }
        Ok(Given { answer, measured_ms, is_sound })
    }

    fn counters_now(&self, sides: &[(Side, Counters)]) -> Answer {
        let mut series = Vec::new();
        let labelled = |part: String, instance: &str| {
            BTreeMap::from([(PART.to_owned(), part), ("instance".to_owned(), instance.to_owned())])
        };
        for (side, counters) in sides {
            for (instance, tally) in ["a", "b"].into_iter().zip(counters.instances) {
                if counters.seen > 0 {
                    series.push((labelled(part(*side, 1), instance), tally.total as f64));
                    series.push((labelled(part(*side, 0), instance), tally.bad as f64));
                }
            }
            let newest = labelled(format!("{}.newest", side.word()), "");
            series.push((newest, self.clock_s(self.whole_ms)));
        }
        Answer::Now(Vector { at_s: Some(self.clock_s(self.now_ms)), series })
    }

    fn sums(&self, sides: &[(Side, Counters)], bucket_ms: u64, from_s: f64) -> Answer {
        let mut series = Vec::new();
        for (side, counters) in sides {
            for number in [1, 0] {
                let of = |tally: &Tally| if number == 1 { tally.total } else { tally.bad } as f64;
                let points =
                    counters.by_time.iter().map(|(bucket, sum)| (self.clock_s(bucket * bucket_ms), of(sum)));
                let points = points.filter(|(at_s, _)| *at_s >= from_s).collect();
                series.push(Series { side: *side, part: number, points });
            }
        }
        let now_s = self.clock_s(self.now_ms);
        Answer::Buckets(Points { now_s, bucket_s: bucket_ms as f64 / 1e3, series })
    }

    /// Makes an answer one that cannot be right.
    fn spoil(&mut self, answer: &mut Answer) -> Result<(), Failure> {
        let odd = self.random.pick(&[f64::NAN, f64::INFINITY, -1.0, 0.0]);
        let values: Vec<(bool, &mut f64)> = match answer {
            Answer::Now(vector) => {
                let is_bad = |labels: &BTreeMap<String, String>| labels[PART].ends_with(".0");
                vector.series.iter_mut().map(|(labels, value)| (is_bad(labels), value)).collect()
            }
            Answer::Buckets(points) => {
                let values = points.series.iter_mut().flat_map(|one| {
                    let is_bad = one.part == 0;
                    one.points.iter_mut().map(move |(_, value)| (is_bad, value))
                });
                values.collect()
            }
            Answer::Histograms { .. } => Vec::new(),
        };
        if values.is_empty() || self.random.chance(200_000) {
            return Err(Failure::new("the answer cannot be read: expected value at line 1 column 1"));
        }
        for (is_bad, value) in values {
            if odd != 0.0 {
                *value = odd;
            } else if is_bad {
                // More bad ones than there are.
                *value = 3.0 * *value + 300.0;
            }
        }
        Ok(())
    }
}

/// Every series and every point twice.
fn double(answer: &mut Answer) {
    match answer {
        Answer::Now(vector) => vector.series.extend_from_within(..),
        Answer::Buckets(points) => {
            points.series.iter_mut().for_each(|one| one.points.extend_from_within(..));
        }
        Answer::Histograms { .. } => {}
    }
}

impl Asker {
    fn take(&mut self, given: Result<Given, Failure>, began_ms: u64, began_s: f64, now_s: f64) -> Round {
        let query = self.order.sources[0].queries[0].clone();
        let (measured_ms, is_sound) =
            given.as_ref().map_or((0, false), |given| (given.measured_ms, given.is_sound));
        let answer = given.map(|given| given.answer);
        let metric = query.metric.clone();
        let told = self.frame.take(vec![(query, answer)], began_s, now_s);
        self.due_ms = began_ms + told.pause.as_millis() as u64;
        let reading = self.frame.reading();
        if told.is_news {
            self.shown = Some(reading.clone());
        }
        // Garbage and half an answer are no good round, whatever the source thinks of them.
        let heard = if reading.nothing.contains_key(&metric) {
            Heard::Nothing
        } else if told.is_news && reading.trouble.is_empty() && reading.samples.contains_key(&metric) {
            Heard::Well
        } else {
            Heard::Trouble
        };
        let refused = reading.trouble.get(&metric).filter(|_| is_sound).cloned();
        Round { seat: self.seat, heard, measured_ms, refused }
    }
}

/// What an engine's port does.
impl Source {
    pub(crate) fn want(&mut self, seat: u64, order: &Order, wall: Timestamp) {
        if let Some(asker) = self.askers.iter_mut().find(|asker| asker.seat == seat) {
            if asker.order.asks_as(order) {
                return;
            }
            self.forget(seat);
        }
        self.orders += 1;
        let source = Arc::new(order.sources[0].clone());
        let frame = Frame::new(source, order, self.orders, wall.0 as f64 / 1e6);
        let (order, due_ms) = (order.clone(), self.now_ms);
        if self.askers.iter().any(|asker| asker.seat > seat) {
            return;
        }
        // Whoever else asks is of an engine that died or was fenced.
        self.askers.clear();
        self.askers.push(Asker { seat, order, frame, shown: None, due_ms, hangs: None });
    }

    pub(crate) fn forget(&mut self, seat: u64) {
        self.askers.retain(|asker| asker.seat != seat);
        self.answered.remove(&seat);
    }

    pub(crate) fn latest(&self, seat: u64) -> Option<Reading> {
        self.askers.iter().find(|asker| asker.seat == seat)?.shown.clone()
    }
}
