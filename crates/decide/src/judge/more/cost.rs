//! CPU per request, and what 1,000 requests cost by the declared prices (R4.9).
//!
//! Memory is held whether requests come or not, so that its price per request says how much traffic
//! a side got, not what its version needs: it is reckoned at the baseline's requests per instance
//! for both.

use super::super::finding::{self, milli, times};
use super::per_request::{Compared, Known, Used};
use taxiway_model::evidence::Window;
use taxiway_model::policy::{AnalysisPolicy, MetricPolicy, Prices};
use taxiway_model::verdict::{FindingState, MetricFinding, SideFinding, Verdict};
use taxiway_model::weight::WeightBp;

/// Windows in a row above a band from which on it is crossed.
const OVER_MIN: u32 = 5;

const HOUR_US: f64 = 3.6e9;
const GIB: f64 = 1_073_741_824.0;

/// The fold of the CPU of both sides.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Cpu {
    compared: Option<Compared>,
    /// The busiest instance now, canary and baseline, in thousandths of a core.
    busiest: [Option<u64>; 2],
    over: [[u32; 2]; 2],
    instances: [usize; 2],
}

fn alpha(policy: &AnalysisPolicy, metric: &MetricPolicy) -> f64 {
    libm::exp(-finding::needed_against(policy, metric))
}

fn more(metric: &MetricPolicy) -> f64 {
    (f64::from(metric.tolerance_bp) / 1e4 - 1.0).clamp(0.0, 1e3)
}

impl Cpu {
    pub(super) fn new(policy: &AnalysisPolicy, metric: &MetricPolicy) -> Self {
        let compared = metric.is_compared().then(|| Compared::new(more(metric), alpha(policy, metric)));
        Self { compared, busiest: [None; 2], over: [[0; 2]; 2], instances: [0; 2] }
    }

    pub(super) fn fold(&mut self, metric: &MetricPolicy, window: &Window, weight: WeightBp) {
        if window.gauges.canary.is_empty() {
            return;
        }
        for (place, gauges) in [&window.gauges.canary, &window.gauges.baseline].into_iter().enumerate() {
            let busiest = gauges.iter().map(|gauge| u64::from(gauge.cpu_milli)).max();
            self.busiest[place] = busiest;
            self.instances[place] = gauges.len();
            for (over, band) in self.over[place].iter_mut().zip([metric.rollback_above, metric.hold_above]) {
                let is_over = busiest.zip(band).is_some_and(|(busiest, band)| busiest > band);
                *over = if is_over { over.saturating_add(1) } else { 0 };
            }
        }
        if let Some(compared) = &mut self.compared {
            compared.fold(window, weight, |used, _| used.cpu_us as f64 / used.requests.max(1) as f64);
        }
    }

    pub(super) fn finding(&self, policy: &AnalysisPolicy, metric: &MetricPolicy) -> MetricFinding {
        let worth = |used: &Used| used.cpu_us as f64 / used.requests.max(1) as f64;
        let unit = |us: f64| format!("{:.2} ms of CPU a request", us / 1e3);
        let relative = self.compared.as_ref().map(|c| Relative::of(c, policy, metric, worth, unit));
        let [canary, baseline] = self.over.map(|over| over.map(|windows| windows >= OVER_MIN));
        let cores = |milli: u64| format!("{:.2} cores", milli as f64 / 1e3);
        let busiest = |place: usize| self.busiest[place].map_or("nothing".to_owned(), cores);
        let figures = match self.busiest[1] {
            Some(_) => format!("busiest canary instance {}, of the baseline {}", busiest(0), busiest(1)),
            None => format!("busiest canary instance {}", busiest(0)),
        };
        let band = |band: Option<u64>| cores(band.unwrap_or_default());
        let (verdict, sentence, state) = match () {
            () if self.busiest[0].is_none() => (
                Verdict::InsufficientData,
                "no reading of a canary instance yet".to_owned(),
                FindingState::Judged,
            ),
            () if (canary[0] && baseline[0]) || (canary[1] && baseline[1]) => {
                (Verdict::Hold, format!("the baseline is as busy: {figures}"), FindingState::BaselineFails)
            }
            () if canary[0] => {
                let limit = band(metric.rollback_above);
                (Verdict::Rollback, format!("above {limit}: {figures}"), FindingState::Judged)
            }
            () => {
                let held = canary[1].then(|| format!("above {}: {figures}", band(metric.hold_above)));
                match (relative.clone(), held) {
                    (Some(found), Some(held)) if found.verdict < Verdict::Hold => {
                        (Verdict::Hold, held, FindingState::Judged)
                    }
                    (Some(found), _) => {
                        (found.verdict, format!("{}; {figures}", found.sentence), found.state)
                    }
                    (None, Some(held)) => (Verdict::Hold, held, FindingState::Judged),
                    (None, None) => (Verdict::Proceed, figures, FindingState::Judged),
                }
            }
        };
        let side = |place: usize| SideFinding {
            requests: self.instances[place] as u64,
            bad: 0,
            value: self.busiest[place],
        };
        let found = relative.unwrap_or_default();
        MetricFinding {
            canary: side(0),
            baseline: (self.instances[1] > 0).then(|| side(1)),
            ..found.finding(policy, metric, verdict, sentence, state)
        }
    }
}

