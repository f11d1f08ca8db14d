//! The ratio of both sides' rates with its confidence sequence, for people to read.

use taxiway_stats::Window;
use taxiway_stats::profile::{Interval, Profile};

/// Requests of the canary after which what was gathered goes into the profile. The likelihood of
/// the ratio rests on the split of a window's failures; in a wide window the split is less noisy, and
/// 61 logarithms are due once for many requests.
const GATHERED_REQUESTS: u64 = 200;

/// Time after which they do whatever came, so that a new weight is not mixed with the old one.
const GATHERED_MS: u64 = 15_000;

/// Confidence that the interval leaves out.
const ALPHA: f64 = 0.05;

/// The likelihood of the ratio, and what has not gone into it yet. Where a gathered window ends
/// depends on totals and time alone, as it must.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Ratio {
    profile: Profile,
    gathered: Vec<Window>,
    gathered_ms: u64,
}

impl Ratio {
    pub(super) fn fold(&mut self, strata: &[Window], span_ms: u64, phi: f64) {
        self.gathered.resize(self.gathered.len().max(strata.len()), Window::default());
        for (sum, stratum) in self.gathered.iter_mut().zip(strata) {
            sum.add(stratum);
        }
        self.gathered_ms = self.gathered_ms.saturating_add(span_ms);
        let requests = self.gathered.iter().fold(0u64, |sum, one| sum.saturating_add(one.canary.total));
        if requests >= GATHERED_REQUESTS || self.gathered_ms >= GATHERED_MS {
            self.take(phi);
        }
    }

    fn take(&mut self, phi: f64) {
        for stratum in &mut self.gathered {
            self.profile.fold_dispersed(stratum, phi);
            *stratum = Window::default();
        }
        self.gathered_ms = 0;
    }

    /// The ratios that are not excluded at any look so far.
    pub(super) fn interval(&self, phi: f64) -> Interval {
        let mut all = self.clone();
        all.take(phi);
        all.profile.interval(ALPHA)
    }
}
