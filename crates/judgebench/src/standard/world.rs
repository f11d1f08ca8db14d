//! A release in virtual time: the product's own state machine ([`taxiway_decide::next`] and `evolve`) in a world of
//! simulated traffic, with a target and a router that do what they are told.
//!
//! Nothing of the steps is decided here. The world is looked at when the decision wants to be woken; what is decided is
//! folded at once. In debug builds every decision is held against the second opinion, too.

use std::collections::BTreeMap;

use taxiway_decide::environment::{Environment, evolve};
use taxiway_decide::normal::{Reading, Record};
use taxiway_decide::{Situation, check, handle, next, plan};
use taxiway_model::command::Command;
use taxiway_model::decision::{Action, table_digest};
use taxiway_model::event::{Event, Hold, Outcome};
use taxiway_model::evidence::{Classes, Window};
use taxiway_model::ids::{StreamId, VersionName};
use taxiway_model::observation::{Observations, Observed, TrafficStatus, Watched, WorkloadStatus};
use taxiway_model::record::{Actor, Recorded};
use taxiway_model::route::RouteTable;
use taxiway_model::service::ServiceSpec;
use taxiway_model::time::Timestamp;
use taxiway_model::weight::WeightBp;

use super::plan::version;
use super::target::Target;
use super::traffic::{Answers, Behaviour, Mood, Service};
use crate::random::Random;

/// How a release ended, and after how many milliseconds since it was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It has all the traffic for good.
    Released(u64),
    /// It was sent back.
    RolledBack(u64),
    /// A verdict of HOLD asks a person.
    Held(u64),
    /// A person is asked because the evidence does not suffice.
    Evidence(u64),
}

/// A release's end, and what was said of it before its first step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// How it ended.
    pub end: End,
    /// Why, in the product's words.
    pub sentence: String,
    /// The pre-flight had warned that a healthy canary may have to ask a person, or of a blind step.
    pub warned: bool,
    /// The weight was raised within the harm budget.
    pub raised: bool,
}

/// One kind of release: what is fixed over its runs.
#[derive(Debug)]
pub(super) struct Release {
    spec: ServiceSpec,
    behaviour: Behaviour,
    rps: f64,
    usual: Answers,
    new: Answers,
    judged: bool,
}

impl Release {
    /// A release by this description, of a service with this much traffic.
    pub(super) fn new(spec: ServiceSpec, service: Service, behaviour: Behaviour, rps: f64) -> Self {
        let (usual, new) = (Answers::usual(service), Answers::of(service, behaviour));
        Self { spec, behaviour, rps, usual, new, judged: true }
    }

    /// The same with nobody who judges it: what another judge is shown.
    pub(super) fn unjudged(mut self) -> Self {
        for step in &mut self.spec.strategy.steps {
            step.analysis = false;
        }
        self.spec.analysis.metrics.clear();
        self.judged = false;
        self
    }

    /// Takes a version through the plan; `shown` sees every window of evidence of a step with a live baseline, with the
    /// milliseconds since the canary was exposed, and may end it. None when it did.
    pub(super) fn run(&self, seed: &[u64], shown: &mut dyn FnMut(u64, &Window) -> bool) -> Option<Course> {
        let mut world = World::new(self, seed);
        world.release("v1");
        while world.state.stable.is_none() {
            world.tick(shown);
        }
        if self.judged {
            world.seen.normal = self.profile(seed);
        }
        world.begin();
        world.release("v2");
        while world.course.is_none() && !world.ended {
            world.tick(shown);
        }
        let World { course, sentence, warned, raised, .. } = world;
        course.map(|end| Course { end, sentence, warned, raised })
    }

    /// What the product would have on record of the ten minutes before.
    fn profile(&self, seed: &[u64]) -> Option<taxiway_model::normal::Normal> {
        let mut random = Random::new(&[seed, &[1]].concat());
        let (mut record, mut reading) = (Record::default(), Reading::default());
        record.see(0, || reading.clone());
        for window in 1..=60 {
            let requests = random.poisson(self.rps * 10.0);
            self.usual.answer(requests, Mood::default(), &mut reading.classes, &mut random);
            record.see(window * 10_000, || reading.clone());
        }
        record.profile()
    }
}