/// The fold of what both sides cost.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Cost {
    compared: Compared,
}

/// What a side's use costs per request, in millionths of the currency, its memory reckoned at so
/// many requests per instance and second.
fn price(used: &Used, load: f64, prices: &Prices) -> f64 {
    let cpu = used.cpu_us as f64 / HOUR_US * prices.cpu_hour_micro as f64 / used.requests.max(1) as f64;
    let instance_ms = used.instances as f64 * used.span_ms as f64;
    if load <= 0.0 || instance_ms <= 0.0 {
        return cpu;
    }
    let gib = used.memory_byte_ms / instance_ms / GIB;
    cpu + gib * prices.memory_gib_hour_micro as f64 / 3_600.0 / load
}

/// An amount with four decimal places, tiny ones with two figures that count.
fn amount(value: f64) -> String {
    if !(1e-12..0.001).contains(&value.abs()) {
        return format!("{value:.4}");
    }
    let places = (1.0 - libm::floor(libm::log10(value.abs()))) as usize;
    format!("{value:.places$}")
}

impl Cost {
    pub(super) fn new(policy: &AnalysisPolicy, metric: &MetricPolicy) -> Self {
        Self { compared: Compared::new(more(metric), alpha(policy, metric)) }
    }

    pub(super) fn fold(&mut self, policy: &AnalysisPolicy, window: &Window, weight: WeightBp) {
        let Some(prices) = &policy.prices else { return };
        self.compared.fold(window, weight, |used, load| price(used, load, prices));
    }

    pub(super) fn finding(&self, policy: &AnalysisPolicy, metric: &MetricPolicy) -> MetricFinding {
        let Some(prices) = &policy.prices else {
            let found = Relative { verdict: Verdict::InsufficientData, ..Relative::default() };
            let sentence = "no prices are declared".to_owned();
            return found.finding(policy, metric, found.verdict, sentence, FindingState::CannotKnow);
        };
        let load = self.compared.all[1].load().unwrap_or_default();
        let worth = |used: &Used| price(used, load, prices);
        let unit = |micro: f64| format!("{} {} per 1,000 requests", amount(micro / 1e3), prices.currency);
        let found = Relative::of(&self.compared, policy, metric, worth, unit);
        let mut verdict = found.verdict;
        let mut sentence = found.sentence.clone();
        let canary = &self.compared.all[0];
        let thousand_micro = libm::round(worth(canary) * 1e3) as u64;
        for (band, worse) in [(metric.rollback_above, Verdict::Rollback), (metric.hold_above, Verdict::Hold)]
        {
            let over = band.is_some_and(|band| thousand_micro > band) && found.state.is_judged();
            if over && worse > verdict {
                verdict = worse;
                sentence = format!("above {}: {sentence}", unit(band.unwrap_or_default() as f64 / 1e3));
            }
        }
        let side = |used: &Used| SideFinding {
            requests: used.requests,
            bad: 0,
            value: (used.requests > 0).then(|| libm::round(worth(used) * 1e3) as u64),
        };
        let [canary, baseline] = &self.compared.all;
        MetricFinding {
            canary: side(canary),
            baseline: (baseline.requests > 0).then(|| side(baseline)),
            ..found.finding(policy, metric, verdict, sentence, found.state)
        }
    }
}

