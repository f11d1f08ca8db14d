//! A tiny world for scenario scripts: given a service and its traffic, observe and tick, expect
//! sentences. Every decision is checked clean and every wait ends at a fixpoint.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use taxiway_decide::environment::{Environment, evolve};
use taxiway_decide::{Situation, check, handle, next, plan};
use taxiway_model::command::{Command, Refusal};
use taxiway_model::counts::Counts;
use taxiway_model::decision::{Action, DesiredWorkload, table_digest};
use taxiway_model::event::Event;
use taxiway_model::evidence::Classes;
use taxiway_model::ids::{Digest, EnvironmentName, Generation, ServiceName, StepName, StreamId, VersionName};
use taxiway_model::normal::Normal;
use taxiway_model::observation::{
    CheckStatus, Instance, InstancePhase, MetricsStatus, Observations, Observed, TrafficStatus, Watched,
    WorkloadStatus,
};
use taxiway_model::plan::Step;
use taxiway_model::policy::{AnalysisPolicy, Preflight, Profile};
use taxiway_model::record::{Actor, Recorded};
use taxiway_model::route::{Limits, Listen, RouteTable, Sticky, UpstreamProtocol};
use taxiway_model::service::{
    Concurrency, Deadlines, Probe, ProbeAsk, ProcessLimits, ProcessTarget, Provenance, RiskTier, ServiceSpec,
    Stage, Strategy, StrategyKind, Version,
};
use taxiway_model::time::Timestamp;
use taxiway_model::weight::WeightBp;

/// What the instances of a version do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Ready,
    NeverReady,
    Crashing,
    Hungry,
    Missing,
}

pub(crate) struct World {
    pub(crate) spec: ServiceSpec,
    pub(crate) state: Environment,
    pub(crate) now: Timestamp,
    pub(crate) lives: BTreeMap<VersionName, Life>,
    /// Requests per second of the service.
    pub(crate) rps: u64,
    /// Failed ones of 1,000, by version.
    pub(crate) failing: BTreeMap<VersionName, u64>,
    /// Buckets by which a version is slower.
    pub(crate) slower: BTreeMap<VersionName, i16>,
    /// How checks end, by a part of their effect id; others pass.
    pub(crate) failing_checks: Vec<&'static str>,
    pub(crate) router_silent: bool,
    /// What the source of metrics says, where one is asked.
    pub(crate) metrics: Option<Observed<MetricsStatus>>,
    /// How the running version has answered lately.
    pub(crate) normal: Option<Normal>,
    /// How long the process that looks has done so.
    pub(crate) watched_ms: u64,
    desired: Option<DesiredWorkload>,
    table: Option<RouteTable>,
    returned: Option<Generation>,
    since: BTreeMap<VersionName, Classes>,
    since_ms: u64,
    totals: BTreeMap<VersionName, (u64, u64)>,
    first: BTreeMap<VersionName, Timestamp>,
    last: BTreeMap<VersionName, Timestamp>,
    owed: BTreeMap<VersionName, u64>,
    told: String,
    sentence: String,
}

pub(crate) fn version(name: &str) -> VersionName {
    VersionName::new(name).unwrap()
}

pub(crate) fn share(percent: u16) -> WeightBp {
    WeightBp::percent(percent)
}

pub(crate) fn step(name: &str, percent: u16, bake_s: u64) -> Step {
    Step {
        name: StepName::new(name).unwrap(),
        weight: share(percent),
        instances: None,
        baseline_instances: None,
        header: None,
        mirror: WeightBp::ZERO,
        bake_ms: bake_s * 1_000,
        analysis: true,
        approval: false,
        before: Vec::new(),
        after: Vec::new(),
    }
}

fn spec() -> ServiceSpec {
    let probe =
        Probe { ask: ProbeAsk::Tcp, interval_ms: 100, timeout_ms: 100, success_after: 1, failure_after: 3 };
    ServiceSpec {
        name: ServiceName::new("shop").unwrap(),
        owner: "team".into(),
        tier: RiskTier::Medium,
        environment: EnvironmentName::new("live").unwrap(),
        stage: Stage::Production,
        target: ProcessTarget {
            command: vec!["shop".into()],
            directory: "/".into(),
            artifact: None,
            port_from: 0,
            protocol: UpstreamProtocol::Http1,
            readiness: probe.clone(),
            health: probe,
            env: BTreeMap::new(),
            replicas: 2,
            stop_grace_ms: 1_000,
            limits: ProcessLimits { memory_bytes: Some(100 << 20), cpu_milli: None, open_files: None },
        },
        listen: Listen {
            addresses: vec!["127.0.0.1:80".into()],
            tls: None,
            sticky: Sticky::None,
            trusted_proxies: Vec::new(),
            limits: Limits::default(),
            endpoint_classes: Vec::new(),
            health: None,
        },
        internal_users: None,
        strategy: Strategy {
            kind: StrategyKind::Canary,
            preset: "custom".into(),
            steps: vec![step("canary-10", 10, 30), step("canary-50", 50, 30), step("full", 100, 30)],
            retire_after_ms: 0,
        },
        // What is said before a start has its own scenarios.
        analysis: AnalysisPolicy { preflight: Preflight::Off, ..AnalysisPolicy::of(Profile::Standard) },
        checks: Vec::new(),
        deadlines: Deadlines { samples_ms: 60_000, suppression_ms: 600_000, ..Deadlines::default() },
        concurrency: Concurrency::Queue,
        signals: taxiway_model::signals::SignalPolicy::default(),
    }
}

