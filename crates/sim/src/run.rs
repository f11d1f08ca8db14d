//! One run: the real engine, driven by virtual time, against the world of a scenario.

use crate::behaviour::Behaviour;
use crate::invariant::{Broken, Invariant};
use crate::random::Random;
use crate::scenario::{Deed, Fault, Scenario, TROUBLED_MS};
use crate::seat::{Crash, Seat};
use crate::witness::understood;
use crate::world::World;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use taxiway_decide::environment::{Environment, Past};
use taxiway_decide::{plan, replay::replay};
use taxiway_engine::ports::log::Log;
use taxiway_engine::{Engine, SubmitError, View};
use taxiway_model::command::Command;
use taxiway_model::decision::WaitingOn;
use taxiway_model::event::{Event, Hold, ReturnCause};
use taxiway_model::ids::StreamId;
use taxiway_model::record::{Actor, Recorded};
use taxiway_model::time::Timestamp;
use taxiway_store::memory::Store;

/// How long everything may take to settle once it is left alone.
const SETTLED_WITHIN_MS: u64 = 3_600_000;

/// How long evidence may take to come once its source is well again.
const HEARD_WITHIN_MS: u64 = 180_000;

/// Looks at an unchanged world after which nothing new may be decided.
const LOOKS_MAX: u32 = 12;

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The first invariant that did not hold.
    pub broken: Option<Broken>,
    /// Every release that ended.
    pub history: Vec<Past>,
    /// Healthy versions that the judge sent back.
    pub false_alarms: u32,
    /// Boundaries between effects that engines crossed; each is a place to die.
    pub boundaries: u32,
    /// How often an engine died.
    pub crashes: u32,
    /// Virtual time.
    pub virtual_ms: u64,
    /// Ticks of all engines.
    pub ticks: u64,
    /// The log.
    pub records: Vec<Recorded<Event>>,
    /// The log, a line an event.
    pub trace: Vec<String>,
}

struct Leader {
    seat: Arc<Seat>,
    engine: Engine,
}

struct Run<'a> {
    scenario: &'a Scenario,
    id: StreamId,
    world: Arc<World>,
    log: Arc<Store>,
    leader: Option<Leader>,
    /// A fenced engine that ticks once more.
    former: Option<Leader>,
    /// When the engine looks again; none: when somebody asks for something.
    due_ms: Option<u64>,
    /// When a dead engine is started again.
    up_ms: u64,
    random: Random,
    faults: Vec<(u64, Fault, u64)>,
    deeds: Vec<(u64, Deed)>,
    dies_in: u32,
    crashes: u32,
    boundaries: u32,
    ticks: u64,
    kept: Option<String>,
}

/// Longest drain of the fake world, and the stop of an instance after it.
const FRESH_GONE_WITHIN_S: u32 = 30;

/// Runs a scenario to its end. `dies_in`: the first engine dies at that boundary.
pub fn run(scenario: &Scenario, dies_in: Option<u32>) -> Outcome {
    let mut run = Run {
        scenario,
        id: scenario.stream(),
        world: Arc::new(World::new(scenario)),
        log: Arc::new(Store::new()),
        leader: None,
        former: None,
        due_ms: Some(0),
        up_ms: 0,
        random: Random::new(scenario.seed, 2),
        faults: scenario.faults.clone(),
        deeds: scenario.deeds.clone(),
        dies_in: dies_in.unwrap_or(u32::MAX),
        crashes: 0,
        boundaries: 0,
        ticks: 0,
        kept: None,
    };
    run.faults.sort_by_key(|(at_ms, ..)| *at_ms);
    let all = catch_unwind(AssertUnwindSafe(|| run.go()));
    if all.is_err() {
        run.breaks(Invariant::NeverPanics, "a panic; see above");
    }
    run.outcome()
}

