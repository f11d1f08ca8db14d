//! The normal profile: a rolling record of how the running version answers while nothing is
//! released, and what can be said from it (R4.2).
//!
//! Windows of ten seconds hold counts only; distributions are kept in three pieces of twenty
//! minutes, the oldest of which is forgotten. Nothing here grows with the traffic.

use std::collections::{BTreeMap, VecDeque};
use taxiway_model::control::Answered;
use taxiway_model::counts::{Counts, quantile_us};
use taxiway_model::evidence::{Classes, merge, total};
use taxiway_model::normal::Normal;
use taxiway_stats::{Arm, dispersion};

/// Length of a window: the shortest over which clusters of failures are looked for.
const WINDOW_MS: u64 = 10_000;

/// A window that took this long was interrupted: what happened meanwhile is nobody's evidence.
const WINDOW_MS_MAX: u64 = 3 * WINDOW_MS;

/// Windows of a piece: two of the longest stretches compared, twice over.
const PIECE_WINDOWS: usize = 120;

/// Pieces kept: an hour at most.
const PIECES_MAX: usize = 3;

/// Lengths over which failures are compared, in windows: 10 s, 60 s and 300 s.
const SIZES: [usize; 3] = [1, 6, 30];

/// Windows from which a dispersion may be told: two of the longest stretches.
const DISPERSION_WINDOWS_MIN: usize = 60;

/// Bad requests below which there is no dispersion to tell.
const DISPERSION_BAD_MIN: u64 = 20;

/// Share of the largest deviations that is left out where instances are not told apart: the edge of
/// an outage that hits every version alike says nothing of how clustered failures are.
const TRIMMED: f64 = 0.05;

/// What is left of the mean of a chi-square variable with one degree of freedom without its
/// largest twentieth: `P(X₃ < 3.841) / 0.95`.
const TRIMMED_MEAN: f64 = 0.759;

/// Own time from which what was counted before this process is left out.
const INHERITED_UNTIL_MS: u64 = 300_000;

/// Instances told apart; with more, noise between them is not the problem.
const INSTANCES_MAX: usize = 64;

/// Requests that say where the slowest twentieth begins.
const SLOW_FROM_REQUESTS: u64 = 200;

/// Time and requests of which a profile must consist to be one (R4.2).
pub const SPAN_MS_MIN: u64 = 60_000;

/// See [`SPAN_MS_MIN`].
pub const REQUESTS_MIN: u64 = 200;

/// A busy service need not be watched for a minute: so many requests in so much time show its rate and
/// the tail of its latencies as well as any minute does. How clustered failures are takes ten minutes
/// either way, and is not told before.
pub const BUSY_SPAN_MS_MIN: u64 = 5_000;

/// See [`BUSY_SPAN_MS_MIN`].
pub const BUSY_REQUESTS_MIN: u64 = 5_000;

/// What the router has counted of the running version, cumulatively.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading {
    /// By endpoint class.
    pub classes: Classes,
    /// By instance, where the router tells them apart.
    pub instances: BTreeMap<String, Answered>,
}

/// The rolling record of one version.
#[derive(Debug, Clone, Default)]
pub struct Record {
    last: Option<(u64, Reading)>,
    inherited: Option<(u64, Classes)>,
    pieces: VecDeque<Piece>,
    addresses: Vec<String>,
    instances: u32,
}

#[derive(Debug, Clone, Default)]
struct Piece {
    span_ms: u64,
    classes: Classes,
    /// Buckets above this one are slow.
    slow_above: Option<i16>,
    windows: Vec<Window>,
}

#[derive(Debug, Clone, Default)]
struct Window {
    failed: Arm,
    slow: Option<Arm>,
    instances: Vec<Arm>,
}

impl Record {
    /// Takes over what was counted before anybody watched, over so much time.
    pub fn inherit(&mut self, span_ms: u64, classes: Classes) {
        self.inherited = (span_ms > 0).then_some((span_ms, classes));
    }

    /// Nothing is to be recorded for now: a release is in flight, or the counters began again.
    pub fn pause(&mut self) {
        self.last = None;
    }