impl World {
    /// A service nothing was ever released to.
    pub(crate) fn empty() -> Self {
        let spec = spec();
        let stream = StreamId { service: spec.name.clone(), environment: spec.environment.clone() };
        Self {
            spec,
            state: Environment::new(stream),
            now: Timestamp(1_767_225_600_000_000),
            lives: BTreeMap::new(),
            rps: 1_000,
            failing: BTreeMap::new(),
            slower: BTreeMap::new(),
            failing_checks: Vec::new(),
            router_silent: false,
            metrics: None,
            normal: None,
            watched_ms: u64::MAX,
            desired: None,
            table: None,
            returned: None,
            since: BTreeMap::new(),
            since_ms: 0,
            totals: BTreeMap::new(),
            first: BTreeMap::new(),
            last: BTreeMap::new(),
            owed: BTreeMap::new(),
            told: String::new(),
            sentence: String::new(),
        }
    }

    /// A service that v1 serves.
    pub(crate) fn serving() -> Self {
        let mut world = Self::empty();
        world.release("v1").unwrap();
        world.wait(5);
        assert_eq!(world.state.stable, Some(version("v1")), "{}", world.told);
        world.told.clear();
        world
    }

    pub(crate) fn release(&mut self, name: &str) -> Result<(), Refusal> {
        self.start(name, name, false)
    }

    /// Releases a version whose content is `content`.
    pub(crate) fn start(&mut self, name: &str, content: &str, again: bool) -> Result<(), Refusal> {
        let version = Version {
            name: version(name),
            digest: Digest::of(content.as_bytes()),
            target: self.spec.target.clone(),
            provenance: Provenance::default(),
        };
        let plan = Box::new(plan::resolve(&self.spec, version, &self.state));
        self.ask(&Command::Start { plan, again })
    }

    pub(crate) fn ask(&mut self, command: &Command) -> Result<(), Refusal> {
        let events = handle(&self.state, command, self.now)?;
        if let Some(Event::SplitIntended { generation, .. }) = events
            .iter()
            .find(|event| matches!(event, Event::SplitIntended { .. }))
            .filter(|_| events.iter().any(|event| matches!(event, Event::ReturnDecided { .. })))
        {
            self.returned = Some(*generation);
        }
        self.record(&events, &Actor::Person("ada".into()));
        self.tick();
        Ok(())
    }

