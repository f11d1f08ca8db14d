//! Memory of instances. The absolute bands look at the largest instance, twice in a row. Compared
//! with the baseline the unit is the instance, not the reading: sixty readings of one process are
//! one observation. The instances' means are ranked at fixed times (after 1, 2, 4, 8 … minutes),
//! each with its part of the false-alarm rate; where there are too few instances for any ranking to
//! show anything, it says so.

use super::super::finding::{self, milli, times};
use std::collections::BTreeMap;
use taxiway_model::evidence::{Gauge, Window};
use taxiway_model::policy::{AnalysisPolicy, MetricPolicy};
use taxiway_model::verdict::{FindingState, MetricFinding, SideFinding, Verdict};
use taxiway_stats::ranksum;

/// Windows in a row above a band from which on it is crossed: one may be a spike.
const OVER_MIN: u32 = 2;

/// Fewer canary instances than this are never compared.
const INSTANCES_MIN: usize = 3;

/// When the instances are ranked for the first time; each further time after twice as long.
const FIRST_RANKING_MS: u64 = 60_000;

/// One instance's readings.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Seen {
    readings: u64,
    sum: f64,
}

/// The fold of the memory of both sides.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in super::super) struct Evidence {
    canary: BTreeMap<u32, Seen>,
    baseline: BTreeMap<u32, Seen>,
    /// The largest instance now, canary and baseline.
    largest: [Option<u64>; 2],
    /// Windows in a row above the rollback band and the hold band, of either side.
    over: [[u32; 2]; 2],
    elapsed_ms: u64,
    rankings: u32,
    /// The strongest of the rankings so far: log evidence, its part of the false-alarm rate paid.
    against: f64,
}

impl Evidence {
    pub(super) fn fold(&mut self, metric: &MetricPolicy, window: &Window) {
        if window.gauges.canary.is_empty() {
            return;
        }
        let sides =
            [(&mut self.canary, &window.gauges.canary), (&mut self.baseline, &window.gauges.baseline)];
        for (place, (seen, gauges)) in sides.into_iter().enumerate() {
            for gauge in gauges {
                let seen = seen.entry(gauge.instance).or_default();
                seen.readings += 1;
                seen.sum += gauge.memory_bytes as f64;
            }
            let largest = gauges.iter().map(|gauge: &Gauge| gauge.memory_bytes).max();
            self.largest[place] = largest;
            for (over, band) in self.over[place].iter_mut().zip([metric.rollback_above, metric.hold_above]) {
                let is_over = largest.zip(band).is_some_and(|(largest, band)| largest > band);
                *over = if is_over { over.saturating_add(1) } else { 0 };
            }
        }
        self.elapsed_ms += window.span_ms;
        while metric.is_compared() && self.elapsed_ms >= FIRST_RANKING_MS << self.rankings.min(40) {
            self.rankings += 1;
            let tolerated = f64::from(metric.tolerance_bp) / 1e4;
            let of = |side: &BTreeMap<u32, Seen>, by: f64| -> Vec<f64> {
                means(side).map(|mean| mean / by).collect()
            };
            let canary = of(&self.canary, tolerated);
            if canary.len() >= INSTANCES_MIN {
                let chance = ranksum::chance(&canary, &of(&self.baseline, 1.0));
                self.against = self.against.max(-libm::log(chance.max(1e-300)) - price(self.rankings));
            }
        }
    }

    /// The ratio of the means over instances; none without a baseline.
    fn ratio(&self) -> Option<f64> {
        let mean = |side: &BTreeMap<u32, Seen>| {
            (!side.is_empty()).then(|| means(side).sum::<f64>() / side.len() as f64)
        };
        mean(&self.canary).zip(mean(&self.baseline)).filter(|(_, b)| *b > 0.0).map(|(c, b)| c / b)
    }

    /// Why no ranking of so many instances can show anything; none where one can.
    fn too_few(&self, needed: f64) -> Option<String> {
        let (canary, baseline) = (self.canary.len(), self.baseline.len());
        let can = |canary: usize, baseline: usize| {
            canary >= INSTANCES_MIN
                && -libm::log(ranksum::least(canary, baseline).max(1e-300)) - price(1) >= needed
        };
        if can(canary, baseline) {
            return None;
        }
        let wanted = canary.max(INSTANCES_MIN);
        let against = (1..=10_000).find(|baseline| can(wanted, *baseline)).unwrap_or(10_000);
        Some(format!(
            "{canary} canary against {baseline} baseline instances: no method can tell from so few whether it is \
             the version or the instance (it takes {wanted} against {against})"
        ))
    }