/// What the comparison per request says.
#[derive(Debug, Clone, PartialEq)]
struct Relative {
    verdict: Verdict,
    sentence: String,
    state: FindingState,
    ratio: Option<f64>,
    against: f64,
    shown: bool,
    wait_ms: Option<u64>,
}

impl Default for Relative {
    fn default() -> Self {
        Self {
            verdict: Verdict::Proceed,
            sentence: String::new(),
            state: FindingState::Judged,
            ratio: None,
            against: 0.0,
            shown: false,
            wait_ms: None,
        }
    }
}

impl Relative {
    fn of(
        compared: &Compared,
        policy: &AnalysisPolicy,
        metric: &MetricPolicy,
        worth: impl Fn(&Used) -> f64,
        unit: impl Fn(f64) -> String,
    ) -> Self {
        let [canary, baseline] = &compared.all;
        if canary.requests == 0 || baseline.requests == 0 {
            let sentence = format!("nothing to compare yet{}", compared.confounded());
            return Self { verdict: Verdict::InsufficientData, sentence, ..Self::default() };
        }
        let (ours, theirs) = (worth(canary), worth(baseline));
        let ratio = (theirs > 0.0).then(|| ours / theirs);
        let figures =
            format!("canary {} against baseline {}{}", unit(ours), unit(theirs), compared.confounded());
        let base = Self { ratio, ..Self::default() };
        match compared.known() {
            Known::UnequalLoad(ours, theirs) => Self {
                verdict: Verdict::InsufficientData,
                sentence: format!(
                    "a canary instance gets {ours:.1} requests a second and one of the baseline {theirs:.1}: what \
                     idling costs cannot be told from what the version costs: {figures}"
                ),
                state: FindingState::CannotKnow,
                ..base
            },
            Known::NotYet(left) => Self {
                verdict: Verdict::InsufficientData,
                sentence: format!("too little to compare yet: {figures}"),
                wait_ms: compared.wait_ms(left),
                ..base
            },
            Known::Tested(against) => {
                let beyond = |bp: u32| ratio.is_some_and(|ratio| ratio > f64::from(bp) / 1e4);
                let shown = against >= finding::needed_against(policy, metric) && beyond(metric.tolerance_bp);
                let (verdict, sentence) = match () {
                    () if shown && beyond(metric.red_bp) => (
                        Verdict::Rollback,
                        format!("shown to be dearer, beyond {}: {figures}", times(metric.red_bp)),
                    ),
                    () if shown => (
                        Verdict::Hold,
                        format!("shown to be dearer than {}: {figures}", times(metric.tolerance_bp)),
                    ),
                    () => (Verdict::Proceed, figures),
                };
                Self { verdict, sentence, against, shown, ..base }
            }
        }
    }

    fn finding(
        &self,
        policy: &AnalysisPolicy,
        metric: &MetricPolicy,
        verdict: Verdict,
        sentence: String,
        state: FindingState,
    ) -> MetricFinding {
        MetricFinding {
            metric: metric.name.clone(),
            verdict,
            sentence,
            canary: SideFinding::default(),
            baseline: None,
            ratio_bp: self.ratio.and_then(finding::ratio_bp),
            ratio_from_bp: None,
            ratio_to_bp: None,
            against_milli: milli(self.against),
            against_needed_milli: milli(finding::needed_against(policy, metric)),
            for_milli: None,
            for_needed_milli: None,
            shown: self.shown,
            wait_ms: self.wait_ms,
            state,
        }
    }
}
