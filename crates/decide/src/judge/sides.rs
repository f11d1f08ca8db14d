//! Both sides by endpoint class: put together once for every window, for all metrics.

use taxiway_model::counts::{Counts, Histogram};
use taxiway_model::evidence::Classes;
use taxiway_stats::compact::Compact;
use taxiway_stats::histogram::{Bucket, Ranked};
use taxiway_stats::{Arm, Window};

/// What both sides answered so far, warm-up excluded.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sides {
    strata: Strata,
    /// Requests by class, canary first.
    requests: Vec<[u64; 2]>,
    /// Everything but latencies.
    counts: [Counts; 2],
    latencies: [Compact; 2],
}

impl Sides {
    /// Takes a window in; answers it as metrics want it.
    pub(super) fn take(&mut self, canary: &Classes, baseline: &Classes) -> Seen {
        let seen =
            Seen { strata: self.strata.of(canary, baseline), latencies: Latencies::of(canary, baseline) };
        self.requests.resize(seen.strata.len(), [0; 2]);
        for (sum, stratum) in self.requests.iter_mut().zip(&seen.strata) {
            sum[0] = sum[0].saturating_add(stratum.canary.total);
            sum[1] = sum[1].saturating_add(stratum.baseline.total);
        }
        for (sum, side) in self.counts.iter_mut().zip([canary, baseline]) {
            for counts in side.values() {
                add(sum, counts);
            }
        }
        for (sum, more) in self.latencies.iter_mut().zip(&seen.latencies.buckets) {
            sum.merge(more);
        }
        seen
    }

    /// The canary's answers of all classes.
    pub fn canary(&self) -> Counts {
        self.side(0)
    }

    /// The baseline's.
    pub fn baseline(&self) -> Counts {
        self.side(1)
    }

    fn side(&self, side: usize) -> Counts {
        let narrow = |(index, count): Bucket| i16::try_from(index).ok().map(|index| (index, count));
        let buckets = self.latencies[side].buckets().into_iter().filter_map(narrow);
        Counts { latency: Histogram { buckets: buckets.collect() }, ..self.counts[side].clone() }
    }

    /// Requests of canary and baseline by class, in the order in which the classes first came.
    pub fn requests(&self) -> impl Iterator<Item = (&str, [u64; 2])> {
        self.strata.classes.iter().map(String::as_str).zip(self.requests.iter().copied())
    }

    /// The class's place among the strata.
    pub(super) fn place(&self, class: &str) -> Option<usize> {
        self.strata.classes.iter().position(|known| known == class)
    }
}

/// A window as metrics want it.
#[derive(Debug)]
pub(super) struct Seen {
    /// By class, in the order of [`Sides`].
    pub strata: Vec<Window>,
    /// Of all classes together.
    pub latencies: Latencies,
}

/// Endpoint classes in the order in which they first came.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Strata {
    classes: Vec<String>,
}

impl Strata {
    /// Both sides by class, always in the same order.
    pub(super) fn of(&mut self, canary: &Classes, baseline: &Classes) -> Vec<Window> {
        for class in canary.keys().chain(baseline.keys()) {
            if !self.classes.contains(class) {
                self.classes.push(class.clone());
            }
        }
        let window = |class| Window { canary: arm(canary.get(class)), baseline: arm(baseline.get(class)) };
        self.classes.iter().map(window).collect()
    }
}

fn arm(counts: Option<&Counts>) -> Arm {
    counts.map_or_else(Arm::default, |counts| Arm { total: counts.requests, bad: counts.errors() })
}

/// Adds everything but latencies.
fn add(sum: &mut Counts, more: &Counts) {
    sum.requests = sum.requests.saturating_add(more.requests);
    for (sum, more) in sum.status.iter_mut().zip(more.status) {
        *sum = sum.saturating_add(more);
    }
    sum.timeouts = sum.timeouts.saturating_add(more.timeouts);
    sum.connect_errors = sum.connect_errors.saturating_add(more.connect_errors);
}

/// The latencies of a window, canary first.
#[derive(Debug)]
pub(super) struct Latencies {
    pub buckets: [Vec<Bucket>; 2],
    pub ranked: [Ranked; 2],
}

impl Latencies {
    /// Of all endpoint classes.
    pub(super) fn of(canary: &Classes, baseline: &Classes) -> Self {
        let side = |classes: &Classes| together(classes.values().map(|counts| &counts.latency));
        Self::ranked([side(canary), side(baseline)])
    }

    /// Of one of them.
    pub(super) fn of_class(class: &str, canary: &Classes, baseline: &Classes) -> Self {
        let side = |classes: &Classes| together(classes.get(class).map(|counts| &counts.latency).into_iter());
        Self::ranked([side(canary), side(baseline)])
    }

    fn ranked(buckets: [Vec<Bucket>; 2]) -> Self {
        let ranked = [Ranked::new(&buckets[0]), Ranked::new(&buckets[1])];
        Self { buckets, ranked }
    }
}

fn together<'a>(mut histograms: impl ExactSizeIterator<Item = &'a Histogram>) -> Vec<Bucket> {
    if histograms.len() <= 1 {
        return histograms.next().map(buckets).unwrap_or_default();
    }
    let mut sum = Compact::default();
    histograms.for_each(|histogram| sum.merge(&buckets(histogram)));
    sum.buckets()
}

/// A histogram as the statistics read it.
pub(super) fn buckets(histogram: &Histogram) -> Vec<Bucket> {
    histogram.buckets.iter().map(|(index, count)| (i32::from(*index), *count)).collect()
}
