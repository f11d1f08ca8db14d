//! One stream in memory: the folded log, and what only this process knows of the world.

use crate::observe::rebase;
use crate::ports::log;
use crate::stored::{Cause, from_record, to_record};
use crate::{Engine, Ports};
use std::collections::BTreeMap;
use taxiway_decide::environment::{Environment, SNAPSHOT_FORMAT, evolve};
use taxiway_model::control::Snapshot;
use taxiway_model::decision::Report;
use taxiway_model::event::Event;
use taxiway_model::evidence::Classes;
use taxiway_model::ids::{Digest, Generation, ReleaseId, StreamId, VersionName};
use taxiway_model::observation::{Observations, Observed, Watched};
use taxiway_model::record::Recorded;
use taxiway_model::time::Timestamp;

/// Records read from the log at once.
const READ_MAX: usize = 2_000;

/// Events after which a snapshot is worth its write.
const SNAPSHOT_EVERY: u64 = 64;

/// Format of a snapshot that is written only to see whether the log can be; nobody reads it.
const PROBE_FORMAT: u32 = 0;

/// Without any append for this long none is due: windows of evidence come at least every 15 s.
const PROBE_AFTER_MS: u64 = 20_000;

/// What a person may know of a stream.
#[derive(Debug, Clone)]
pub struct View {
    /// The folded log.
    pub state: Environment,
    /// What it waits for.
    pub report: Report,
    /// What was seen last; none before the first look.
    pub seen: Option<Observations>,
    /// The router's cumulative counts when it was last asked.
    pub counts: Option<Snapshot>,
    /// What is wrong with the engine's own footing, in sentences (log not writable, stream not understood).
    pub troubles: Vec<String>,
}

/// The canary's evidence is counted from here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Base {
    pub(crate) start: Timestamp,
    pub(crate) at_ms: u64,
    pub(crate) versions: BTreeMap<VersionName, Classes>,
    pub(crate) mirrored: BTreeMap<VersionName, Classes>,
    /// The counts it was made of were old: the next new ones are the base.
    pub(crate) waits: bool,
}

/// What is wrong with the log; times on the monotonic clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) why: String,
    /// When it first failed.
    pub(crate) since_ms: u64,
    /// When it failed last.
    pub(crate) last_ms: u64,
}

/// What is being watched, each since when on the monotonic clock.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watching {
    workload: Option<(Generation, u64)>,
    routes: Option<(Generation, u64)>,
    exposed: Option<(Timestamp, u64)>,
    source: Option<(Timestamp, u64)>,
}

impl Watching {
    /// How long each has been watched by now.
    pub(crate) fn look(&mut self, state: &Environment, now_ms: u64) -> Watched {
        let exposed = state.flight.as_ref().and_then(|flight| flight.exposed_at);
        self.exposed = self.exposed.filter(|_| exposed.is_some());
        let silent = state.flight.as_ref().and_then(|flight| flight.source.as_ref()).map(|(_, at, _)| *at);
        self.source = self.source.filter(|_| silent.is_some());
        Watched {
            workload_ms: since(&mut self.workload, state.workload.generation, now_ms),
            routes_ms: since(&mut self.routes, state.routes.generation, now_ms),
            exposed_ms: exposed.map_or(0, |at| since(&mut self.exposed, at, now_ms)),
            source_ms: silent.map_or(0, |at| since(&mut self.source, at, now_ms)),
        }
    }
}

fn since<T: Copy + PartialEq>(seen: &mut Option<(T, u64)>, what: T, now_ms: u64) -> u64 {
    let (_, from_ms) = *seen.filter(|(old, _)| *old == what).get_or_insert((what, now_ms));
    *seen = Some((what, from_ms));
    now_ms.saturating_sub(from_ms)
}

