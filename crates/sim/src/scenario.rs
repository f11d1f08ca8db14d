//! What a seed stands for: a service, its versions, its plan, the faults and the people.

use crate::behaviour::{Behaviour, DRAWS};
use crate::random::Random;
use crate::source::{SOURCE_FAULTS, SourceSetup};
use crate::target::MEMORY_LIMIT_BYTES;
use std::collections::BTreeMap;
use taxiway_model::event::Signal;
use taxiway_model::ids::{Digest, EnvironmentName, MetricName, ServiceName, StepName, StreamId, VersionName};
use taxiway_model::metrics::{Api, Query, Shape, Source};
use taxiway_model::plan::{Check, CheckAt, CheckRun, OnFailure, Step};
use taxiway_model::policy::{AnalysisPolicy, Baseline, Measure, MetricPolicy, Missing, Profile};
use taxiway_model::route::{HeaderRule, HeaderSource, Limits, Listen, Sticky, UpstreamProtocol};
use taxiway_model::service::{
    Concurrency, Deadlines, Probe, ProbeAsk, ProcessLimits, ProcessTarget, Provenance, RiskTier, ServiceSpec,
    Stage, Strategy, StrategyKind, Version,
};
use taxiway_model::weight::WeightBp;

/// Virtual time in which faults and people come; afterwards everybody leaves the world alone.
pub const TROUBLED_MS: u64 = 420_000;

/// A fault of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The engine's process dies after so many more boundaries.
    Crash {
        /// Boundaries until then.
        after: u32,
    },
    /// Another engine takes the lead while the old one still ticks once more.
    TwoLeaders,
    /// The router's process restarts.
    RouterRestarts,
    /// The router does not answer; its traffic goes on.
    RouterSilent,
    /// Orders reach the router, its answers are lost.
    AnswersLost,
    /// The router's counts come late: the same old ones again and again.
    CountsLate,
    /// The target does not answer.
    TargetSilent,
    /// Appends fail with nothing written.
    LogFull,
    /// The log cannot be written.
    LogReadOnly,
    /// Appends are written, but the answer is lost.
    CommitUnknown,
    /// The log can neither be read nor written.
    LogDead,
    /// Every append takes seconds.
    LogSlow,
    /// An instance dies.
    InstanceDies,
    /// A dependency of both versions fails.
    Outage,
    /// The wall clock jumps an hour forward.
    ClockForward,
    /// The wall clock jumps an hour back.
    ClockBack,
    /// The machine sleeps: the wall clock goes on, the monotonic one does not.
    Sleep,
    /// The runner of checks restarts and knows none.
    ChecksForgotten,
}

const FAULTS: &[Fault] = &[
    Fault::Crash { after: 0 },
    Fault::Crash { after: 0 },
    Fault::Crash { after: 0 },
    Fault::Crash { after: 0 },
    Fault::TwoLeaders,
    Fault::RouterRestarts,
    Fault::RouterSilent,
    Fault::AnswersLost,
    Fault::CountsLate,
    Fault::TargetSilent,
    Fault::LogFull,
    Fault::LogReadOnly,
    Fault::CommitUnknown,
    Fault::LogDead,
    Fault::LogSlow,
    Fault::InstanceDies,
    Fault::Outage,
    Fault::ClockForward,
    Fault::ClockBack,
    Fault::Sleep,
    Fault::ChecksForgotten,
];

/// What a person does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Releases the version of this index.
    Release(usize),
    /// Releases it again although it went back.
    Retry(usize),
    /// To the next step.
    Promote,
    /// To everything.
    PromoteFull,
    /// Stays.
    Pause,
    /// Goes on.
    Resume,
    /// Stops.
    Abort,
    /// Back, also after the end.
    Rollback,
    /// Reports harm.
    Report(Signal),
}