    /// A release begins, and nothing is recorded until it is over. What was seen since the last window
    /// counts, but not as a window: a shorter stretch than the others says nothing of clusters.
    pub fn interrupt(&mut self, at_ms: u64, reading: impl FnOnce() -> Reading) {
        let Some((since_ms, before)) = self.last.take() else { return };
        let span_ms = at_ms.saturating_sub(since_ms);
        if span_ms == 0 || span_ms > WINDOW_MS_MAX {
            return;
        }
        let seen = since(&reading(), &before);
        self.told_apart(&seen.instances);
        self.begin_piece();
        let Some(piece) = self.pieces.back_mut() else { return };
        piece.span_ms += span_ms;
        merge(&mut piece.classes, &seen.classes);
    }

    /// Takes a reading in; times on a monotonic clock.
    pub fn see(&mut self, at_ms: u64, reading: impl FnOnce() -> Reading) {
        let Some((since_ms, before)) = &self.last else {
            self.last = Some((at_ms, reading()));
            return;
        };
        let span_ms = at_ms.saturating_sub(*since_ms);
        if span_ms < WINDOW_MS {
            return;
        }
        let now = reading();
        if span_ms <= WINDOW_MS_MAX {
            let window = since(&now, before);
            self.close(span_ms, &window);
        }
        self.last = Some((at_ms, now));
    }

    fn close(&mut self, span_ms: u64, seen: &Reading) {
        let instances = self.told_apart(&seen.instances);
        let all = total(&seen.classes);
        self.begin_piece();
        let Some(piece) = self.pieces.back_mut() else { return };
        piece.span_ms += span_ms;
        merge(&mut piece.classes, &seen.classes);
        let slow = piece.slow_above.map(|bucket| {
            let of = &all.latency.buckets;
            Arm { total: all.latency.total(), bad: of.range(bucket + 1..).map(|(_, count)| count).sum() }
        });
        if piece.slow_above.is_none() {
            piece.slow_above = slow_above(&total(&piece.classes));
        }
        let failed = Arm { total: all.requests, bad: all.errors() };
        piece.windows.push(Window { failed, slow, instances });
    }

    /// Begins a new piece where the last one is full.
    fn begin_piece(&mut self) {
        if self.pieces.back().is_some_and(|piece| piece.windows.len() < PIECE_WINDOWS) {
            return;
        }
        let known = self.pieces.back().map(|piece| piece.classes.clone());
        let before = known.or_else(|| self.inherited.clone().map(|(_, classes)| classes));
        let slow_above = before.and_then(|classes| slow_above(&total(&classes)));
        self.pieces.push_back(Piece { slow_above, ..Piece::default() });
        if self.pieces.len() > PIECES_MAX {
            self.pieces.pop_front();
        }
    }

    /// Counts by instance, always in the same order; nothing where there are too many.
    fn told_apart(&mut self, seen: &BTreeMap<String, Answered>) -> Vec<Arm> {
        let serving = seen.values().filter(|one| one.requests > 0).count();
        self.instances = u32::try_from(serving).unwrap_or(u32::MAX);
        for (address, _) in seen.iter().filter(|(_, one)| one.requests > 0) {
            if !self.addresses.contains(address) && self.addresses.len() < INSTANCES_MAX {
                self.addresses.push(address.clone());
            }
        }
        let of = |address: &String| seen.get(address).copied().unwrap_or_default();
        self.addresses.iter().map(of).map(|one| Arm { total: one.requests, bad: one.failed }).collect()
    }

    /// What can be said so far; none while nothing was seen at all.
    pub fn profile(&self) -> Option<Normal> {
        let mut normal = Normal { instances: self.instances, ..Normal::default() };
        for piece in &self.pieces {
            normal.span_ms += piece.span_ms;
            merge(&mut normal.classes, &piece.classes);
        }
        if normal.span_ms < INHERITED_UNTIL_MS
            && let Some((span_ms, classes)) = &self.inherited
        {
            normal.span_ms += span_ms;
            merge(&mut normal.classes, classes);
        }
        let windows: Vec<&Window> = self.pieces.iter().flat_map(|piece| &piece.windows).collect();
        if windows.len() >= DISPERSION_WINDOWS_MIN {
            self.dispersions(&windows, &mut normal);
        }
        (normal.span_ms > 0 && total(&normal.classes).requests > 0).then_some(normal)
    }

