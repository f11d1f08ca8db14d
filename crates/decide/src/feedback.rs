//! What users say: kept with release and step, and a spike of problems becomes a signal (R4.5).
//!
//! Reports are compared with the usual rate: problems per day while nothing was in flight before
//! this release. The rule is the likelihood ratio of a Poisson process at five times that rate
//! against one at it, begun anew with every step (a bet that the fault came with that exposure) and
//! averaged over the steps. It is an e-process, so it may be looked at with every report: the chance
//! that usual reports ever look like a spike is at most the plan's `false_alarm` (Ville's
//! inequality). One report is never a spike: a person's word is a signal of its own.

use crate::environment::{Environment, Flight};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use taxiway_model::event::Outcome;
use taxiway_model::feedback::{Feedback, Kind};
use taxiway_model::time::{ForPeople, Timestamp};

/// This many times the usual rate is a spike (R4.5).
pub const SPIKE_TIMES: u64 = 5;

/// Fewer problems than this are no spike, however quiet it usually is.
pub const SPIKE_PROBLEMS_MIN: u64 = 5;

/// How far back the usual rate looks: four weeks, so that every day of the week counts alike.
const USUAL_DAYS: i64 = 28;

/// The newest pieces of feedback kept with a release in the state; all of them are in the log.
pub const LATEST_MAX: usize = 10;

/// Users told apart within one release; beyond it every report counts.
const USERS_MAX: usize = 10_000;

const DAY_US: i64 = 86_400_000_000;

/// How much of which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// All of it.
    pub all: u64,
    /// Problems; of the version in flight, and one a user, while one is in flight.
    pub problems: u64,
    /// Praise.
    pub praise: u64,
    /// How many gave a rating.
    pub rated: u64,
    /// The sum of their ratings.
    pub stars: u64,
}

impl Tally {
    fn take(&mut self, feedback: &Feedback, is_problem: bool) {
        self.all += 1;
        self.problems += u64::from(is_problem);
        self.praise += u64::from(feedback.kind == Kind::Praise);
        if let Some(rating) = feedback.rating {
            self.rated += 1;
            self.stars += u64::from(rating);
        }
    }
}

/// What was heard while nothing was in flight.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AtRest {
    /// Problems by day since the epoch.
    pub problems: BTreeMap<i64, u64>,
    /// Everything since the last release ended.
    pub tally: Tally,
    /// The newest pieces since then.
    pub latest: Vec<(Timestamp, Feedback)>,
}

impl AtRest {
    /// Takes a piece in.
    pub fn take(&mut self, feedback: &Feedback, at: Timestamp) {
        let is_problem = feedback.kind == Kind::Problem;
        self.tally.take(feedback, is_problem);
        keep(&mut self.latest, feedback, at);
        if is_problem {
            let today = at.0.div_euclid(DAY_US);
            *self.problems.entry(today).or_default() += 1;
            self.problems.retain(|day, _| *day >= today - USUAL_DAYS);
        }
    }

    /// A release has ended: what is said from now on is said of what it left.
    pub fn begin_anew(&mut self) {
        self.tally = Tally::default();
        self.latest.clear();
    }
}

/// What was heard of a release in flight.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heard {
    /// How much.
    pub tally: Tally,
    /// The newest pieces.
    pub latest: Vec<(Timestamp, Feedback)>,
    users: BTreeSet<String>,
    /// When each exposure began, and the problems before it.
    exposures: Vec<(Timestamp, u64)>,
}

impl Heard {
    /// Takes a piece in; `canary` is the version in flight.
    pub fn take(&mut self, feedback: &Feedback, canary: &str, at: Timestamp) {
        let other = feedback.version.as_ref().is_some_and(|version| version.as_str() != canary);
        let problem = feedback.kind == Kind::Problem && !other;
        let again = problem
            && feedback
                .user
                .as_ref()
                .is_some_and(|user| self.users.len() < USERS_MAX && !self.users.insert(user.clone()));
        self.tally.take(feedback, problem && !again);
        keep(&mut self.latest, feedback, at);
    }

