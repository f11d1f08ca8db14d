//! Types of client errors that the baseline never showed.
//!
//! A service has rare errors, and with a small share of the traffic it is chance on which side one of them is seen first.
//! So a type that comes up on the canary is not bad by that. Two tests begin behind the window in which it came up (what
//! made us look at it cannot also count against it, so that a stray event never does anything):
//!
//! - that it is *new*: its share of the canary's sessions is greater than of the baseline's. With no event on the
//!   baseline's side, three more events do at up to 5 % of the traffic, nine at a half (stats: reject).
//! - that it is *frequent*: more than the rollback band's share of the canary's sessions have it (stats: burn).
//!
//! The `n`-th type that comes up has `1/(n (n + 1))` of the chance of a false alarm, which sums to all of it however many
//! come up; the order is known when a test begins, so that both stay valid at every look.

use super::super::Question;
use super::super::finding::{self, milli};
use std::collections::{BTreeMap, BTreeSet};
use taxiway_model::counts::thousands;
use taxiway_model::metrics::{OTHERS, Sample, Types};
use taxiway_model::policy::{AnalysisPolicy, MetricPolicy};
use taxiway_model::verdict::{FindingState, MetricFinding, SideFinding, Verdict};
use taxiway_stats::{Arm, Window, burn, reject};

/// Types that are followed; the ones that come up later would need more evidence than they ever get.
const FOLLOWED_MAX: usize = 64;

/// Known types that are remembered.
const KNOWN_MAX: usize = 4_096;

/// Types that a sentence names.
const NAMED_MAX: usize = 3;

/// A type that came up on the canary.
#[derive(Debug, Clone, PartialEq)]
struct Fresh {
    /// Its part of the chance of a false alarm, as a logarithm.
    ln_part: f64,
    more: (reject::Test, reject::State),
    frequent: Option<(burn::Test, burn::State)>,
    /// Events and sessions behind the window in which it came up.
    since: Window,
    /// All its events on the canary.
    events: u64,
}

/// The fold of all types.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Evidence {
    known: BTreeSet<String>,
    fresh: BTreeMap<String, Fresh>,
    horizon_s: f64,
    sessions: [u64; 2],
    /// Events of types that came up, and of those that found no room.
    events: u64,
    unfollowed: u64,
}

/// How far a type has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Seen,
    New,
    Frequent,
}

impl Evidence {
    pub(super) fn new(horizon_s: f64) -> Self {
        Self {
            known: BTreeSet::new(),
            fresh: BTreeMap::new(),
            horizon_s,
            sessions: [0; 2],
            events: 0,
            unfollowed: 0,
        }
    }

    /// What is no evidence still says which types there are.
    pub(super) fn get_to_know(&mut self, sample: &Sample) {
        let Sample::Types { baseline, .. } = sample else { return };
        for name in baseline.by_type.keys() {
            if self.known.len() < KNOWN_MAX && !self.fresh.contains_key(name) {
                self.known.insert(name.clone());
            }
        }
    }

    pub(super) fn fold(&mut self, metric: &MetricPolicy, sample: &Sample, span_ms: u64) {
        let Sample::Types { canary, baseline } = sample else { return };
        let elapsed_s = span_ms as f64 / 1e3;
        for (name, fresh) in &mut self.fresh {
            fresh.fold(&window(name, canary, baseline), elapsed_s);
        }
        self.get_to_know(sample);
        self.sessions[0] = self.sessions[0].saturating_add(canary.total);
        self.sessions[1] = self.sessions[1].saturating_add(baseline.total);
        for (name, count) in canary.by_type.iter().filter(|(_, count)| **count > 0) {
            if self.known.contains(name) || name == OTHERS {
                continue;
            }
            self.events = self.events.saturating_add(*count);
            if let Some(fresh) = self.fresh.get_mut(name) {
                fresh.events = fresh.events.saturating_add(*count);
            } else if self.fresh.len() < FOLLOWED_MAX {
                let place = self.fresh.len() as f64 + 1.0;
                self.fresh.insert(name.clone(), Fresh::new(metric, place, *count, self.horizon_s));
            } else {
                self.unfollowed = self.unfollowed.saturating_add(*count);
            }
        }
    }

    /// The types that are shown to be something, hardest first.
    fn shown(&self, needed: f64) -> Vec<(Stage, &String, &Fresh)> {
        let mut all: Vec<_> =
            self.fresh.iter().map(|(name, fresh)| (fresh.stage(needed), name, fresh)).collect();
        all.sort_by(|(a, _, one), (b, _, other)| b.cmp(a).then(other.events.cmp(&one.events)));
        all
    }