    fn dispersions(&self, windows: &[&Window], normal: &mut Normal) {
        let failed: u64 = windows.iter().map(|window| window.failed.bad).sum();
        let apart = (2..INSTANCES_MAX).contains(&self.addresses.len()) && self.instances > 1;
        if failed >= DISPERSION_BAD_MIN && apart {
            let by_instance: Vec<Vec<Arm>> = windows.iter().map(|window| window.instances.clone()).collect();
            let learned = dispersion::learn(&by_instance, &SIZES);
            normal.error_dispersion_milli = Some(milli(learned.phi));
            normal.instance_noise_milli = Some(milli(learned.tau));
        } else if failed >= DISPERSION_BAD_MIN {
            let arms: Vec<Arm> = windows.iter().map(|window| window.failed).collect();
            normal.error_dispersion_milli = Some(milli(over_time(&arms)));
        }
        // Windows of one piece share the bound of what is slow; those of two need not.
        let by_piece = self.pieces.iter().map(|piece| {
            let arms: Vec<Arm> = piece.windows.iter().filter_map(|window| window.slow).collect();
            (arms.iter().map(|arm| arm.bad).sum::<u64>() >= DISPERSION_BAD_MIN).then(|| over_time(&arms))
        });
        let largest = by_piece.flatten().reduce(f64::max);
        normal.slow_dispersion_milli = largest.map(milli);
    }
}

/// Whether a profile says enough to be put on record.
pub fn suffices(normal: &Normal) -> bool {
    let requests = total(&normal.classes).requests;
    normal.span_ms >= SPAN_MS_MIN && requests >= REQUESTS_MIN
        || normal.span_ms >= BUSY_SPAN_MS_MIN && requests >= BUSY_REQUESTS_MIN
}

fn since(now: &Reading, before: &Reading) -> Reading {
    let none = Counts::default();
    let classes = now
        .classes
        .iter()
        .map(|(class, counts)| (class.clone(), counts.since(before.classes.get(class).unwrap_or(&none))))
        .filter(|(_, counts)| counts.requests > 0)
        .collect();
    let instances = now.instances.iter().map(|(address, one)| {
        let old = before.instances.get(address).copied().unwrap_or_default();
        // A counter that went backwards began again.
        let old = if one.requests < old.requests { Answered::default() } else { old };
        let more =
            Answered { requests: one.requests - old.requests, failed: one.failed.saturating_sub(old.failed) };
        (address.clone(), more)
    });
    Reading { classes, instances: instances.collect() }
}

/// The bucket above which about a twentieth of the requests lie.
fn slow_above(seen: &Counts) -> Option<i16> {
    let all = seen.latency.total();
    if all < SLOW_FROM_REQUESTS || quantile_us(&seen.latency, 9_500).is_none() {
        return None;
    }
    let mut below = 0;
    for (bucket, count) in &seen.latency.buckets {
        below += count;
        if below * 20 >= all * 19 {
            return Some(*bucket);
        }
    }
    None
}

fn milli(value: f64) -> u64 {
    libm::round(value.clamp(0.0, 1e9) * 1e3) as u64
}

/// How much more the bad requests of neighbouring stretches differ than independent ones would,
/// at least 1: each stretch against the next, so that what changes slowly cancels.
fn over_time(windows: &[Arm]) -> f64 {
    SIZES.iter().map(|size| neighbours(windows, *size)).fold(1.0, f64::max)
}

