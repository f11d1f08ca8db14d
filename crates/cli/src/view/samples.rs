//! Streams as tests see them.

use taxiway_api::*;
use taxiway_model::decision::WaitingOn;
use taxiway_model::event::{Hold, Outcome, ReturnCause};
use taxiway_model::feedback::Kind;
use taxiway_model::ids::{
    Digest, EnvironmentName, MetricName, ReleaseId, ServiceName, StepName, StreamId, VersionName,
};
use taxiway_model::plan::Purpose;
use taxiway_model::policy::Measure;
use taxiway_model::record::Actor;
use taxiway_model::service::StrategyKind;
use taxiway_model::time::Timestamp;
use taxiway_model::verdict::{FindingState, Judgement, MetricFinding, SideFinding, Verdict};
use taxiway_model::weight::WeightBp;

/// 2026-11-20 21:00:00 UTC.
pub(super) const NOW: Timestamp = Timestamp(1_795_208_400_000_000);

pub(super) fn version(name: &str) -> VersionName {
    VersionName::new(name).unwrap()
}

pub(super) fn at_rest(service: &str) -> Status {
    Status {
        service: ServiceName::new(service).unwrap(),
        environment: EnvironmentName::new("production").unwrap(),
        owner: "team-shop".into(),
        at: NOW,
        listen: vec!["127.0.0.1:8080".into()],
        stable: Some(version("v2")),
        stable_since: Some(Timestamp(NOW.0 - 3_900_000_000)),
        release: None,
        queued: vec![],
        held: None,
        quarantined: None,
        unreachable: vec![],
        instances: vec![],
        last: None,
    }
}

fn step(name: &str, percent: u16, bake_ms: u64, state: StepState) -> StepView {
    StepView {
        name: StepName::new(name).unwrap(),
        weight: WeightBp::percent(percent),
        state,
        header: false,
        mirror: WeightBp::ZERO,
        fresh: WeightBp::ZERO,
        approval: false,
        bake_ms,
        baked_ms: if state == StepState::Current { bake_ms * 2 / 5 } else { 0 },
        entered_at: None,
    }
}

pub(super) fn side(name: &str, requests: u64, errors: u64, p95_us: u64, ready: u32) -> Side {
    Side {
        version: version(name),
        requests,
        errors,
        error_ppm: Some(errors * 1_000_000 / requests),
        p50_us: Some(p95_us / 3),
        p95_us: Some(p95_us),
        p99_us: Some(p95_us * 2),
        ready,
        wanted: ready,
    }
}

fn finding(
    name: &str,
    verdict: Verdict,
    ratio: [u64; 3],
    against: i64,
    for_: i64,
    sentence: &str,
) -> MetricFinding {
    MetricFinding {
        metric: MetricName::new(name).unwrap(),
        verdict,
        sentence: sentence.into(),
        canary: SideFinding::default(),
        baseline: Some(SideFinding::default()),
        ratio_bp: Some(ratio[0]),
        ratio_from_bp: Some(ratio[1]),
        ratio_to_bp: Some(ratio[2]),
        against_milli: against,
        against_needed_milli: 4_605,
        for_milli: Some(for_),
        for_needed_milli: Some(2_996),
        shown: verdict == Verdict::Rollback,
        wait_ms: (verdict == Verdict::InsufficientData).then_some(70_000),
        state: FindingState::default(),
    }
}

pub(super) fn judgement(verdict: Verdict, sentence: &str, findings: Vec<MetricFinding>) -> Judgement {
    Judgement {
        judge: "taxiway-judge/1".into(),
        verdict,
        sentence: sentence.into(),
        windows: 12,
        evidence: Digest::of(b"evidence"),
        findings,
    }
}

