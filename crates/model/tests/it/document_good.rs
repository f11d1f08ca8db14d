//! What a description means.

use taxiway_model::document::read;
use taxiway_model::plan::{CheckAt, CheckRun, OnFailure};
use taxiway_model::policy::{Measure, Profile};
use taxiway_model::route::{HeaderSource, Limits, Sticky};
use taxiway_model::service::{Concurrency, Deadlines, ProbeAsk, RiskTier, ServiceSpec, Stage, StrategyKind};
use taxiway_model::weight::WeightBp;

fn good(text: &str) -> ServiceSpec {
    match read(text.as_bytes(), "/srv/shop") {
        Ok(spec) => spec,
        Err(problems) => {
            panic!("{}", problems.iter().map(|p| p.render("taxiway.yaml")).collect::<String>())
        }
    }
}

const SMALLEST: &str = "\
name: shop
owner: team-shop
target:
  command: ./bin/shop-{version} --port {port}
  readiness: /healthz
traffic:
  listen: 127.0.0.1:8080
";

#[test]
fn seven_lines_are_enough_and_everything_else_has_a_value() {
    let spec = good(SMALLEST);
    assert_eq!(spec.target.command, ["/srv/shop/bin/shop-{version}", "--port", "{port}"]);
    assert_eq!(spec.target.directory, "/srv/shop");
    assert_eq!(spec.target.readiness.ask, ProbeAsk::Http { path: "/healthz".into() });
    assert_eq!(spec.target.health.ask, spec.target.readiness.ask);
    assert_eq!((spec.target.readiness.interval_ms, spec.target.health.interval_ms), (1_000, 5_000));
    assert_eq!((spec.target.replicas, spec.target.stop_grace_ms), (1, 10_000));
    assert_eq!((spec.tier, spec.stage), (RiskTier::Medium, Stage::Production));
    assert_eq!(spec.environment.as_str(), "production");
    assert_eq!(spec.listen.addresses, ["127.0.0.1:8080"]);
    assert_eq!(spec.listen.limits, Limits::default(), "the table's defaults are the model's");
    assert_eq!(spec.deadlines, Deadlines::default(), "the table's defaults are the model's");
    assert_eq!(spec.strategy.preset, "canary");
    assert_eq!(spec.analysis.profile, Profile::Standard);
    assert_eq!(spec.concurrency, Concurrency::Queue);
    assert!(spec.checks.is_empty() && spec.internal_users.is_none());
}

/// Every key of the table stands here: a unit test of the reader holds that.
const LARGEST: &str = include_str!("largest.yaml");