fn neighbours(windows: &[Arm], size: usize) -> f64 {
    let stretches: Vec<Arm> = windows
        .chunks_exact(size)
        .map(|chunk| {
            chunk.iter().fold(Arm::default(), |sum, one| Arm {
                total: sum.total.saturating_add(one.total),
                bad: sum.bad.saturating_add(one.bad),
            })
        })
        .collect();
    let (mut squares, mut expected_sum) = (Vec::new(), 0.0);
    for pair in stretches.chunks_exact(2) {
        let (total, bad) = (pair[0].total + pair[1].total, pair[0].bad + pair[1].bad);
        let rate = bad as f64 / total.max(1) as f64;
        if bad == 0 || rate >= 1.0 || pair.iter().any(|arm| arm.total == 0) {
            continue;
        }
        let square = |arm: &Arm| {
            let expected = arm.total as f64 * rate;
            (arm.bad as f64 - expected) * (arm.bad as f64 - expected) / (expected * (1.0 - rate))
        };
        // Together Pearson's statistic of the two by two table: one degree of freedom.
        squares.push(square(&pair[0]) + square(&pair[1]));
        expected_sum += bad as f64 / 2.0;
    }
    if squares.is_empty() {
        return 1.0;
    }
    squares.sort_by(f64::total_cmp);
    let pairs = squares.len();
    let kept = pairs - (pairs as f64 * TRIMMED) as usize;
    let mean = squares[..kept].iter().sum::<f64>() / kept as f64;
    let phi = if kept < pairs { mean / TRIMMED_MEAN } else { mean };
    // Within three standard errors of independence it counts as independent.
    let error = ((2.0 + pairs as f64 / expected_sum) / pairs as f64).sqrt();
    if phi > 1.0 + 3.0 * error { phi } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small generator with a fixed seed: splitmix64.
    struct Dice(u64);

    impl Dice {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }

        fn hits(&mut self, of: u64, ppm: u64) -> u64 {
            (0..of).filter(|_| self.next() % 1_000_000 < ppm).count() as u64
        }
    }

    /// An hour of ten-second windows: `failed` of `requests` at each of two instances.
    fn hour(requests: u64, mut failed: impl FnMut(usize, usize) -> u64) -> Record {
        let mut record = Record::default();
        let mut reading = Reading::default();
        record.see(0, || reading.clone());
        for window in 0..360 {
            for instance in 0..2 {
                let bad = failed(window, instance).min(requests);
                let mut counts = Counts { requests, ..Counts::default() };
                counts.status = [0, requests - bad, 0, 0, bad];
                counts.latency.buckets.insert(100, requests - requests / 20);
                counts.latency.buckets.insert(200, requests / 20);
                merge(&mut reading.classes, &Classes::from([("api".to_owned(), counts)]));
                let at = reading.instances.entry(format!("127.0.0.1:{instance}")).or_default();
                at.requests += requests;
                at.failed += bad;
            }
            record.see((window as u64 + 1) * WINDOW_MS, || reading.clone());
        }
        record
    }

    #[test]
    fn independent_failures_cost_nothing() {
        let mut dice = Dice(1);
        let normal = hour(500, |_, _| dice.hits(500, 10_000)).profile().unwrap();
        assert!(suffices(&normal));
        assert_eq!((normal.span_ms, normal.instances), (3_600_000, 2));
        assert_eq!(total(&normal.classes).requests, 360_000);
        assert_eq!((normal.error_dispersion_milli, normal.instance_noise_milli), (Some(1_000), Some(0)));
    }

    #[test]
    fn bursts_are_seen_with_and_without_instances_told_apart() {
        let mut dice = Dice(2);
        let record = hour(500, |_, _| 5 * dice.hits(500, 2_000));
        let phi = record.profile().unwrap().error_dispersion_milli.unwrap();
        assert!((3_500..7_000).contains(&phi), "{phi}");
        let arms: Vec<Arm> = record.pieces.iter().flat_map(|p| &p.windows).map(|w| w.failed).collect();
        let phi = over_time(&arms);
        assert!((3.5..8.0).contains(&phi), "{phi}");
    }

    #[test]
    fn an_outage_of_everything_is_not_taken_for_bursts() {
        let mut dice = Dice(3);
        let failing = |window: usize| if (100..112).contains(&window) { 200_000 } else { 10_000 };
        let record = hour(500, |window, _| dice.hits(500, failing(window)));
        let phi = record.profile().unwrap().error_dispersion_milli.unwrap();
        assert!(phi < 1_500, "{phi}");
        let arms: Vec<Arm> = record.pieces.iter().flat_map(|p| &p.windows).map(|w| w.failed).collect();
        let short = neighbours(&arms, 1);
        assert!(short < 1.5, "{short}");
    }

    #[test]
    fn instances_that_differ_for_minutes_are_noise_and_not_bursts() {
        let mut dice = Dice(4);
        let ppm = |window: usize, instance: usize| {
            if (window / 60 + instance).is_multiple_of(2) { 14_000 } else { 7_000 }
        };
        let normal =
            hour(2_000, |window, instance| dice.hits(2_000, ppm(window, instance))).profile().unwrap();
        let tau = normal.instance_noise_milli.unwrap();
        assert!((200..600).contains(&tau), "{tau}");
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_is_forgotten() {
        let mut record = Record::default();
        let mut reading = Reading::default();
        for second in 0..30_000 {
            let counts = Counts { requests: 1, ..Counts::default() };
            merge(&mut reading.classes, &Classes::from([("api".to_owned(), counts)]));
            let address = format!("127.0.0.1:{}", second / 60);
            reading.instances.entry(address).or_default().requests += 1;
            record.see(second * 1_000, || reading.clone());
        }
        let normal = record.profile().unwrap();
        assert!((2_400_000..=3_600_000).contains(&normal.span_ms), "{}", normal.span_ms);
        assert!(record.pieces.len() <= PIECES_MAX && record.addresses.len() <= INSTANCES_MAX);
    }

    #[test]
    fn what_was_counted_before_counts_until_there_is_enough() {
        let mut record = Record::default();
        let counts = Counts { requests: 900, status: [0, 891, 0, 0, 9], ..Counts::default() };
        record.inherit(90_000, Classes::from([("api".to_owned(), counts)]));
        let normal = record.profile().unwrap();
        assert!(suffices(&normal));
        assert_eq!((normal.span_ms, normal.error_dispersion_milli), (90_000, None));
        let mut reading = Reading::default();
        for window in 0..31 {
            record.see(window * WINDOW_MS, || reading.clone());
            let counts = Counts { requests: 10, ..Counts::default() };
            merge(&mut reading.classes, &Classes::from([("api".to_owned(), counts)]));
        }
        let normal = record.profile().unwrap();
        assert_eq!((normal.span_ms, total(&normal.classes).requests), (300_000, 300));
    }

    #[test]
    fn a_busy_service_is_known_in_seconds() {
        let at = |requests| {
            let counts = Counts { requests, status: [0, requests, 0, 0, 0], ..Counts::default() };
            Reading { classes: Classes::from([("api".to_owned(), counts)]), ..Reading::default() }
        };
        let seen = |span_ms: u64, requests: u64| {
            let mut record = Record::default();
            record.see(0, || at(100));
            record.see(span_ms / 2, || at(100 + requests / 2));
            record.interrupt(span_ms, || at(100 + requests));
            // What the release does is not what is normal.
            record.interrupt(span_ms + 1_000, || at(9_000));
            record.profile().unwrap()
        };
        let normal = seen(6_000, 7_200);
        assert_eq!((normal.span_ms, total(&normal.classes).requests), (6_000, 7_200));
        assert_eq!(normal.error_dispersion_milli, None);
        assert!(suffices(&normal));
        assert!(!suffices(&seen(6_000, 4_000)) && !suffices(&seen(4_000, 7_000)));
        assert!(suffices(&seen(9_999, 5_000)));
    }

    #[test]
    fn a_pause_and_a_gap_leave_nothing_behind() {
        let mut record = Record::default();
        let at = |requests| {
            let counts = Counts { requests, ..Counts::default() };
            Reading { classes: Classes::from([("api".to_owned(), counts)]), ..Reading::default() }
        };
        record.see(0, || at(0));
        record.pause();
        record.see(WINDOW_MS, || at(1_000));
        record.see(10 * WINDOW_MS, || at(2_000));
        assert_eq!(record.profile(), None);
        record.see(11 * WINDOW_MS, || at(2_050));
        assert_eq!(total(&record.profile().unwrap().classes).requests, 50);
    }
}