    /// Seconds pass, each with its traffic, a look and every decision it asks for.
    pub(crate) fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now = self.now.plus_ms(1_000);
            self.since_ms += 1_000;
            self.traffic();
            self.tick();
        }
    }

    /// Looks and decides until nothing is left to decide.
    pub(crate) fn tick(&mut self) {
        let mut quiet = false;
        for _ in 0..100 {
            let seen = self.look();
            let decision = next(&Situation { state: &self.state, seen: &seen, now: self.now });
            assert_eq!(check(&decision, &self.state), [], "{}", self.told);
            self.record(&decision.events, &Actor::Engine);
            for action in &decision.actions {
                self.carry_out(action);
            }
            self.sentence = decision.report.sentence();
            // Orders to a router that does not answer are repeated with every look; twice is enough.
            if decision.events.is_empty() && (decision.actions.is_empty() || quiet) {
                return;
            }
            quiet = decision.events.is_empty();
        }
        panic!("no fixpoint:\n{}", self.told);
    }

    /// What has happened since the last time, and what is waited for.
    pub(crate) fn told(&mut self) -> String {
        let mut told = std::mem::take(&mut self.told);
        let _ = write!(told, "-> {}", self.sentence);
        told
    }

    /// The canary's share in force.
    pub(crate) fn weight(&self) -> u16 {
        self.exposed().map_or(0, |(_, weight)| weight.bp())
    }

    fn exposed(&self) -> Option<(VersionName, WeightBp)> {
        let table = self.table.as_ref()?;
        let canary = table.canary.as_ref()?;
        self.returned.is_none_or(|at| table.generation > at).then(|| (canary.version.clone(), canary.weight))
    }

    fn record(&mut self, events: &[Event], actor: &Actor) {
        for event in events {
            if let Some(line) = line(event) {
                let _ = writeln!(self.told, "{line}");
            }
            let anew = matches!(
                event,
                Event::EvidenceRecorded { .. } | Event::SplitObserved { .. } | Event::StepEntered { .. }
            );
            if anew {
                self.since.clear();
                self.since_ms = 0;
            }
            let recorded = Recorded {
                global: self.state.seq + 1,
                stream: self.state.stream.clone(),
                seq: self.state.seq + 1,
                at: self.now,
                actor: actor.clone(),
                origin: String::new(),
                reason: String::new(),
                event: event.clone(),
            };
            let state = std::mem::replace(&mut self.state, Environment::new(recorded.stream.clone()));
            self.state = evolve(state, &recorded);
        }
    }

    fn carry_out(&mut self, action: &Action) {
        match action {
            Action::ApplyWorkload(desired) => self.desired = Some((**desired).clone()),
            Action::ApplyRoutes(table) if !self.router_silent => self.table = Some((**table).clone()),
            Action::ToBaseline { generation, .. } if !self.router_silent => self.returned = Some(*generation),
            Action::ApplyRoutes(_) | Action::ToBaseline { .. } | Action::StartCheck(_) => {}
        }
    }

    fn traffic(&mut self) {
        let Some(table) = self.table.clone() else { return };
        let exposed = self.exposed();
        let to_canary = exposed.as_ref().map_or(0, |(_, weight)| self.rps * u64::from(weight.bp()) / 10_000);
        // As the proxy does: a fresh baseline of which nobody is ready has no share.
        let fresh = table.canary.as_ref().and_then(|canary| canary.fresh.clone()).filter(|fresh| {
            exposed.is_some() && table.backends[&fresh.version].iter().any(|backend| backend.accepting)
        });
        let to_fresh = fresh.as_ref().map_or(0, |fresh| self.rps * u64::from(fresh.weight.bp()) / 10_000);
        let sides = [
            (exposed.map(|(version, _)| version), to_canary),
            (table.baseline, self.rps - to_canary - to_fresh),
            (fresh.map(|fresh| fresh.version), to_fresh),
        ];
        for (version, requests) in sides {
            let Some(version) = version.filter(|_| requests > 0) else { continue };
            let owed = self.owed.entry(version.clone()).or_default();
            *owed += requests * self.failing.get(&version).copied().unwrap_or(1);
            let failed = (*owed / 1_000).min(requests);
            *owed -= failed * 1_000;
            let mut counts = Counts { requests, ..Counts::default() };
            counts.status[4] = failed;
            counts.status[1] = requests - failed;
            let shift = self.slower.get(&version).copied().unwrap_or(0);
            // Around 10 ms with a tail, the same shape every second.
            for (bucket, percent) in [(848, 50), (864, 40), (928, 8), (1_000, 2)] {
                *counts.latency.buckets.entry(bucket + shift).or_default() += requests * percent / 100;
            }
            let classes = self.since.entry(version.clone()).or_default();
            classes.entry("other".into()).or_default().merge(&counts);
            let totals = self.totals.entry(version.clone()).or_default();
            *totals = (totals.0 + requests, totals.1 + failed);
            self.first.entry(version.clone()).or_insert(self.now);
            self.last.insert(version, self.now);
        }
    }

    fn look(&self) -> Observations {
        let seen_checks = self.state.flight.iter().flat_map(|flight| &flight.checks);
        let checks = seen_checks.filter(|(_, record)| record.passed.is_none()).map(|(effect, record)| {
            let passed = !self.failing_checks.iter().any(|part| effect.contains(part));
            let said = if passed { "exit 0" } else { "exit 1" };
            ((effect.clone(), record.attempt), CheckStatus::Ended { passed, said: said.into() })
        });
        let traffic = if self.router_silent {
            Observed::Unknown { since: self.now, why: "connection refused".into() }
        } else {
            Observed::Known(self.seen_traffic())
        };
        let workload = Observed::Known(self.instances());
        let exposed_ms = self.watched_ms.min(
            self.state
                .flight
                .as_ref()
                .map_or(0, |flight| flight.exposed_at.map_or(0, |at| self.now.since_ms(at))),
        );
        let (workload_ms, routes_ms, source_ms) = (self.watched_ms, self.watched_ms, self.watched_ms);
        let watched = Watched { workload_ms, routes_ms, exposed_ms, source_ms };
        Observations {
            workload,
            traffic,
            checks: checks.collect(),
            metrics: self.metrics.clone(),
            normal: self.normal.clone(),
            watched,
        }
    }

    fn seen_traffic(&self) -> TrafficStatus {
        let Some(table) = &self.table else { return TrafficStatus::default() };
        TrafficStatus {
            generation: table.generation.max(self.returned.unwrap_or_default()),
            table: Some(table_digest(table)),
            weight: self.exposed().map_or(WeightBp::ZERO, |(_, weight)| weight),
            lease_left_ms: 60_000,
            since_window: self.since.clone(),
            since_window_ms: self.since_ms,
            totals: self.totals.clone(),
            first_routed: self.first.clone(),
            last_routed: self.last.clone(),
            ..TrafficStatus::default()
        }
    }

    fn instances(&self) -> WorkloadStatus {
        let mut status = WorkloadStatus::default();
        let Some(desired) = &self.desired else { return status };
        status.generation = desired.generation;
        for one in &desired.versions {
            let name = &one.version.name;
            let life = self.lives.get(name).copied().unwrap_or(Life::Ready);
            if life == Life::Missing {
                status.broken.insert(name.clone(), "no such file".into());
                continue;
            }
            for number in 0..one.replicas {
                let crashing = life == Life::Crashing;
                status.instances.push(Instance {
                    version: name.clone(),
                    number,
                    address: format!("{name}:{number}"),
                    phase: match life {
                        Life::NeverReady => InstancePhase::Starting,
                        Life::Crashing => InstancePhase::Backoff,
                        _ => InstancePhase::Ready,
                    },
                    restarts: if crashing { 3 } else { 0 },
                    why: if crashing { "exited with status 1".into() } else { String::new() },
                    ready_since: Some(self.now),
                    memory_bytes: if life == Life::Hungry { 95 << 20 } else { 10 << 20 },
                    cpu_milli: 1,
                    pid: None,
                    output: String::new(),
                });
            }
        }
        status
    }
}