pub(crate) struct Stream {
    pub(crate) state: Environment,
    loaded: bool,
    /// Facts of a way back that was carried out while the log could not be written.
    pub(crate) unlogged: Vec<(Event, Cause, Timestamp)>,
    /// Why the log cannot be written, where it cannot.
    pub(crate) log_trouble: Option<Trouble>,
    /// An append failed: what it brought may be in the log all the same.
    pub(crate) unsure: bool,
    /// Why the stream cannot be understood.
    pub(crate) quarantine: Option<String>,
    pub(crate) base: Base,
    /// The table the router confirmed, when (monotonic), and its lease.
    pub(crate) table: Option<(Digest, u64)>,
    pub(crate) lease_from_ms: u64,
    pub(crate) refused: Option<String>,
    /// Since when a port does not answer.
    pub(crate) silent: BTreeMap<&'static str, Timestamp>,
    /// What was taken of the counts of a source of metrics.
    pub(crate) measured: Option<crate::measure::Measured>,
    /// Up to where of the log it knows what became of its counts.
    measured_seq: u64,
    /// How the running version answers while nothing is released.
    pub(crate) normal: crate::normal::Watch,
    /// Since when (monotonic) this process has watched the newest intents and the exposure.
    pub(crate) watching: Watching,
    /// Cumulative counts of each version when the release in flight was first seen.
    pub(crate) flight_base: Option<(ReleaseId, BTreeMap<VersionName, Classes>)>,
    pub(crate) report: Report,
    pub(crate) seen: Option<Observations>,
    pub(crate) counts: Option<Snapshot>,
    /// When the router last said something new (monotonic).
    pub(crate) counts_new_ms: u64,
    snapshot_seq: u64,
}

impl Stream {
    pub(crate) fn new(id: StreamId) -> Self {
        Self {
            state: Environment::new(id),
            loaded: false,
            unlogged: Vec::new(),
            log_trouble: None,
            unsure: false,
            quarantine: None,
            base: Base::default(),
            table: None,
            lease_from_ms: 0,
            refused: None,
            silent: BTreeMap::new(),
            measured: None,
            measured_seq: 0,
            normal: crate::normal::Watch::default(),
            watching: Watching::default(),
            flight_base: None,
            report: Report::default(),
            seen: None,
            counts: None,
            counts_new_ms: 0,
            snapshot_seq: 0,
        }
    }

    pub(crate) fn view(&self) -> View {
        let mut troubles = Vec::new();
        if let Some(Trouble { why, .. }) = &self.log_trouble {
            troubles.push(format!("nothing can be recorded: {why}"));
        }
        if let Some(why) = &self.quarantine {
            troubles.push(format!("{why}; the baseline serves on, nothing else happens here"));
        }
        View {
            state: self.state.clone(),
            report: self.report.clone(),
            seen: self.seen.clone(),
            counts: self.counts.clone(),
            troubles,
        }
    }

    /// Folds the log, once.
    pub(crate) fn load(&mut self, engine: &Engine) {
        if self.loaded {
            return;
        }
        match self.fold(engine.ports()) {
            Ok(()) => {
                self.loaded = true;
                self.log_trouble = None;
                engine.not_before(self.state.at);
                self.follow(engine);
            }
            Err(log::Error::Damaged(why)) => {
                self.quarantine = Some(why);
                self.loaded = true;
            }
            Err(error) => {
                let now_ms = engine.ports().clock.monotonic_ms();
                let trouble = Trouble { why: error.to_string(), since_ms: now_ms, last_ms: now_ms };
                self.log_trouble = Some(trouble);
            }
        }
    }

    /// Whether the log has been folded.
    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// Forgets the folded log: another writer was faster.
    pub(crate) fn reload(&mut self, engine: &Engine) {
        self.loaded = false;
        self.state = Environment::new(self.state.stream.clone());
        self.load(engine);
        // What it had counted may be on record already.
        rebase(engine.ports(), self);
    }

    /// After an append that failed: what the log holds is what happened.
    pub(crate) fn settle(&mut self, engine: &Engine) {
        if !self.unsure || !self.unlogged.is_empty() {
            return;
        }
        let mut fresh = Self::new(self.state.stream.clone());
        match fresh.fold(engine.ports()) {
            Ok(()) => {
                self.unsure = false;
                if fresh.state.seq != self.state.seq {
                    self.state = fresh.state;
                    self.follow(engine);
                    rebase(engine.ports(), self);
                }
            }
            Err(error) => tracing::warn!(%error, "the log cannot be read again yet"),
        }
    }

