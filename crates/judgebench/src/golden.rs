//! A scripted set of judgements and the digest of their bytes.
//!
//! The test suite computes it in the debug profile and the bench in the release profile; both must find [`DIGEST`]. It
//! changes only when the judge is meant to say something else, and then its name does, too ([`taxiway_decide::judge::JUDGE`]).

use taxiway_decide::judge::{self, Outlook, Question, State};
use taxiway_model::counts::{Counts, Histogram};
use taxiway_model::evidence::{Classes, Window};
use taxiway_model::ids::Digest;
use taxiway_model::normal::Normal;
use taxiway_model::policy::{AnalysisPolicy, Profile};
use taxiway_model::weight::WeightBp;

use crate::random::Random;

/// Of all judgements of the script, as JSON, chained.
pub const DIGEST: &str = "sha256:46a4d2ab65908504ce1eba9b00ef8985101853e414aa141395cf4fc62fd578fd";

/// One scripted canary.
struct Script {
    /// Requests of both sides in a window.
    requests: u64,
    share_bp: u16,
    /// Probability of failure of canary and baseline.
    failing: [f64; 2],
    /// The canary's latencies by the baseline's, in buckets.
    slower_by: i16,
    /// Whether a normal profile is known.
    known: bool,
}

const SCRIPTS: [Script; 11] = [
    // Healthy; failing; slow; both failing.
    Script { requests: 1_000, share_bp: 500, failing: [0.01, 0.01], slower_by: 0, known: true },
    Script { requests: 1_000, share_bp: 500, failing: [0.05, 0.01], slower_by: 0, known: true },
    Script { requests: 1_000, share_bp: 500, failing: [0.01, 0.01], slower_by: 30, known: true },
    Script { requests: 1_000, share_bp: 5_000, failing: [0.3, 0.3], slower_by: 0, known: false },
    // No failure on either side, or on one.
    Script { requests: 1_000, share_bp: 1_000, failing: [0.0, 0.0], slower_by: 0, known: false },
    Script { requests: 1_000, share_bp: 1_000, failing: [0.01, 0.0], slower_by: 0, known: true },
    Script { requests: 1_000, share_bp: 1_000, failing: [0.0, 0.01], slower_by: 0, known: true },
    // One request in a while; more than any service has; a sliver of the traffic, and nearly all.
    Script { requests: 2, share_bp: 5_000, failing: [1.0, 0.0], slower_by: 0, known: false },
    Script { requests: 1_000_000_000_000, share_bp: 500, failing: [0.002, 0.001], slower_by: 1, known: true },
    Script { requests: 1_000_000, share_bp: 1, failing: [0.02, 0.01], slower_by: 20, known: true },
    Script { requests: 1_000_000, share_bp: 9_999, failing: [0.011, 0.01], slower_by: 0, known: true },
];

/// Windows of a script, and how many of them lie between two judgements.
const WINDOWS: u32 = 60;
const JUDGED_EVERY: u32 = 5;

/// The digest as this build computes it.
pub fn digest() -> String {
    let mut chained = Digest::of(b"");
    for (number, script) in SCRIPTS.iter().enumerate() {
        for profile in [Profile::Standard, Profile::Strict] {
            chained = script.play(profile, number as u64, chained);
        }
    }
    chained.to_string()
}

impl Script {
    fn play(&self, profile: Profile, seed: u64, mut chained: Digest) -> Digest {
        let policy = AnalysisPolicy::of(profile);
        let weight = WeightBp::new(self.share_bp).expect("a share of the traffic");
        let outlook = Outlook {
            shares: Some([weight; 2]),
            compared_ms: 600_000,
            canary_instances: 1,
            ..Outlook::default()
        };
        let random = &mut Random::new(&[seed]);
        let normal = self.known.then(|| Normal {
            span_ms: 60_000,
            classes: Self::side(self.requests.saturating_mul(60), self.failing[1], 0, random),
            error_dispersion_milli: Some(1_000),
            slow_dispersion_milli: Some(1_000),
            instances: 4,
            instance_noise_milli: Some(if seed.is_multiple_of(2) { 0 } else { 150 }),
        });
        let mut state = State::expecting(&policy, normal.as_ref(), &outlook);
        let question = Question { step: 0, exclude_bp: policy.exclusion_at(weight) };
        let share = f64::from(self.share_bp) / 1e4;
        for number in 1..=WINDOWS {
            let canary = ((self.requests as f64 * share) as u64).max(1);
            let window = Window {
                number,
                span_ms: 1_000,
                canary: Self::side(canary, self.failing[0], self.slower_by, random),
                baseline: Self::side(self.requests - canary, self.failing[1], 0, random),
                ..Window::default()
            };
            state.fold(&policy, &window, weight);
            if number.is_multiple_of(JUDGED_EVERY) {
                let judgement = judge::judge(&policy, &state, question);
                let mut bytes = chained.0.to_vec();
                bytes.extend(serde_json::to_vec(&judgement).expect("a judgement is plain data"));
                chained = Digest::of(&bytes);
            }
        }
        chained
    }

    /// One side's answers: the expected number of failures and its square root up or down.
    fn side(requests: u64, failing: f64, slower_by: i16, random: &mut Random) -> Classes {
        let expected = requests as f64 * failing;
        let bad = (expected + random.normal() * expected.sqrt()).clamp(0.0, requests as f64) as u64;
        let mut latency = Histogram::default();
        let mut left = requests;
        for (place, bucket) in (600..660_i16).step_by(6).enumerate() {
            let part = if place == 9 { left } else { (left as f64 * 0.3) as u64 };
            left -= part;
            if part > 0 {
                latency.buckets.insert(bucket + slower_by, part);
            }
        }
        let counts =
            Counts { requests, status: [0, requests - bad, 0, 0, bad], latency, ..Counts::default() };
        Classes::from([("api".to_owned(), counts)])
    }
}