/// Decisions in a row at one moment; a release has a handful a step.
const TRANSITIONS_MAX: u32 = 64;

/// Nothing here takes longer: the longest plan has an hour and asks a person after two.
const RELEASE_MS_MAX: u64 = 6 * 3_600_000;

/// What the router counts for a version on a step ends with its table's next lease.
const LEASE_MS: u64 = 60_000;

/// How much longer than a step's own time a hold is watched: what lasts for the step again goes back.
const HOLD_WATCHED_MS: u64 = 60_000;

struct World<'a> {
    release: &'a Release,
    seed: &'a [u64],
    state: Environment,
    seen: Observations,
    target: Target,
    table: Option<RouteTable>,
    lease_from_ms: u64,
    now_ms: u64,
    began_ms: u64,
    exposed_ms: Option<u64>,
    /// Seconds of work that wait in an overloaded instance's queue.
    queue_s: f64,
    /// A person was asked: when, and how much evidence time there was.
    held: Option<(u64, u64)>,
    warned: bool,
    raised: bool,
    ended: bool,
    course: Option<End>,
    sentence: String,
}

impl<'a> World<'a> {
    fn new(release: &'a Release, seed: &'a [u64]) -> Self {
        let (service, environment) = (release.spec.name.clone(), release.spec.environment.clone());
        Self {
            release,
            seed,
            state: Environment::new(StreamId { service, environment }),
            seen: Observations {
                workload: Observed::Known(WorkloadStatus::default()),
                traffic: Observed::Known(TrafficStatus::default()),
                checks: BTreeMap::new(),
                metrics: None,
                normal: None,
                watched: Watched::default(),
            },
            target: Target::new(release.behaviour),
            table: None,
            lease_from_ms: 0,
            now_ms: 0,
            began_ms: 0,
            exposed_ms: None,
            queue_s: 0.0,
            held: None,
            warned: false,
            raised: false,
            ended: false,
            course: None,
            sentence: String::new(),
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp(1_767_225_600_000_000).plus_ms(self.now_ms)
    }

    /// Somebody types `taxiway release`.
    fn release(&mut self, name: &str) {
        let version = version(&self.release.spec, name);
        let plan = Box::new(plan::resolve(&self.release.spec, version, &self.state));
        let events = handle(&self.state, &Command::Start { plan, again: false }, self.now());
        self.append(events.expect("nothing speaks against this release"));
    }

    /// From here on it counts.
    fn begin(&mut self) {
        (self.began_ms, self.exposed_ms, self.course) = (self.now_ms, None, None);
    }

    /// What the engine does in a tick, then time until it wants to look again.
    fn tick(&mut self, shown: &mut dyn FnMut(u64, &Window) -> bool) {
        for _ in 0..TRANSITIONS_MAX {
            self.look();
            let decision = next(&Situation { state: &self.state, seen: &self.seen, now: self.now() });
            debug_assert!(check(&decision, &self.state).is_empty(), "{:?}", check(&decision, &self.state));
            self.watch(&decision.events, shown);
            let (waits, wake) = (decision.events.is_empty(), decision.wake);
            self.append(decision.events);
            self.carry_out(decision.actions);
            if self.course.is_some() || self.ended {
                return;
            }
            if waits {
                let until = wake.map_or(1_000, |wake| wake.at.since_ms(self.now()));
                self.pass(until.max(1));
                return;
            }
        }
    }

    /// Takes down what was decided.
    fn watch(&mut self, events: &[Event], shown: &mut dyn FnMut(u64, &Window) -> bool) {
        let at = self.now_ms - self.began_ms;
        for event in events {
            if let Event::HoldBegan { sentence, .. }
            | Event::ReturnDecided { sentence, .. }
            | Event::ReleaseEnded { sentence, .. } = event
            {
                sentence.clone_into(&mut self.sentence);
            }
            match event {
                Event::Warned { warnings } => {
                    let asks = |warning: &String| {
                        warning.contains("ask a person")
                            || warning.contains("is blind")
                            || warning.contains("within the harm budget")
                    };
                    self.warned |= warnings.iter().any(asks);
                }
                Event::EvidenceRecorded { window } => {
                    let exposed_ms =
                        *self.exposed_ms.get_or_insert(self.now_ms.saturating_sub(window.span_ms));
                    let live = self.state.routes.split.canary.is_some()
                        && self.state.routes.split.weight < WeightBp::ALL;
                    self.ended |= live && !shown(self.now_ms - exposed_ms, window);
                }
                Event::EvidenceWaived { .. } => self.raised = true,
                Event::HoldBegan { why: Hold::Evidence, .. } => self.course = Some(End::Evidence(at)),
                Event::HoldBegan { .. } => {
                    let bake_ms = self.state.flight.as_ref().map_or(0, |flight| flight.bake_ms);
                    self.held = self.held.or(Some((at, bake_ms)));
                }
                Event::HoldEnded { .. } => self.held = None,
                Event::ReturnDecided { .. } => self.course = Some(End::RolledBack(at)),
                Event::ReleaseEnded { outcome, .. } => {
                    let fine = *outcome == Outcome::Released;
                    self.course = Some(if fine { End::Released(at) } else { End::RolledBack(at) });
                }
                _ => {}
            }
        }
        if let (Some((since, bake_ms)), Some(flight)) = (self.held, &self.state.flight)
            && let Some(step) = flight.current()
            && flight.bake_ms.saturating_sub(bake_ms) > step.bake_ms + HOLD_WATCHED_MS
            && self.course.is_none()
        {
            self.course = Some(End::Held(since));
        }
        assert!(at < RELEASE_MS_MAX, "a release neither ends nor asks anybody: {:?}", self.seed);
    }

    fn append(&mut self, events: Vec<Event>) {
        for event in events {
            let anew = matches!(
                event,
                Event::EvidenceRecorded { .. } | Event::SplitObserved { .. } | Event::StepEntered { .. }
            );
            let recorded = Recorded {
                global: self.state.seq + 1,
                stream: self.state.stream.clone(),
                seq: self.state.seq + 1,
                at: self.now(),
                actor: Actor::Engine,
                origin: String::new(),
                reason: String::new(),
                event,
            };
            let stream = self.state.stream.clone();
            let state = std::mem::replace(&mut self.state, Environment::new(stream));
            self.state = evolve(state, &recorded);
            if anew && let Observed::Known(traffic) = &mut self.seen.traffic {
                traffic.since_window.clear();
                traffic.since_window_ms = 0;
            }
        }
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::ApplyWorkload(desired) => self.target.apply(&desired, self.now_ms),
                Action::ApplyRoutes(table) => {
                    if let Observed::Known(traffic) = &mut self.seen.traffic {
                        if traffic.table != Some(table_digest(&table)) {
                            traffic.table_for_ms = 0;
                        }
                        traffic.table = Some(table_digest(&table));
                        traffic.generation = table.generation;
                        traffic.weight = table.canary.as_ref().map_or(WeightBp::ZERO, |canary| canary.weight);
                    }
                    self.lease_from_ms = self.now_ms;
                    self.table = Some(*table);
                }
                // The run ends with the decision to go back.
                Action::ToBaseline { .. } => {}
                Action::StartCheck(_) => unreachable!("the descriptions have no checks"),
            }
        }
    }

    /// What is to be seen now.
    fn look(&mut self) {
        let now = self.now();
        if let Some(status) = self.target.observe(self.now_ms, now) {
            self.seen.workload = Observed::Known(status);
        }
        if let Observed::Known(traffic) = &mut self.seen.traffic {
            traffic.lease_left_ms = LEASE_MS.saturating_sub(self.now_ms - self.lease_from_ms);
        }
        let exposed = self.state.flight.as_ref().and_then(|flight| flight.exposed_at);
        self.seen.watched = Watched {
            workload_ms: now.since_ms(self.state.workload.at),
            routes_ms: now.since_ms(self.state.routes.at),
            exposed_ms: exposed.map_or(0, |at| now.since_ms(at)),
            source_ms: 0,
        };
    }

    /// Lets time pass, with its traffic. What comes in a stretch depends on the seed, the time and the share alone, so
    /// that others see the same as long as they give the canary the same.
    fn pass(&mut self, span_ms: u64) {
        self.now_ms += span_ms;
        let (now, now_ms) = (self.now(), self.now_ms);
        let Some(table) = &self.table else { return };
        let share = table.canary.as_ref().map_or(0.0, |canary| f64::from(canary.weight.bp()) / 1e4);
        let all = self.release.rps * span_ms as f64 / 1e3;
        let mut random = Random::new(&[self.seed, &[2, now_ms - self.began_ms]].concat());
        let down = self.release.behaviour == Behaviour::Outage
            && self.exposed_ms.is_some_and(|since| now_ms - since > OUTAGE_AFTER_MS);
        let Observed::Known(traffic) = &mut self.seen.traffic else { return };
        traffic.since_window_ms += span_ms;
        traffic.table_for_ms += span_ms;
        let version = table.canary.as_ref().map(|canary| &canary.version);
        if let Some(version) = version.filter(|_| share > 0.0) {
            let requests = random.poisson(all * share);
            let classes = classes_of(traffic, version);
            let mood = Self::mood(
                self.release,
                &mut self.target,
                &mut self.queue_s,
                down,
                (requests, span_ms, now_ms),
            );
            self.release.new.answer(requests, mood, classes, &mut random);
            self.exposed_ms.get_or_insert(now_ms.saturating_sub(span_ms));
        }
        if let Some(version) = table.baseline.as_ref().filter(|_| share < 1.0) {
            let requests = random.poisson(all * (1.0 - share));
            // Until it is released for good, the first version is the only one there is.
            let mood = Mood { failing: down.then_some(1.0), ..Mood::default() };
            self.release.usual.answer(requests, mood, classes_of(traffic, version), &mut random);
        }
        self.target.advance(now_ms, now);
    }

    /// How the canary answers in a stretch of time: what its instances have to do with it.
    fn mood(
        release: &Release,
        target: &mut Target,
        queue_s: &mut f64,
        down: bool,
        (requests, span_ms, now_ms): (u64, u64, u64),
    ) -> Mood {
        let canary = VersionName::new("v2").expect("a short valid name");
        let (ready, oldest_ms) = target.serves(&canary, requests, now_ms);
        if down || ready == 0 {
            return Mood { failing: Some(1.0), ..Mood::default() };
        }
        match release.behaviour {
            Behaviour::Late if oldest_ms >= LATE_AFTER_MS => Mood { failing: Some(0.2), ..Mood::default() },
            Behaviour::Overload => {
                let capacity = release.rps * CAPACITY * f64::from(ready);
                let before = *queue_s;
                let after = before + requests as f64 / capacity - span_ms as f64 / 1e3;
                *queue_s = after.clamp(0.0, QUEUE_S_MAX);
                let refused = (after - QUEUE_S_MAX).max(0.0) * capacity;
                Mood {
                    failing: Some((refused / (requests.max(1) as f64)).min(1.0)),
                    wait_us: [before * 1e6, *queue_s * 1e6],
                }
            }
            _ => Mood::default(),
        }
    }
}

/// When the shop's dependency goes down in the demo, when its `late` version begins to fail, how long its overloaded
/// instances let a request wait, and what share of the demo's traffic one of them can serve.
const OUTAGE_AFTER_MS: u64 = 6_000;
const LATE_AFTER_MS: u64 = 40_000;
const QUEUE_S_MAX: f64 = 0.5;
const CAPACITY: f64 = 0.375;

fn classes_of<'a>(traffic: &'a mut TrafficStatus, version: &VersionName) -> &'a mut Classes {
    if !traffic.since_window.contains_key(version) {
        traffic.since_window.insert(version.clone(), Classes::new());
    }
    traffic.since_window.get_mut(version).expect("it was put there if it was missing")
}