/// An event in a few words; none for those that only fill the page.
fn line(event: &Event) -> Option<String> {
    Some(match event {
        Event::ReleaseAccepted { plan, .. } => format!("accepted {}", plan.version.name),
        Event::ReleaseStarted { release } => format!("started {release}"),
        Event::StepEntered { step } => format!("step {step}"),
        Event::SplitIntended { split, .. } => {
            let name =
                |version: &Option<VersionName>| version.as_ref().map_or("-".into(), ToString::to_string);
            let fresh =
                if split.fresh.is_zero() { String::new() } else { format!(" | fresh {}", split.fresh) };
            format!("split {} | {} {}{fresh}", name(&split.baseline), name(&split.canary), split.weight)
        }
        Event::WorkloadIntended { replicas, .. } => {
            let list: Vec<_> = replicas.iter().map(|(version, count)| format!("{version}x{count}")).collect();
            format!("instances {}", list.join(" "))
        }
        Event::CheckEnded { effect, attempt, passed, .. } => {
            format!("check {effect} attempt {attempt} {}", if *passed { "passed" } else { "failed" })
        }
        Event::Judged { judgement, .. } => format!("verdict {}", judgement.verdict),
        Event::StepPassed { step, by_hand } => {
            format!("passed {step}{}", if *by_hand { " by hand" } else { "" })
        }
        Event::HoldBegan { why, sentence } => format!("hold {why:?}: {sentence}"),
        Event::HoldEnded { why } => format!("hold {why:?} ended"),
        Event::ReturnDecided { cause, sentence } => format!("back ({cause:?}): {sentence}"),
        Event::ReleaseEnded { outcome, sentence } => format!("ended {outcome:?}: {sentence}"),
        Event::EvidenceWaived { .. } => "evidence waived".into(),
        Event::FreshBaselineLeft => "fresh baseline left".into(),
        Event::NormalRecorded { normal } => format!("normal profile of {} s", normal.span_ms / 1_000),
        Event::Warned { warnings } => format!("warned: {}", warnings.join("; ")),
        Event::ReleaseWithdrawn { release, sentence } => format!("withdrawn {release}: {sentence}"),
        Event::FeedbackReceived { feedback } => format!("feedback {:?} {:?}", feedback.kind, feedback.rating),
        Event::SourceFailed { source, .. } => format!("{source} silent"),
        Event::SourceRecovered { source } => format!("{source} heard again"),
        Event::AutomationHeld { why } => format!("held: {why}"),
        Event::StepExtended { .. }
        | Event::FullPromotionAsked
        | Event::AutomationFreed
        | Event::RetireDue { .. }
        | Event::SignalReceived { .. } => event.kind().replace('_', " "),
        _ => return None,
    })
}