/// Everything that a seed decides beforehand.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    /// The service.
    pub spec: ServiceSpec,
    /// Its versions with their behaviours; the first is healthy and released first.
    pub versions: Vec<(Version, Behaviour)>,
    /// Requests per second, in thousandths.
    pub rps_milli: u64,
    /// Faults by time, with how long each lasts.
    pub faults: Vec<(u64, Fault, u64)>,
    /// What people do, by time.
    pub deeds: Vec<(u64, Deed)>,
    /// Chance that an attempt of a check fails, parts per million.
    pub check_fails_ppm: u64,
    /// How the instances of a fresh baseline behave; none: as their version does.
    pub fresh: Option<Behaviour>,
    /// What the source of metrics is like; none where the policy names none.
    pub source: Option<SourceSetup>,
}

/// How fresh instances fail although their version is well: they do not start, late or never, or die.
const FRESH_TROUBLE: &[Option<Behaviour>] = &[
    None,
    None,
    None,
    None,
    Some(Behaviour::SlowStart),
    Some(Behaviour::NeverReady),
    Some(Behaviour::Crash),
    Some(Behaviour::Broken),
];

impl Scenario {
    /// The scenario of a seed.
    pub fn of(seed: u64) -> Self {
        let mut random = Random::new(seed, 1);
        let mut spec = spec(&mut random);
        let mut versions = vec![(version("v1", &spec), Behaviour::Healthy)];
        for number in 2..=3 {
            versions.push((version(&format!("v{number}"), &spec), random.pick(DRAWS)));
        }
        let rps_milli = random.pick(&[0, 2_000, 20_000, 20_000, 60_000, 60_000, 60_000]);
        let faults = (0..random.between(0, 5)).map(|_| fault(&mut random)).collect();
        let deeds = deeds(&mut random);
        let check_fails_ppm = random.pick(&[0, 0, 100_000, 500_000]);
        // Drawn apart, so that a seed without one is the world it always was.
        let mut apart = Random::new(seed, 3);
        let (wanted, fresh) = (apart.chance(400_000), apart.pick(FRESH_TROUBLE));
        if wanted && splits(&spec.strategy) {
            spec.analysis.baseline = Baseline::Fresh;
        }
        let scenario =
            Self { seed, spec, versions, rps_milli, faults, deeds, check_fails_ppm, fresh, source: None };
        scenario.drawn_with_source(&mut Random::new(seed, 4))
    }

    /// Some worlds have a source of metrics, with faults of its own. Drawn apart as well.
    fn drawn_with_source(self, random: &mut Random) -> Self {
        if !random.chance(SOURCE_PPM) || !splits(&self.spec.strategy) {
            return self;
        }
        let any = random.below(self.spec.strategy.steps.len() as u64) as u16;
        let wanted = Wanted {
            bucket_ms: random.pick(&[0, 0, 5_000]),
            on_error: random.pick(&[Missing::Rollback, Missing::Hold]),
            on_no_data: random.pick(&[Missing::Rollback, Missing::Hold]),
            from_step: random.pick(&[0, 0, any]),
        };
        let fault = |random: &mut Random| {
            let at_ms = random.between(0, TROUBLED_MS);
            (at_ms, random.pick(SOURCE_FAULTS), random.pick(&[6_000, 20_000, 60_000, 150_000, 300_000]))
        };
        let faults = (0..random.between(0, 3)).map(|_| fault(random)).collect();
        let ahead_ms = random.pick(&[0, 0, 30_000, -30_000]);
        // Enough traffic for steps to be left, in some of them.
        let rps_milli = random.pick(&[self.rps_milli, 100_000]);
        Self { rps_milli, ..self }.asking(wanted, SourceSetup { ahead_ms, faults })
    }

    /// The same world, in which a source of metrics has a say.
    #[must_use]
    pub fn asking(mut self, wanted: Wanted, source: SourceSetup) -> Self {
        self.spec.analysis.metrics.push(wanted.metric());
        self.spec.analysis.sources = vec![wanted.source()];
        self.source = Some(source);
        self
    }

    /// The same world, in which the canary is compared with a fresh baseline, at enough traffic for it.
    #[must_use]
    pub fn beside_fresh(mut self) -> Self {
        self.spec.analysis.baseline = Baseline::Fresh;
        self.rps_milli *= 5;
        self
    }