fn flight(state: State) -> Flight {
    Flight {
        id: ReleaseId::new("shop-production-3").unwrap(),
        version: version("v3"),
        baseline: Some(version("v2")),
        purpose: Purpose::Forward,
        strategy: StrategyKind::Canary,
        preset: "canary".into(),
        plan_digest: Digest::of(b"plan"),
        state,
        step: 1,
        steps: vec![
            step("canary-1", 1, 300_000, StepState::Done),
            step("canary-5", 5, 300_000, StepState::Current),
            StepView { approval: true, ..step("canary-25", 25, 600_000, StepState::Ahead) },
            step("full", 100, 1_800_000, StepState::Ahead),
        ],
        weight: Some(WeightBp::percent(5)),
        weight_intended: WeightBp::percent(5),
        fresh: WeightBp::ZERO,
        lease_left_ms: 55_000,
        waiting: vec![],
        coming: vec![],
        holds: vec![],
        judgement: None,
        advisory: vec![],
        canary: None,
        side_baseline: None,
        compared: None,
        returning: None,
        feedback: FeedbackView::default(),
        timings: Timings {
            accepted_at: Timestamp(NOW.0 - 430_000_000),
            started_at: Some(Timestamp(NOW.0 - 425_400_000)),
            ..Timings::default()
        },
    }
}

/// On its second step, all well so far.
pub(super) fn watching() -> Status {
    let release = Flight {
        waiting: vec![
            WaitingOn::Bake { have_ms: 120_000, need_ms: 300_000 },
            WaitingOn::Evidence {
                sentence: "latency_p95 has not excluded 5x yet".into(),
                left_ms: Some(70_000),
            },
        ],
        judgement: Some(judgement(
            Verdict::InsufficientData,
            "no regression is shown; latency_p95 needs more requests before 5x is excluded",
            vec![
                finding("error_rate", Verdict::Proceed, [10_300, 4_100, 22_000], 150, 3_400, ""),
                finding(
                    "latency_p95",
                    Verdict::InsufficientData,
                    [10_200, 8_100, 14_000],
                    -800,
                    1_900,
                    "1,204 requests do not exclude 5x yet",
                ),
            ],
        )),
        canary: Some(side("v3", 1_204, 1, 38_100, 1)),
        side_baseline: Some(side("v2", 22_871, 18, 37_400, 2)),
        ..flight(State::Watching)
    };
    Status { release: Some(release), ..at_rest("shop") }
}

/// Caught and going back.
pub(super) fn returning() -> Status {
    let sentence = "error rate 4.98% against 0.08%: 62x the baseline, red is 2x";
    let release = Flight {
        returning: Some(Return {
            cause: ReturnCause::Verdict,
            sentence: sentence.into(),
            decided_at: NOW,
            verified: false,
        }),
        weight: Some(WeightBp::ZERO),
        weight_intended: WeightBp::ZERO,
        waiting: vec![WaitingOn::Return],
        judgement: Some(judgement(
            Verdict::Rollback,
            sentence,
            vec![
                finding(
                    "error_rate",
                    Verdict::Rollback,
                    [620_000, 210_000, 1_900_000],
                    12_100,
                    -900,
                    sentence,
                ),
                finding("latency_p95", Verdict::Proceed, [10_200, 8_100, 14_000], -800, 3_100, ""),
            ],
        )),
        canary: Some(side("v3", 241, 12, 38_100, 1)),
        side_baseline: Some(side("v2", 4_571, 4, 37_400, 2)),
        timings: Timings { detect_ms: Some(3_240), shift_ms: Some(4), ..flight(State::Returning).timings },
        ..flight(State::Returning)
    };
    Status { release: Some(release), ..at_rest("shop") }
}

/// Waits for a person; the router is silent, and a foreign text tries to steer the terminal.
pub(super) fn held() -> Status {
    let sentence = "step canary-5 asks for a person: `taxiway promote shop`\u{1b}[2J";
    let release = Flight {
        holds: vec![HoldView {
            why: Hold::Approval,
            sentence: sentence.into(),
            since: Timestamp(NOW.0 - 12_000_000),
        }],
        weight: None,
        ..flight(State::Held)
    };
    Status {
        release: Some(release),
        unreachable: vec!["proxy: connection refused for 12s".into()],
        queued: vec![Queued {
            id: ReleaseId::new("shop-production-4").unwrap(),
            version: version("v4"),
            accepted_at: NOW,
        }],
        ..at_rest("cart")
    }
}

/// More steps than fit.
pub(super) fn rolling() -> Status {
    let steps = (1..=60_u16).map(|k| {
        let state = match k.cmp(&31) {
            std::cmp::Ordering::Less => StepState::Done,
            std::cmp::Ordering::Equal => StepState::Current,
            std::cmp::Ordering::Greater => StepState::Ahead,
        };
        step(&format!("instance-{k}"), k * 100 / 60, 0, state)
    });
    let release = Flight {
        steps: steps.collect(),
        step: 30,
        weight: Some(WeightBp::percent(51)),
        weight_intended: WeightBp::percent(51),
        ..flight(State::Preparing)
    };
    Status { release: Some(release), ..at_rest("search") }
}

