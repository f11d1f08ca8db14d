use taxiway_peers::kayenta::mann_whitney::Precision;
use taxiway_peers::kayenta::{Rigour, is_high};

use super::{Judge, rules};
use crate::traffic::Run;

/// Kayenta's `NetflixACAJudge` on one metric, the error ratio per minute, direction increase, faithful to the tolerance of
/// its root finder ([`taxiway_peers::kayenta`]).
///
/// Kinder than the original: the canary is compared with the whole baseline rather than with one of equal size.
#[derive(Debug, Clone, Copy)]
pub struct Kayenta {
    name: &'static str,
    first_minute: usize,
}

impl Kayenta {
    /// A growing window, judged each minute from the fifth on; the first HIGH rolls back.
    pub const EVERY_MINUTE: Self = Self { name: "kay60", first_minute: 5 };
    /// One judgement after an hour.
    pub const ONCE: Self = Self { name: "kay1", first_minute: 60 };
}

const RIGOUR: Rigour = Rigour::judge(Precision::Absolute);

impl Judge for Kayenta {
    fn name(&self) -> &'static str {
        self.name
    }

    fn alarm_s(&self, run: &Run) -> Option<usize> {
        let (mut canary, mut baseline) = (Vec::new(), Vec::new());
        for (minute, window) in rules::minutes(run).enumerate() {
            // A minute without requests is NaN, which the default strategy removes.
            if window.canary.total > 0 {
                canary.push(window.canary.rate());
            }
            if window.baseline.total > 0 {
                baseline.push(window.baseline.rate());
            }
            if minute + 1 >= self.first_minute && is_high(&baseline, &canary, &RIGOUR) {
                return Some((minute + 1) * 60);
            }
        }
        None
    }
}