    /// More of the traffic goes to the canary from now on.
    pub fn exposed(&mut self, at: Timestamp) {
        self.exposures.push((at, self.tally.problems));
    }
}

fn keep(latest: &mut Vec<(Timestamp, Feedback)>, feedback: &Feedback, at: Timestamp) {
    if latest.len() >= LATEST_MAX {
        latest.remove(0);
    }
    latest.push((at, feedback.clone()));
}

/// How often problems are usually reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usual {
    /// Problems reported while nothing was in flight …
    pub problems: u64,
    /// … over this much such time.
    pub over_ms: u64,
}

/// The usual rate before a release; none where nothing has rested here yet.
pub fn usual(state: &Environment, flight: &Flight) -> Option<Usual> {
    let sealed = state.history.iter().find(|past| past.outcome == Outcome::Released)?;
    let until = flight.started_at;
    let first_day = until.0.div_euclid(DAY_US) - USUAL_DAYS;
    let from = sealed.ended_at.max(Timestamp(first_day * DAY_US));
    let busy_ms: u64 =
        state.history.iter().map(|past| past.ended_at.min(until).since_ms(past.started_at.max(from))).sum();
    let over_ms = until.since_ms(from).saturating_sub(busy_ms);
    let problems = state.at_rest.problems.range(first_day..).map(|(_, count)| count).sum();
    (over_ms > 0).then_some(Usual { problems, over_ms })
}

/// A spike of problems, in one sentence; none while there is none.
pub fn spike(flight: &Flight, heard: &Heard, usual: Option<Usual>, now: Timestamp) -> Option<String> {
    let usual = usual?;
    let seen_per_ms = usual.problems as f64 / usual.over_ms as f64;
    let at_most_per_ms = at_most(usual.problems) / usual.over_ms as f64;
    let share = 1.0 / flight.plan.steps.len().max(1) as f64;
    let times = SPIKE_TIMES as f64;
    let mut evidence = share * flight.plan.steps.len().saturating_sub(heard.exposures.len()) as f64;
    let mut best: Option<(f64, u64, u64)> = None;
    for (at, before) in &heard.exposures {
        let (problems, over_ms) = (heard.tally.problems - before, now.since_ms(*at));
        let ln = problems as f64 * libm::log(times) - (times - 1.0) * at_most_per_ms * over_ms as f64;
        evidence += share * libm::exp(ln);
        let high = problems >= SPIKE_PROBLEMS_MIN && problems as f64 >= times * seen_per_ms * over_ms as f64;
        if high && best.is_none_or(|(most, ..)| ln > most) {
            best = Some((ln, problems, over_ms));
        }
    }
    // Half of the chance of a false alarm is the bound's.
    let needed = 2e6 / f64::from(flight.plan.analysis.false_alarm_ppm.clamp(1, 999_999));
    let (_, problems, over_ms) = best.filter(|_| evidence >= needed)?;
    Some(format!(
        "{problems} problems reported in {}, at least {SPIKE_TIMES} times the usual rate ({} in {} before this release)",
        ForPeople(over_ms),
        usual.problems,
        ForPeople(usual.over_ms)
    ))
}

/// The most problems that may be usual where so many were seen: the upper 99.5 % bound of a Poisson
/// mean by Wilson and Hilferty (1931), so that a rate from few reports is not taken for lower than
/// it may be. Within 1 % of the exact one: 5.30 for none, 18.6 for eight.
fn at_most(seen: u64) -> f64 {
    const Z: f64 = 2.576;
    let n = seen as f64 + 1.0;
    let root = 1.0 - 1.0 / (9.0 * n) + Z / (3.0 * libm::sqrt(n));
    n * root * root * root
}

#[cfg(test)]
mod tests {
    use super::at_most;

    #[test]
    fn the_bound_is_that_of_the_chi_square() {
        // Half the 99.5 % quantile of the chi-square with 2(n + 1) degrees of freedom.
        for (seen, exact) in [(0, 5.298), (1, 7.430), (8, 18.578), (100, 128.76)] {
            let bound = at_most(seen);
            assert!((bound / exact - 1.0).abs() < 0.01, "{seen}: {bound} for {exact}");
        }
    }
}