impl Run<'_> {
    fn go(&mut self) {
        loop {
            let now_ms = self.now_ms();
            self.step(now_ms);
            if self.is_broken() || now_ms > TROUBLED_MS + SETTLED_WITHIN_MS {
                break;
            }
            if now_ms >= TROUBLED_MS && self.is_settled() {
                break;
            }
            let next_ms = self.next_ms(now_ms);
            self.world.advance(next_ms.max(now_ms + 1) - now_ms);
        }
        if !self.is_broken() {
            self.at_the_end();
        }
        if !self.is_broken() {
            self.nothing_fresh_is_left();
        }
    }

    /// When no release is in flight any more, its fresh baseline goes within moments.
    fn nothing_fresh_is_left(&mut self) {
        for _ in 0..FRESH_GONE_WITHIN_S {
            let world = self.world.lock();
            let over = world.witness.state.flight.is_some() || !world.target.has_fresh();
            drop(world);
            if over {
                return;
            }
            self.world.advance(1_000);
            self.step(self.now_ms());
        }
        self.breaks(Invariant::FreshBesideCanary, "instances of a fresh baseline run on after the end");
    }

    /// Everything due at a moment.
    fn step(&mut self, now_ms: u64) {
        while self.faults.first().is_some_and(|(at_ms, ..)| *at_ms <= now_ms) {
            let (_, fault, lasts_ms) = self.faults.remove(0);
            self.strike(fault, now_ms, lasts_ms);
        }
        if now_ms >= TROUBLED_MS {
            self.world.lock().faults.clear();
            if let Some(leader) = &self.leader {
                leader.seat.dies_in(u32::MAX);
            }
        }
        if self.leader.is_none() && now_ms >= self.up_ms {
            self.open(now_ms);
        }
        if let Some(former) = self.former.take() {
            let _ = self.guarded(|run| run.tick_of(&former));
        }
        while self.leader.is_some() && self.deeds.first().is_some_and(|(at_ms, _)| *at_ms <= now_ms) {
            let (_, deed) = self.deeds.remove(0);
            self.deed(&deed, now_ms);
        }
        if self.leader.is_some() && self.due_ms.is_some_and(|due_ms| due_ms <= now_ms) {
            self.tick(now_ms);
        }
    }

    fn next_ms(&self, now_ms: u64) -> u64 {
        let mut next_ms = now_ms + 30_000;
        for at_ms in [self.faults.first().map(|f| f.0), self.deeds.first().map(|d| d.0), self.due_ms] {
            next_ms = next_ms.min(at_ms.unwrap_or(u64::MAX).max(now_ms + 1));
        }
        if self.leader.is_none() {
            next_ms = next_ms.min(self.up_ms.max(now_ms + 1));
        }
        next_ms
    }

    fn strike(&mut self, fault: Fault, now_ms: u64, lasts_ms: u64) {
        let mut world = self.world.lock();
        let wall = world.wall;
        match fault {
            Fault::Crash { after } => {
                if let Some(leader) = &self.leader {
                    leader.seat.dies_in(after);
                }
            }
            Fault::TwoLeaders => {
                drop(world);
                self.former = self.leader.take();
                self.open(now_ms);
            }
            Fault::RouterRestarts => world.router.restart(wall),
            Fault::InstanceDies => {
                world.target.kill_one(now_ms);
                world.witness.excuse(now_ms);
            }
            Fault::ClockForward => world.wall = wall.plus_ms(3_600_000),
            Fault::ClockBack => world.wall = Timestamp(wall.0 - 3_600_000_000),
            Fault::Sleep => world.wall = wall.plus_ms(lasts_ms * 10),
            Fault::ChecksForgotten => world.checks.forget(),
            lasting => world.faults.push((lasting, now_ms + lasts_ms)),
        }
    }

    /// Runs something of an engine; none when the engine died of it.
    fn guarded<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(|| act(self))) {
            Ok(value) => Some(value),
            Err(payload) if payload.is::<Crash>() => {
                self.crashes += 1;
                let now_ms = self.now_ms();
                // In a world without other faults a supervisor restarts it as soon as it can.
                let down_ms = self.random.pick(&[0, 500, 5_000, 20_000, 70_000]);
                let calm = self.scenario.faults.is_empty();
                self.up_ms = now_ms + if calm { down_ms.min(500) } else { down_ms };
                self.bury();
                None
            }
            Err(_) => {
                self.breaks(Invariant::NeverPanics, "a panic; see above");
                self.bury();
                None
            }
        }
    }

    fn bury(&mut self) {
        if let Some(leader) = self.leader.take() {
            self.boundaries += leader.seat.crossed();
        }
    }

    fn open(&mut self, now_ms: u64) {
        let dies_in = std::mem::replace(&mut self.dies_in, u32::MAX);
        let seat = Seat::new(self.world.clone(), self.log.clone(), dies_in);
        let ports = seat.ports();
        let opened = self.guarded(|_| Engine::open(ports, "sim"));
        match opened {
            Some(Ok(engine)) => {
                if self.scenario.source.is_some() {
                    engine.measure_with(seat.clone());
                }
                self.leader = Some(Leader { seat, engine });
                self.due_ms = Some(now_ms);
            }
            Some(Err(_)) => self.up_ms = now_ms + 1_000,
            None => {}
        }
    }

    fn tick_of(&mut self, leader: &Leader) -> Option<u64> {
        self.ticks += 1;
        leader.engine.tick(&self.id)
    }

    fn tick(&mut self, now_ms: u64) {
        let Some(leader) = self.leader.take() else { return };
        let engine = leader.engine.clone();
        self.leader = Some(leader);
        let id = self.id.clone();
        self.ticks += 1;
        let Some(in_ms) = self.guarded(|_| engine.tick(&id)) else { return };
        self.due_ms = in_ms.map(|in_ms| now_ms + in_ms.max(1));
        self.after_tick(&engine);
    }

    fn after_tick(&mut self, engine: &Engine) {
        let now_ms = self.now_ms();
        let mut world = self.world.lock();
        let returning = world.witness.state.flight.as_ref().is_some_and(|f| f.returning.is_some());
        let exposed = world.router.exposed(now_ms).map(|(version, weight)| format!("{version} has {weight}"));
        if returning
            && world.router_answers()
            && let Some(detail) = exposed
        {
            world.witness.breaks(Invariant::BackStaysBack, now_ms, format!("after a tick {detail}"));
        }
        let calm = world.faults.is_empty();
        let silence = calm && world.witness.hears_silence(now_ms);
        drop(world);
        if silence && let Some(view) = engine.view(&self.id) {
            self.world.lock().witness.said(now_ms, &view.report.waiting);
        }
        if calm && self.random.chance(20_000) {
            self.look_again(engine);
        }
    }

    /// An unchanged world gives nothing new to decide.
    fn look_again(&mut self, engine: &Engine) {
        let id = self.id.clone();
        for _ in 0..LOOKS_MAX {
            let before = self.world.lock().witness.state.seq;
            if self.guarded(|_| engine.tick(&id)).is_none() {
                return;
            }
            if self.world.lock().witness.state.seq == before {
                self.replays(engine);
                return;
            }
        }
        self.breaks(Invariant::Fixpoint, format!("{LOOKS_MAX} looks in a row decided something"));
    }

    fn deed(&mut self, deed: &Deed, now_ms: u64) {
        let Some(leader) = &self.leader else { return };
        let engine = leader.engine.clone();
        let (id, scenario) = (self.id.clone(), self.scenario);
        let back = matches!(deed, Deed::Abort | Deed::Rollback | Deed::Report(_));
        let answer = self.guarded(|_| {
            let command = command(deed, scenario, &engine, &id);
            let in_flight = engine.view(&id).is_some_and(|view| view.state.flight.is_some());
            (in_flight, engine.submit(&id, &command, Actor::Person("ada".to_owned()), "sim", ""))
        });
        self.due_ms = Some(now_ms);
        let Some((in_flight, answer)) = answer else {
            // Whoever gets no answer asks again.
            self.deeds.insert(0, (self.up_ms, deed.clone()));
            return;
        };
        let refused = matches!(answer, Err(SubmitError::Refused(_) | SubmitError::Quarantined(_)));
        let mut world = self.world.lock();
        if let Some((version, weight)) = world.router.exposed(now_ms)
            && back
            && in_flight
            && !refused
            && world.router_answers()
        {
            let detail = format!("{version} has {weight} after {deed:?} was answered with {answer:?}");
            world.witness.breaks(Invariant::BackIsReachable, now_ms, detail);
        }
    }

    /// Whether nothing more will happen by itself.
    fn is_settled(&mut self) -> bool {
        let Some(leader) = &self.leader else { return false };
        let Some(view) = leader.engine.view(&self.id) else { return true };
        settled(&view) && !self.may_hear_more(&view)
    }

    /// Whether a hold for lack of evidence may still end by itself: its source has recovered by now.
    fn may_hear_more(&self, view: &View) -> bool {
        let lacks = view.state.flight.as_ref().is_some_and(|flight| flight.holds.contains(&Hold::Evidence));
        let world = self.world.lock();
        let comes = world.now_ms < TROUBLED_MS + HEARD_WITHIN_MS || world.witness.is_held_in_vain();
        self.scenario.source.is_some() && lacks && comes
    }

    fn at_the_end(&mut self) {
        let now_ms = self.now_ms();
        let view = self.leader.as_ref().and_then(|leader| leader.engine.view(&self.id));
        if let Some(view) = view {
            if self.world.lock().witness.is_held_in_vain() {
                self.breaks(Invariant::EvidenceEndsHold, view.report.sentence());
                return;
            }
            if !settled(&view) {
                let sentence = format!("it says: {} {:?}", view.report.sentence(), view.troubles);
                self.breaks(Invariant::Liveness, sentence);
                return;
            }
            let engine = self.leader.as_ref().map(|leader| leader.engine.clone());
            if let Some(engine) = engine {
                self.replays(&engine);
            }
        } else {
            self.breaks(Invariant::Liveness, format!("no engine runs at {now_ms} ms"));
        }
        let verified = self.log.verify(self.kept.as_deref()).expect("the true log is in memory");
        if !verified.damages.is_empty() {
            self.breaks(Invariant::LogVerifies, verified.damages.join("; "));
        }
    }

    /// The log replayed against what the engine holds in memory.
    fn replays(&mut self, engine: &Engine) {
        let Some(view) = engine.view(&self.id) else { return };
        let stored = self.log.read(&self.id, 0, usize::MAX).expect("the true log is in memory");
        let records: Vec<_> = stored.iter().map(understood).collect();
        let replayed = replay(self.id.clone(), &records);
        if let Some(difference) = replayed.different.first() {
            self.breaks(Invariant::ReplayIsEqual, format!("a judgement differs: {difference:?}"));
        }
        if view.troubles.is_empty() && replayed.state != view.state {
            self.breaks(Invariant::ReplayIsEqual, first_difference(&replayed.state, &view.state));
        }
        if self.kept.is_none() {
            self.kept = self.log.checkpoint().ok().map(|checkpoint| checkpoint.note);
        }
    }

    fn now_ms(&self) -> u64 {
        self.world.lock().now_ms
    }

    fn is_broken(&self) -> bool {
        self.world.lock().witness.broken.is_some()
    }

    fn breaks(&self, invariant: Invariant, detail: impl Into<String>) {
        let mut world = self.world.lock();
        let now_ms = world.now_ms;
        world.witness.breaks(invariant, now_ms, detail);
    }

    fn outcome(mut self) -> Outcome {
        self.bury();
        let world = self.world.lock();
        let history = world.witness.state.history.clone();
        let behaviours = self.scenario.behaviours();
        let false_alarms = history.iter().filter(|past| {
            past.cause == Some(ReturnCause::Verdict)
                && matches!(behaviours.get(&past.version), Some(Behaviour::Healthy | Behaviour::SlowStart))
        });
        let stored = self.log.read_all(0, usize::MAX).expect("the true log is in memory");
        let first = stored.first().map(|stored| stored.record.at).unwrap_or_default();
        let trace = stored.iter().map(|stored| {
            let at_ms = stored.record.at.since_ms(first);
            let payload = String::from_utf8_lossy(&stored.record.payload);
            let payload: String = payload.chars().take(400).collect();
            format!("{:>8}.{:03} {:>4} {payload}", at_ms / 1_000, at_ms % 1_000, stored.seq)
        });
        Outcome {
            seed: self.scenario.seed,
            broken: world.witness.broken.clone(),
            false_alarms: false_alarms.count() as u32,
            boundaries: self.boundaries,
            crashes: self.crashes,
            virtual_ms: world.now_ms,
            ticks: self.ticks,
            records: stored.iter().map(understood).collect(),
            trace: trace.collect(),
            history,
        }
    }
}