/// As [`watching`], with what happens by itself.
fn soon() -> Status {
    let status = watching();
    let release = status.release.map(|flight| Flight {
        coming: vec![
            Coming { what: Fate::GoesOn, unless: "if it stays well".into(), in_ms: Some(180_000) },
            Coming {
                what: Fate::AsksPerson,
                unless: "unless there is enough evidence before".into(),
                in_ms: Some(480_000),
            },
        ],
        ..flight
    });
    Status { release, ..status }
}

/// What users said.
pub(super) fn said() -> FeedbackView {
    FeedbackView {
        all: 4,
        problems: 3,
        praise: 1,
        rating_centi: Some(225),
        usual: Some("12 problems in 6d04h before this release".into()),
        latest: vec![
            piece(90, Kind::Praise, Some(5), "fast"),
            piece(40, Kind::Problem, Some(1), "checkout does not load\u{1b}[31m"),
            piece(20, Kind::Problem, None, "I was charged twice for one order, and nobody answers the phone"),
        ],
    }
}

fn piece(before_s: i64, kind: Kind, rating: Option<u8>, text: &str) -> Said {
    Said {
        at: Timestamp(NOW.0 - before_s * 1_000_000),
        release: Some(ReleaseId::new("shop-production-3").unwrap()),
        step: Some("canary-5".into()),
        kind,
        rating,
        text: text.into(),
    }
}

fn source(name: &str, state: SourceState, silent_ms: Option<u64>, why: &str) -> SourceView {
    SourceView {
        name: name.into(),
        state,
        silent_ms,
        next_ms: None,
        why: why.into(),
        policy: "holds while it is silent, goes back after 5m".into(),
    }
}

/// One that passes, one that needs more, one that is shown only, one without data, one to come.
fn metrics() -> Vec<MetricView> {
    let judged = watching().release.and_then(|flight| flight.judgement).unwrap().findings;
    let sides = |finding: &MetricFinding, canary: [u64; 2], baseline: [u64; 2]| MetricFinding {
        canary: SideFinding { requests: canary[0], bad: 0, value: Some(canary[1]) },
        baseline: Some(SideFinding { requests: baseline[0], bad: 0, value: Some(baseline[1]) }),
        ..finding.clone()
    };
    let view = |name: &str, measure, finding: Option<MetricFinding>| MetricView {
        name: MetricName::new(name).unwrap(),
        measure,
        required: true,
        begins: None,
        endpoint: None,
        bands: "tolerates 10% over the baseline, red beyond 2x, holds above 1%".into(),
        finding,
        against: "1 in 1 by chance if healthy; 1 in 200 shows that it is worse".into(),
        excluded: "5x the baseline is excluded (wrong 1 in 20 times at most)".into(),
        query: None,
    };
    let latency = Measure::Latency { quantile_bp: 9_500 };
    let memory = sides(&judged[0], [1, 300 << 20], [2, 280 << 20]);
    let burn = MetricFinding {
        state: FindingState::SourceError,
        verdict: Verdict::Hold,
        ratio_bp: None,
        sentence: "connection refused".into(),
        ..sides(&judged[0], [0, 0], [0, 0])
    };
    vec![
        view("error_rate", Measure::ErrorRate, Some(sides(&judged[0], [1_204, 830], [22_871, 790]))),
        MetricView {
            excluded: "5x the baseline is not excluded yet: 63% of the evidence needed, about 1m10s more at \
                       this traffic"
                .into(),
            ..view("latency_p95", latency, Some(sides(&judged[1], [1_204, 38_100], [22_871, 37_400])))
        },
        MetricView { required: false, ..view("memory", Measure::Memory, Some(memory)) },
        MetricView {
            query: Some(QueryView {
                source: "prom".into(),
                text: "sum(rate(bad[5m])) / sum(rate(all[5m]))".into(),
                canary: vec!["bad{version=\"v3\"}".into(), "all{version=\"v3\"}".into()],
                baseline: vec!["bad{version=\"v2\"}".into(), "all{version=\"v2\"}".into()],
                how: "judged by counts of bad and all".into(),
            }),
            ..view("burn", Measure::QueryCounts, Some(burn))
        },
        MetricView { begins: Some("canary-25".into()), ..view("orders", Measure::QueryCounts, None) },
    ]
}