    /// Tells what was taken of a source's counts about events that came into the log without our knowing:
    /// what is evidence there is not evidence again.
    fn follow(&mut self, engine: &Engine) {
        let from = std::mem::replace(&mut self.measured_seq, self.state.seq);
        if self.measured.is_none() || from >= self.state.seq {
            return;
        }
        let records = engine.ports().log.read(&self.state.stream, from, READ_MAX);
        let events = records.map(|records| {
            let events = records.iter().filter_map(|stored| from_record(stored).ok());
            events.map(|recorded| recorded.event).collect::<Vec<_>>()
        });
        match (events, &mut self.measured) {
            (Ok(events), Some(measured)) => measured.follow(&events, engine.now()),
            (Err(_), Some(measured)) => measured.lose(),
            (_, None) => {}
        }
    }

    fn fold(&mut self, ports: &Ports) -> Result<(), log::Error> {
        let id = self.state.stream.clone();
        if let Some((seq, bytes)) = ports.log.snapshot(&id, SNAPSHOT_FORMAT)?
            && let Ok(state) = serde_json::from_slice::<Environment>(&bytes)
            && state.seq == seq
            && state.stream == id
        {
            self.state = state;
            self.snapshot_seq = seq;
        }
        loop {
            let records = ports.log.read(&id, self.state.seq, READ_MAX)?;
            let last = records.len() < READ_MAX;
            for stored in &records {
                let recorded = from_record(stored)
                    .map_err(|error| log::Error::Damaged(format!("event {} of {id}: {error}", stored.seq)))?;
                self.take(&recorded);
            }
            if last {
                return Ok(());
            }
        }
    }

    fn take(&mut self, recorded: &Recorded<Event>) {
        let state = std::mem::replace(&mut self.state, Environment::new(recorded.stream.clone()));
        self.state = evolve(state, recorded);
    }

    /// Appends events that were decided at a time, and folds them in.
    pub(crate) fn append(
        &mut self,
        engine: &Engine,
        events: &[Event],
        cause: &Cause,
        decided_at: Timestamp,
    ) -> Result<(), log::Error> {
        let records = events.iter().map(|event| to_record(event, cause, decided_at)).collect();
        fail::fail_point!("engine.append.before");
        let id = self.state.stream.clone();
        let appended = engine.ports().log.append(&id, self.state.seq, engine.epoch(), records)?;
        fail::fail_point!("engine.append.after");
        self.log_trouble = None;
        let mut recorded = Vec::with_capacity(appended.records.len());
        for stored in &appended.records {
            let event = from_record(stored).expect("what was just written is understood");
            self.take(&event);
            recorded.push(event);
        }
        if let Some(measured) = &mut self.measured {
            measured.follow(events, engine.now());
        }
        self.measured_seq = self.state.seq;
        engine.tell(&recorded);
        self.maybe_snapshot(engine.ports());
        Ok(())
    }

    /// Folds events in that could not be appended, so that the way back goes on in memory.
    pub(crate) fn take_unlogged(&mut self, events: &[Event], cause: &Cause, at: Timestamp) {
        for event in events {
            let recorded = Recorded {
                global: 0,
                stream: self.state.stream.clone(),
                seq: self.state.seq,
                at,
                actor: cause.actor.clone(),
                origin: cause.origin.clone(),
                reason: cause.reason.clone(),
                event: event.clone(),
            };
            self.take(&recorded);
            self.unlogged.push((event.clone(), cause.clone(), at));
        }
    }

    /// Appends what could not be appended before.
    pub(crate) fn flush(&mut self, engine: &Engine) -> Result<(), log::Error> {
        if self.unlogged.is_empty() {
            return Ok(());
        }
        let appended = match self.append_unlogged(engine) {
            Err(log::Error::Conflict { .. }) => {
                self.rebase_unlogged(engine)?;
                if self.unlogged.is_empty() {
                    return Ok(());
                }
                self.append_unlogged(engine)?
            }
            answer => answer?,
        };
        self.unlogged.clear();
        self.log_trouble = None;
        self.state.seq = appended.seq;
        // The log may have moved their times: what it says is what will be replayed.
        self.reload(engine);
        let recorded: Vec<_> =
            appended.records.iter().filter_map(|stored| from_record(stored).ok()).collect();
        engine.tell(&recorded);
        Ok(())
    }