/// The first line in which two states differ, as people read them.
fn first_difference(log: &Environment, engine: &Environment) -> String {
    let (log, engine) = (format!("{log:#?}"), format!("{engine:#?}"));
    let differs = log.lines().zip(engine.lines()).find(|(log, engine)| log != engine);
    let (log, engine) = differs.unwrap_or(("an end", "more"));
    format!("the log says {} and the engine {}", log.trim(), engine.trim())
}

fn settled(view: &View) -> bool {
    let person = view.report.waiting.iter().any(|on| matches!(on, WaitingOn::Person { .. }));
    let rests = view.state.flight.is_none() && (view.state.queue.is_empty() || view.state.held.is_some());
    view.troubles.is_empty() && (rests || (person && view.state.flight.is_some()))
}

fn command(deed: &Deed, scenario: &Scenario, engine: &Engine, id: &StreamId) -> Command {
    let start = |index: usize, again| {
        let version = scenario.versions[index.min(scenario.versions.len() - 1)].0.clone();
        let state = engine.state(id);
        Command::Start { plan: Box::new(plan::resolve(&scenario.spec, version, &state)), again }
    };
    match deed {
        Deed::Release(index) => start(*index, false),
        Deed::Retry(index) => start(*index, true),
        Deed::Promote => Command::Promote { full: false },
        Deed::PromoteFull => Command::Promote { full: true },
        Deed::Pause => Command::Pause,
        Deed::Resume => Command::Resume,
        Deed::Abort => Command::Abort,
        Deed::Rollback => Command::Rollback { to: None },
        Deed::Report(signal) => {
            Command::Signal { signal: *signal, detail: "seen by ada".to_owned(), key: None }
        }
    }
}