    /// A world without faults in which `v2` of this behaviour follows `v1`.
    pub fn calm(behaviour: Behaviour, kind: StrategyKind) -> Self {
        let mut random = Random::new(7, 1);
        let mut spec = spec(&mut random);
        spec.strategy =
            Strategy { kind, preset: "custom".to_owned(), steps: plain(kind), retire_after_ms: 0 };
        spec.stage = Stage::Test;
        spec.checks.clear();
        spec.concurrency = Concurrency::Queue;
        spec.deadlines = Deadlines { samples_ms: 300_000, ..spec.deadlines };
        spec.analysis = AnalysisPolicy::of(Profile::Standard);
        let versions = vec![(version("v1", &spec), Behaviour::Healthy), (version("v2", &spec), behaviour)];
        let deeds = vec![(0, Deed::Release(0)), (20_000, Deed::Release(1))];
        Self {
            seed: 7,
            spec,
            versions,
            rps_milli: 300_000,
            faults: Vec::new(),
            deeds,
            check_fails_ppm: 0,
            fresh: None,
            source: None,
        }
    }

    /// The one stream of the world.
    pub fn stream(&self) -> StreamId {
        StreamId { service: self.spec.name.clone(), environment: self.spec.environment.clone() }
    }

    /// Behaviours by version.
    pub fn behaviours(&self) -> BTreeMap<VersionName, Behaviour> {
        self.versions.iter().map(|(version, behaviour)| (version.name.clone(), *behaviour)).collect()
    }
}

/// Share of the worlds with a source of metrics, parts per million: they cost about twice as much.
const SOURCE_PPM: u64 = 250_000;

/// What is wanted of a source of metrics, and what becomes of a release without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Width of its buckets of time; zero: it has counters.
    pub bucket_ms: u64,
    /// Of its errors and its silence.
    pub on_error: Missing,
    /// Of its having nothing.
    pub on_no_data: Missing,
    /// The first step at which its metric counts.
    pub from_step: u16,
}

impl Wanted {
    /// Counters, and the release goes back without them.
    pub const COUNTERS: Self =
        Self { bucket_ms: 0, on_error: Missing::Rollback, on_no_data: Missing::Rollback, from_step: 0 };

    fn metric(self) -> MetricPolicy {
        MetricPolicy {
            tolerance_bp: 11_000,
            red_bp: 20_000,
            slack_ppm: 1_000,
            weight: 3,
            from_step: self.from_step,
            on_error: self.on_error,
            on_no_data: self.on_no_data,
            ..MetricPolicy::plain(name(MetricName::new(METRIC)), Measure::QueryCounts)
        }
    }

    fn source(self) -> Source {
        let shape = Shape::Counts { bad: "bad".to_owned(), total: "all".to_owned(), scale_micro: 1_000_000 };
        let query = Query { metric: name(MetricName::new(METRIC)), text: "bad / all".to_owned(), shape };
        let known_by = BTreeMap::from([("version".to_owned(), "{version}".to_owned())]);
        Source {
            name: "meter".to_owned(),
            api: Api::Prometheus { url: "http://127.0.0.1:9090".to_owned(), credentials: None },
            interval_ms: 5_000,
            timeout_ms: 3_000,
            bucket_ms: self.bucket_ms,
            delay_ms: 2 * self.bucket_ms,
            canary: known_by.clone(),
            baseline: known_by,
            queries: vec![query],
        }
    }
}

/// The metric that the source is asked for.
pub const METRIC: &str = "failed_orders";

/// Whether some step gives the canary a share beside a baseline.
fn splits(strategy: &Strategy) -> bool {
    let shared = |step: &Step| step.weight > WeightBp::ZERO && step.weight < WeightBp::ALL;
    strategy.kind == StrategyKind::Canary && strategy.steps.iter().any(shared)
}

fn fault(random: &mut Random) -> (u64, Fault, u64) {
    let at_ms = random.between(0, TROUBLED_MS);
    let mut fault = random.pick(FAULTS);
    if let Fault::Crash { after } = &mut fault {
        *after = random.below(12) as u32;
    }
    let lasts_ms = random.pick(&[300, 3_000, 15_000, 40_000, 90_000]);
    (at_ms, fault, lasts_ms)
}