pub(super) fn explained() -> Explained {
    let input = |name: &str, value: &str, needed: &str, met, source: &str| Input {
        name: name.into(),
        value: value.into(),
        needed: needed.into(),
        met,
        source: source.into(),
    };
    let event = |global: u64, before_s: i64, sentence: &str| LogEntry {
        global,
        stream: entry(1, None).stream,
        seq: global,
        at: Timestamp(NOW.0 - before_s * 1_000_000),
        actor: Actor::Engine,
        origin: "engine".into(),
        reason: String::new(),
        kind: "step_entered".into(),
        sentence: sentence.into(),
        event: serde_json::Value::Null,
        hash: Digest::of(b"record"),
    };
    Explained {
        status: soon(),
        sentence: "step canary-5 has 2m of its 5m with fresh evidence".into(),
        step: None,
        deadlines: None,
        judgement: watching().release.and_then(|flight| flight.judgement),
        metrics: metrics(),
        sources: vec![
            source("target", SourceState::Answering, None, ""),
            source("router", SourceState::Answering, None, ""),
            source("prom", SourceState::Silent, Some(12_400), "connection refused\u{1b}[2J"),
        ],
        harm: Some(Harm { requests: 3, budget: Some(100) }),
        normal: Some(NormalView {
            span_ms: 3_600_000,
            requests: 345_600,
            error_ppm: Some(790),
            p95_us: Some(37_400),
        }),
        warnings: vec!["step canary-1 is blind: not even total failure is sure to be found".into()],
        feedback: said(),
        unproven: vec![Unproven {
            at: NOW,
            origin: "alertmanager".into(),
            what: "DiskFull".into(),
            why: "no rule says what it means".into(),
        }],
        hooks: vec!["http://127.0.0.1:7780 takes webhooks, from this machine only".into()],
        inputs: vec![
            input("weight in force", "5%", "5%", Some(true), "proxy, 1s ago"),
            input("time with evidence", "2m", "5m", Some(false), "log 812"),
            input("canary requests", "1,204", "", None, "log 812"),
        ],
        trail: vec![
            event(790, 200, "step canary-1 passed"),
            event(791, 199, "entered step canary-5"),
            event(793, 198, "router confirmed 5%"),
        ],
        next: vec![
            NextStep { command: "taxiway promote shop".into(), effect: "goes to canary-25 now".into() },
            NextStep { command: "taxiway abort shop".into(), effect: "everything back to v2".into() },
        ],
    }
}

pub(super) fn entry(n: u32, outcome: Option<Outcome>) -> HistoryEntry {
    let rolled_back = outcome == Some(Outcome::RolledBack);
    HistoryEntry {
        stream: StreamId {
            service: ServiceName::new("shop").unwrap(),
            environment: EnvironmentName::new("production").unwrap(),
        },
        release: ReleaseId::new(format!("shop-production-{n}")).unwrap(),
        version: version(&format!("v{n}")),
        baseline: (n > 1).then(|| version(&format!("v{}", n - 1))),
        purpose: Purpose::Forward,
        outcome,
        sentence: if rolled_back {
            "error rate 4.98% against 0.08%: 62x the baseline".into()
        } else {
            String::new()
        },
        actor: Actor::Person("maria".into()),
        reason: if n == 2 { "new checkout".into() } else { String::new() },
        commit: (n == 2).then(|| "4f2a9c1e7b3d5a60".into()),
        accepted_at: Timestamp(NOW.0 + i64::from(n) * 60_000_000),
        started_at: Some(Timestamp(NOW.0 + i64::from(n) * 60_000_000)),
        ended_at: outcome.map(|_| Timestamp(NOW.0 + i64::from(n) * 60_000_000 + 32_000_000)),
        detect_ms: rolled_back.then_some(3_240),
        shift_ms: rolled_back.then_some(4),
        canary_requests: if rolled_back { 241 } else { 9_120 },
        canary_failed: if rolled_back { 12 } else { 0 },
        feedback: if rolled_back { said() } else { FeedbackView::default() },
    }
}