    pub(super) fn finding(
        &self,
        policy: &AnalysisPolicy,
        metric: &MetricPolicy,
        _question: Question,
    ) -> MetricFinding {
        let needed = finding::needed_against(policy, metric);
        let shown = self.shown(needed);
        let stage = shown.first().map(|(stage, ..)| *stage);
        let holds = metric.hold_above.is_some() || metric.rollback_above.is_some();
        let verdict = match stage {
            _ if self.sessions[0] == 0 => Verdict::InsufficientData,
            Some(Stage::Frequent) => Verdict::Rollback,
            Some(Stage::New) if holds => Verdict::Hold,
            _ => Verdict::Proceed,
        };
        let against = self.fresh.values().map(|fresh| fresh.ln_evidence() + fresh.ln_part);
        let errors = shown.iter().filter(|(stage, ..)| *stage > Stage::Seen).map(|(.., fresh)| fresh.events);
        MetricFinding {
            metric: metric.name.clone(),
            verdict,
            sentence: self.sentence(stage, &shown, metric),
            canary: side(errors.sum(), self.sessions[0]),
            baseline: (self.sessions[1] > 0).then(|| side(0, self.sessions[1])),
            ratio_bp: None,
            ratio_from_bp: None,
            ratio_to_bp: None,
            against_milli: milli(against.fold(0.0, f64::max)),
            against_needed_milli: milli(needed),
            for_milli: None,
            for_needed_milli: None,
            shown: matches!(stage, Some(Stage::New | Stage::Frequent)),
            wait_ms: None,
            state: FindingState::Judged,
        }
    }

    fn sentence(
        &self,
        stage: Option<Stage>,
        shown: &[(Stage, &String, &Fresh)],
        metric: &MetricPolicy,
    ) -> String {
        let [sessions, theirs] = self.sessions;
        if sessions == 0 {
            return "no session of the canary is counted yet".to_owned();
        }
        let Some(stage) = stage else {
            return format!(
                "no new type of error in {} sessions, {} known ones",
                thousands(sessions),
                self.known.len()
            );
        };
        let of_stage: Vec<_> = shown.iter().filter(|(known, ..)| *known == stage).collect();
        let one = |(_, name, fresh): &&(Stage, &String, &Fresh)| {
            let (rate, of) = (finding::percent(fresh.events, sessions), thousands(sessions));
            format!("`{name}` in {} of {of} sessions ({rate})", thousands(fresh.events))
        };
        let mut named: Vec<String> = of_stage.iter().take(NAMED_MAX).map(one).collect();
        if of_stage.len() > NAMED_MAX {
            named.push(format!("and {} more", of_stage.len() - NAMED_MAX));
        }
        let named = named.join(", ");
        let band = metric.rollback_above.map(|ppm| finding::percent(ppm, 1_000_000));
        match stage {
            Stage::Frequent => format!(
                "new type of error, shown to be above {} of the sessions: {named}; none like it in {theirs} sessions of the baseline",
                band.unwrap_or_default()
            ),
            Stage::New => {
                let below = band.map_or(String::new(), |band| format!(", not shown to be above {band}"));
                format!(
                    "new type of error{below}: {named}; the baseline showed it in fewer of its {theirs} sessions"
                )
            }
            Stage::Seen => format!("seen on the canary first, which chance explains: {named}"),
        }
    }
}

impl Fresh {
    /// `place`: the how manieth it is, from 1.
    fn new(metric: &MetricPolicy, place: f64, events: u64, horizon_s: f64) -> Self {
        let more = reject::Test::new(1.0, 0.0, horizon_s)
            .and_then(|test| test.weighted(reject::MINIMAX))
            .and_then(|test| test.first(1.0))
            .expect("a horizon above 0");
        let frequent = metric.rollback_above.map(|ppm| {
            let test = burn::Test::new((ppm as f64 / 1e6).clamp(1e-9, 1.0)).expect("a clamped probability");
            (test, test.start())
        });
        let since = Window::default();
        Self {
            ln_part: -libm::log(place * (place + 1.0)),
            more: (more, more.start()),
            frequent,
            since,
            events,
        }
    }

    fn fold(&mut self, window: &Window, elapsed_s: f64) {
        let (test, state) = &mut self.more;
        test.fold(state, window, elapsed_s);
        if let Some((test, state)) = &mut self.frequent {
            test.fold(state, window.canary);
        }
        for (sum, more) in
            [(&mut self.since.canary, window.canary), (&mut self.since.baseline, window.baseline)]
        {
            sum.total = sum.total.saturating_add(more.total);
            sum.bad = sum.bad.saturating_add(more.bad);
        }
    }

    fn ln_evidence(&self) -> f64 {
        self.more.0.ln_evidence(&self.more.1)
    }

    /// Evidence counts while the figures agree with it: what has become rarer than on the baseline is not new any more.
    fn stage(&self, needed: f64) -> Stage {
        let needed = needed - self.ln_part;
        if self.ln_evidence() < needed || self.since.canary.rate() <= self.since.baseline.rate() {
            return Stage::Seen;
        }
        match &self.frequent {
            Some((test, state)) if test.ln_evidence(state) >= needed => Stage::Frequent,
            _ => Stage::New,
        }
    }
}

/// One type's events among both sides' sessions. A session that has a type twice counts once where the source counts
/// sessions; otherwise no more than there are.
fn window(name: &str, canary: &Types, baseline: &Types) -> Window {
    let arm = |side: &Types| {
        let events = side.by_type.get(name).copied().unwrap_or(0);
        Arm { total: side.total, bad: events.min(side.total) }
    };
    Window { canary: arm(canary), baseline: arm(baseline) }
}

fn side(bad: u64, sessions: u64) -> SideFinding {
    let value = (sessions > 0).then(|| finding::ppm(bad, sessions));
    SideFinding { requests: sessions, bad, value }
}