    fn append_unlogged(&self, engine: &Engine) -> Result<log::Appended, log::Error> {
        let records = self.unlogged.iter().map(|(event, cause, at)| to_record(event, cause, *at)).collect();
        engine.ports().log.append(&self.state.stream, self.state.seq, engine.epoch(), records)
    }

    /// An append whose answer was lost had been written after all, perhaps the way back itself: what
    /// is still missing of it is put on top of what the log says now.
    fn rebase_unlogged(&mut self, engine: &Engine) -> Result<(), log::Error> {
        let mut fresh = Self::new(self.state.stream.clone());
        fresh.fold(engine.ports())?;
        let release = |state: &Environment| state.flight.as_ref().map(|flight| flight.release.clone());
        let goes_on = release(&fresh.state) == release(&self.state);
        self.state = fresh.state;
        for (event, cause, at) in std::mem::take(&mut self.unlogged) {
            let returning = self.state.flight.as_ref().is_none_or(|flight| flight.returning.is_some());
            let event = match event {
                Event::ReturnDecided { .. } | Event::SignalReceived { .. } if returning || !goes_on => {
                    continue;
                }
                Event::SplitIntended { split, .. } if split == self.state.routes.split => continue,
                Event::SplitIntended { split, .. } => {
                    Event::SplitIntended { generation: self.state.generation.next(), split }
                }
                Event::AutomationHeld { .. } if self.state.held.is_some() => continue,
                Event::ReleaseAccepted { ref release, .. } if *release != self.state.next_release() => {
                    continue;
                }
                other => other,
            };
            self.take_unlogged(&[event], &cause, at);
        }
        Ok(())
    }

    /// Snapshots are taken only when nothing is in flight: the judge's state is a fold of the log.
    fn maybe_snapshot(&mut self, ports: &Ports) {
        if self.is_quiet() && self.state.seq >= self.snapshot_seq + SNAPSHOT_EVERY {
            self.keep_snapshot(ports);
        }
    }

    fn is_quiet(&self) -> bool {
        self.state.flight.is_none() && self.unlogged.is_empty()
    }

    fn keep_snapshot(&mut self, ports: &Ports) {
        let bytes = serde_json::to_vec(&self.state).expect("the state is plain data with string keys");
        match ports.log.keep_snapshot(&self.state.stream, SNAPSHOT_FORMAT, self.state.seq, &bytes) {
            Ok(()) => {
                self.snapshot_seq = self.state.seq;
                self.log_trouble = None;
                // Kept beside the log: what a chain of hashes cannot see is a missing tail.
                if let Err(error) = ports.log.checkpoint() {
                    tracing::warn!(%error, "no checkpoint was made");
                }
            }
            Err(error) => tracing::warn!(%error, "a snapshot was not kept; the log alone suffices"),
        }
    }

    /// Tries whether the log can be written again where no event is due that would show it: a
    /// snapshot is a write nobody minds. In flight it is one that nobody reads, and only when
    /// nothing has been tried for longer than a window of evidence takes.
    pub(crate) fn probe(&mut self, ports: &Ports) {
        if self.is_quiet() {
            self.keep_snapshot(ports);
            return;
        }
        let now_ms = ports.clock.monotonic_ms();
        let last_ms = self.log_trouble.as_ref().map_or(now_ms, |trouble| trouble.last_ms);
        let idle = now_ms.saturating_sub(last_ms) > PROBE_AFTER_MS && self.unlogged.is_empty();
        if idle && ports.log.keep_snapshot(&self.state.stream, PROBE_FORMAT, self.state.seq, b"{}").is_ok() {
            self.log_trouble = None;
            self.snapshot_seq = 0;
        }
    }

    /// What is wrong with the log, in words; empty when nothing is.
    pub(crate) fn trouble(&self) -> String {
        self.log_trouble.as_ref().map(|trouble| trouble.why.clone()).unwrap_or_default()
    }

    /// A port answered or did not: since when it does not.
    pub(crate) fn heard<T>(
        &mut self,
        port: &'static str,
        now: Timestamp,
        answer: Result<T, String>,
    ) -> Observed<T> {
        match answer {
            Ok(value) => {
                self.silent.remove(port);
                Observed::Known(value)
            }
            Err(why) => {
                let since = *self.silent.entry(port).or_insert(now);
                Observed::Unknown { since, why }
            }
        }
    }
}