fn deeds(random: &mut Random) -> Vec<(u64, Deed)> {
    let second_ms = random.between(15_000, 90_000);
    let mut deeds = vec![
        (0, Deed::Release(0)),
        (second_ms, Deed::Release(1)),
        (random.between(second_ms, TROUBLED_MS - 60_000), Deed::Release(2)),
    ];
    for _ in 0..random.below(4) {
        let deed = match random.below(10) {
            0 | 1 => Deed::Promote,
            2 => Deed::PromoteFull,
            3 => Deed::Pause,
            4 | 5 => Deed::Resume,
            6 => Deed::Abort,
            7 => Deed::Rollback,
            8 => Deed::Report(random.pick(&[Signal::DataIntegrity, Signal::Security])),
            _ => Deed::Retry(1 + random.below(2) as usize),
        };
        deeds.push((random.between(second_ms, TROUBLED_MS), deed));
    }
    deeds.sort_by_key(|(at_ms, _)| *at_ms);
    deeds
}

fn name<T>(made: Result<T, taxiway_model::ids::InvalidName>) -> T {
    made.expect("names of the fake world keep the rule")
}

fn share(bp: u16) -> WeightBp {
    WeightBp::new(bp).expect("shares of the fake world are at most everything")
}

fn version(called: &str, spec: &ServiceSpec) -> Version {
    let target = spec.target.clone();
    let digest = Digest::of(called.as_bytes());
    Version { name: name(VersionName::new(called)), digest, target, provenance: Provenance::default() }
}

fn spec(random: &mut Random) -> ServiceSpec {
    let kind = random.pick(&[
        StrategyKind::Canary,
        StrategyKind::Canary,
        StrategyKind::Canary,
        StrategyKind::Canary,
        StrategyKind::Canary,
        StrategyKind::BlueGreen,
        StrategyKind::Rolling,
        StrategyKind::Recreate,
    ]);
    let replicas = random.between(1, 4) as u32;
    let mut analysis =
        AnalysisPolicy::of(random.pick(&[Profile::Standard, Profile::Standard, Profile::Strict]));
    analysis.harm_budget_requests = random.pick(&[None, None, Some(200)]);
    analysis.warm_up_ms = random.pick(&[0, 0, 3_000]);
    let stage = if kind == StrategyKind::Recreate { Stage::Test } else { Stage::Production };
    ServiceSpec {
        name: name(ServiceName::new("shop")),
        owner: "the simulator".to_owned(),
        tier: RiskTier::Medium,
        environment: name(EnvironmentName::new("live")),
        stage,
        target: process(replicas),
        listen: listen(),
        internal_users: Some(team()),
        strategy: Strategy {
            kind,
            preset: "custom".to_owned(),
            steps: steps(kind, replicas, random),
            retire_after_ms: random.pick(&[0, 0, 60_000]),
        },
        analysis,
        checks: checks(random),
        deadlines: Deadlines {
            ready_ms: 60_000,
            routed_ms: 60_000,
            samples_ms: 60_000,
            source_ms: 60_000,
            drain_ms: 5_000,
            abort_window_ms: random.pick(&[0, 0, 20_000]),
            suppression_ms: 120_000,
        },
        concurrency: random.pick(&[Concurrency::Queue, Concurrency::Supersede, Concurrency::Refuse]),
        signals: taxiway_model::signals::SignalPolicy::default(),
    }
}

fn process(replicas: u32) -> ProcessTarget {
    let probe =
        Probe { ask: ProbeAsk::Tcp, interval_ms: 100, timeout_ms: 100, success_after: 1, failure_after: 3 };
    ProcessTarget {
        command: vec!["/bin/shop".to_owned()],
        directory: "/".to_owned(),
        artifact: None,
        port_from: 0,
        protocol: UpstreamProtocol::Http1,
        readiness: probe.clone(),
        health: probe,
        env: BTreeMap::new(),
        replicas,
        stop_grace_ms: 2_000,
        limits: ProcessLimits { memory_bytes: Some(MEMORY_LIMIT_BYTES), cpu_milli: None, open_files: None },
    }
}