    pub(super) fn finding(&self, policy: &AnalysisPolicy, metric: &MetricPolicy) -> MetricFinding {
        let needed = finding::needed_against(policy, metric);
        let ratio = self.ratio();
        let beyond = |bp: u32| ratio.is_some_and(|ratio| ratio > f64::from(bp) / 1e4);
        let compared = metric.is_compared();
        let shown = compared && self.against >= needed && beyond(metric.tolerance_bp);
        let few = if compared && !self.baseline.is_empty() { self.too_few(needed) } else { None };
        let [canary, baseline] = self.over.map(|over| over.map(|windows| windows >= OVER_MIN));
        let band = |band: Option<u64>| in_mib(band.unwrap_or_default());
        let figures = self.figures(ratio);
        let (verdict, sentence) = match () {
            () if self.canary.is_empty() => {
                (Verdict::InsufficientData, "no reading of a canary instance yet".to_owned())
            }
            () if canary[0] && baseline[0] => {
                let limit = band(metric.rollback_above);
                (Verdict::Hold, format!("the baseline is above {limit} too: {figures}"))
            }
            () if canary[0] => {
                (Verdict::Rollback, format!("above {}: {figures}", band(metric.rollback_above)))
            }
            () if shown && beyond(metric.red_bp) => {
                (Verdict::Rollback, format!("shown to use more, beyond {}: {figures}", times(metric.red_bp)))
            }
            () if shown => {
                (Verdict::Hold, format!("shown to use more than {}: {figures}", times(metric.tolerance_bp)))
            }
            () if canary[1] && baseline[1] => {
                (Verdict::Hold, format!("the baseline is above {} too: {figures}", band(metric.hold_above)))
            }
            () if canary[1] => (Verdict::Hold, format!("above {}: {figures}", band(metric.hold_above))),
            () => match &few {
                Some(few) => (Verdict::InsufficientData, format!("{few}: {figures}")),
                None => (Verdict::Proceed, figures),
            },
        };
        let state = match () {
            () if canary.iter().zip(baseline).any(|(canary, baseline)| *canary && baseline) => {
                FindingState::BaselineFails
            }
            () if few.is_some() && verdict == Verdict::InsufficientData => FindingState::CannotKnow,
            () => FindingState::Judged,
        };
        let side = |place: usize, seen: &BTreeMap<u32, Seen>| SideFinding {
            requests: seen.len() as u64,
            bad: 0,
            value: self.largest[place],
        };
        MetricFinding {
            metric: metric.name.clone(),
            verdict,
            sentence,
            canary: side(0, &self.canary),
            baseline: (!self.baseline.is_empty()).then(|| side(1, &self.baseline)),
            ratio_bp: ratio.and_then(finding::ratio_bp),
            ratio_from_bp: None,
            ratio_to_bp: None,
            against_milli: milli(self.against),
            against_needed_milli: milli(needed),
            for_milli: None,
            for_needed_milli: None,
            shown,
            wait_ms: None,
            state,
        }
    }

    fn figures(&self, ratio: Option<f64>) -> String {
        let largest = |place: usize| self.largest[place].map_or("nothing".to_owned(), in_mib);
        match ratio {
            Some(ratio) => format!(
                "largest canary instance {}, of the baseline {}; {ratio:.2}x on average",
                largest(0),
                largest(1)
            ),
            None => format!("largest canary instance {}", largest(0)),
        }
    }
}

/// What the `k`-th ranking pays of the false-alarm rate: the parts `1/(k(k+1))` sum to one.
fn price(k: u32) -> f64 {
    libm::log(f64::from(k) * (f64::from(k) + 1.0))
}

fn means(side: &BTreeMap<u32, Seen>) -> impl Iterator<Item = f64> + '_ {
    side.values().map(|seen| seen.sum / seen.readings.max(1) as f64)
}

fn in_mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