#[test]
fn every_key_reaches_the_description() {
    let spec = good(LARGEST);
    assert_eq!(
        (spec.tier, spec.stage, spec.concurrency),
        (RiskTier::Critical, Stage::Staging, Concurrency::Supersede)
    );
    let target = &spec.target;
    assert_eq!(target.command[0], "/srv/shop/bin/checkout");
    assert_eq!(target.artifact.as_ref().unwrap().from, "/srv/shop/dist/{version}.tar");
    assert_eq!(target.readiness.success_after, 2);
    assert_eq!(
        target.health.ask,
        ProbeAsk::Command { command: vec!["/srv/shop/probe.sh".into(), "{port}".into()] }
    );
    assert_eq!((target.env["EMPTY"].as_str(), target.env["COUNT"].as_str()), ("", "3"));
    assert_eq!((target.limits.memory_bytes, target.limits.cpu_milli), (Some(512 << 20), Some(500)));
    let listen = &spec.listen;
    assert_eq!(listen.tls.as_ref().unwrap().certificate, "/srv/shop/tls/cert.pem");
    assert_eq!(listen.sticky, Sticky::Cookie { name: "side".into() });
    assert_eq!(listen.trusted_proxies, ["10.0.0.0/8", "::1/128"]);
    assert_eq!(listen.endpoint_classes[0].name, "pay", "the longest prefix is asked first");
    assert_eq!((listen.limits.body_bytes_max, listen.limits.h2_streams_max), (10 << 20, 9));
    assert_eq!(listen.health.as_ref().unwrap().healthy_after, 3);
    assert_eq!(spec.internal_users.as_ref().unwrap().values, ["yes", "1"]);

    let steps = &spec.strategy.steps;
    let names: Vec<_> = steps.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["internal", "mirror", "small", "canary-25", "full"]);
    assert_eq!(steps[0].header, spec.internal_users);
    assert_eq!((steps[1].mirror.bp(), steps[1].instances, steps[1].analysis), (1_000, Some(2), true));
    assert_eq!(steps[2].header.as_ref().unwrap().from, HeaderSource::Cookie);
    assert_eq!((steps[2].weight.bp(), steps[2].bake_ms, steps[2].analysis), (50, 90_000, false));
    assert_eq!((steps[3].approval, steps[3].baseline_instances), (true, Some(3)));
    assert_eq!((steps[3].before[0].at, steps[3].before[0].on_failure), (CheckAt::Step, OnFailure::Continue));
    assert!(
        matches!(&steps[3].after[0].run, CheckRun::Http { method, expect_status, .. } if method == "POST" && expect_status == &[200, 201])
    );
    assert_eq!((spec.strategy.kind, spec.strategy.retire_after_ms), (StrategyKind::Canary, 3_600_000));
    assert_eq!(spec.checks[1].at, CheckAt::End);

    let analysis = &spec.analysis;
    assert_eq!(
        (analysis.false_alarm_ppm, analysis.false_pass_ppm, analysis.warm_up_ms),
        (5_000, 20_000, 15_000)
    );
    assert_eq!(analysis.exclusion_at(WeightBp::percent(50)), Some(15_000));
    assert_eq!(analysis.preflight, taxiway_model::policy::Preflight::Refuse);
    let metric = |name: &str| analysis.metrics.iter().find(|m| m.name.as_str() == name).unwrap();
    let errors = metric("error_rate");
    assert_eq!((errors.tolerance_bp, errors.red_bp, errors.slack_ppm), (10_500, 30_000, 500));
    assert_eq!((errors.hold_above, errors.rollback_above), (None, Some(20_000)));
    let p99 = metric("latency_p99");
    assert_eq!((p99.required, p99.hold_above, p99.from_step), (false, Some(500_000), 2));
    assert_eq!(p99.measure, Measure::Latency { quantile_bp: 9_900 });
    assert_eq!(metric("pay_errors").endpoint.as_deref(), Some("pay"));
    assert_eq!(spec.deadlines.suppression_ms, 420_000);
}

#[test]
fn the_same_value_can_be_written_once_with_an_alias() {
    let text = SMALLEST.replace(
        "  readiness: /healthz\n",
        "  readiness: &probe {http: /up, interval: 2s}\n  health: *probe\n",
    );
    let spec = good(&text);
    assert_eq!(spec.target.health, spec.target.readiness);
}

#[test]
fn presets_are_taken_by_name_and_changed_in_place() {
    let with = |strategy: &str| good(&format!("{SMALLEST}strategy: {strategy}\n")).strategy;
    assert_eq!(with("blue-green").kind, StrategyKind::BlueGreen);
    let quick = with("{preset: canary, bake: 10s, approval: [canary-25]}");
    assert!(quick.steps.iter().all(|step| step.bake_ms == 10_000));
    assert_eq!(quick.steps.iter().filter(|step| step.approval).count(), 1);
    let each = with("{bake: [1s, 2s, 3s, 4s], retire_after: 5m}");
    assert_eq!(each.steps.iter().map(|step| step.bake_ms).collect::<Vec<_>>(), [1_000, 2_000, 3_000, 4_000]);
    assert_eq!(each.retire_after_ms, 300_000);
    let held_back = with("{preset: canary, holdback: 1%}");
    let last = held_back.steps.last().unwrap();
    assert_eq!((last.weight.bp(), last.analysis), (9_900, true));
    let flip = with("{preset: blue-green, bake: 5s}");
    assert_eq!(flip.steps.iter().map(|step| step.bake_ms).collect::<Vec<_>>(), [0, 5_000]);
    let judged = with("{preset: rolling, analysis: true, bake: 5s}");
    assert!(judged.steps.iter().all(|step| step.analysis));
}

#[test]
fn rolling_takes_its_steps_from_the_replicas() {
    let text = SMALLEST.replace("  readiness", "  replicas: 3\n  readiness") + "strategy: rolling\n";
    let steps = good(&text).strategy.steps;
    let shape: Vec<_> = steps.iter().map(|s| (s.weight.bp(), s.instances, s.baseline_instances)).collect();
    assert_eq!(shape, [(3_333, Some(1), Some(2)), (6_666, Some(2), Some(1)), (10_000, Some(3), Some(0))]);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_no_problem() {
    let text = format!("\u{feff}{}", SMALLEST.replace('\n', "\r\n"));
    assert_eq!(good(&text), good(SMALLEST));
}