fn listen() -> Listen {
    Listen {
        addresses: vec!["127.0.0.1:8080".to_owned()],
        tls: None,
        sticky: Sticky::None,
        trusted_proxies: Vec::new(),
        limits: Limits::default(),
        endpoint_classes: Vec::new(),
        health: None,
    }
}

fn team() -> HeaderRule {
    HeaderRule { from: HeaderSource::Header, name: "x-team".to_owned(), values: vec!["1".to_owned()] }
}

fn step(called: &str, weight_bp: u16, bake_ms: u64) -> Step {
    Step {
        name: name(StepName::new(called)),
        weight: share(weight_bp),
        instances: None,
        baseline_instances: None,
        header: None,
        mirror: WeightBp::ZERO,
        bake_ms,
        analysis: true,
        approval: false,
        before: Vec::new(),
        after: Vec::new(),
    }
}

/// Steps without anything special.
fn plain(kind: StrategyKind) -> Vec<Step> {
    match kind {
        StrategyKind::Canary => {
            vec![
                step("canary-10", 1_000, 15_000),
                step("canary-50", 5_000, 15_000),
                step("full", 10_000, 15_000),
            ]
        }
        other => steps(other, 2, &mut Random::new(7, 2)),
    }
}

fn steps(kind: StrategyKind, replicas: u32, random: &mut Random) -> Vec<Step> {
    let unjudged = |step: Step| Step { analysis: false, ..step };
    match kind {
        StrategyKind::Canary => canary(random),
        StrategyKind::BlueGreen => vec![
            unjudged(Step { instances: Some(replicas), ..step("green", 0, 0) }),
            Step { instances: Some(replicas), ..step("flip", 10_000, random.between(5, 30) * 1_000) },
        ],
        StrategyKind::Rolling => (1..=replicas)
            .map(|k| {
                let bp = (k * 10_000 / replicas) as u16;
                let one = step(&format!("instance-{k}"), bp, random.pick(&[0, 5_000]));
                unjudged(Step { instances: Some(k), baseline_instances: Some(replicas - k), ..one })
            })
            .collect(),
        StrategyKind::Recreate => {
            let none = |called: &str, bp, instances| Step {
                baseline_instances: Some(0),
                instances: Some(instances),
                ..step(called, bp, 0)
            };
            vec![unjudged(none("stop", 0, 0)), unjudged(none("start", 10_000, replicas))]
        }
    }
}

fn canary(random: &mut Random) -> Vec<Step> {
    let mut steps = Vec::new();
    match random.below(6) {
        0 => steps.push(Step { header: Some(team()), ..step("team", 0, 10_000) }),
        1 => steps.push(Step { mirror: share(2_000), ..step("mirror", 0, 10_000) }),
        _ => {}
    }
    for bp in [100, 1_000, 5_000] {
        if random.chance(600_000) {
            let bake_ms = random.between(5, 25) * 1_000;
            let approval = random.chance(60_000);
            steps.push(Step { approval, ..step(&format!("canary-{bp}"), bp, bake_ms) });
        }
    }
    let bake_ms = random.between(0, 20) * 1_000;
    steps.push(step("full", 10_000, bake_ms));
    steps
}

fn checks(random: &mut Random) -> Vec<Check> {
    let places = [CheckAt::Start, CheckAt::EachStep, CheckAt::End];
    let mut checks = Vec::new();
    for (number, at) in places.into_iter().enumerate() {
        if random.chance(200_000) {
            let command = vec!["smoke".to_owned(), "{canary}".to_owned()];
            checks.push(Check {
                name: format!("smoke-{number}"),
                at,
                run: CheckRun::Command { command, directory: "/".to_owned() },
                timeout_ms: 5_000,
                retries: random.below(3) as u32,
                on_failure: random.pick(&[OnFailure::Continue, OnFailure::Hold, OnFailure::Rollback]),
            });
        }
    }
    checks
}
