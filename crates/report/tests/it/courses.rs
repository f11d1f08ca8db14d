//! The courses of what is neither a rate, nor a latency, nor a query.

use crate::corpus::named;
use crate::well_formed;
use taxiway_model::event::Outcome;
use taxiway_model::evidence::{Gauge, Gauges};
use taxiway_model::ids::MetricName;
use taxiway_model::policy::{AnalysisPolicy, Counter, Direction, Measure, MetricPolicy, Prices, Profile};
use taxiway_model::verdict::FindingState;
use taxiway_report::recording::Ended;
use taxiway_report::report::{MetricReport, Unit};
use taxiway_report::{Recording, Report, course, html};

fn gauge(instance: u32, memory_bytes: u64, cpu_milli: u32, restarts: u32) -> Gauge {
    Gauge { instance, memory_bytes, cpu_milli, restarts }
}

/// A recording whose canary uses twice the memory and CPU, steadily; one of its instances is restarted halfway.
fn recording() -> Recording {
    let mut recording = named("healthy-100rps");
    let half = recording.windows.len() / 2;
    for (at, seen) in recording.windows.iter_mut().enumerate() {
        let restarts = u32::from(at >= half);
        seen.window.gauges = Gauges {
            canary: vec![gauge(0, 400 << 20, 200, restarts), gauge(1, 380 << 20, 180, 0)],
            baseline: vec![gauge(0, 200 << 20, 100, 3), gauge(1, 190 << 20, 90, 0)],
        };
    }
    recording
}

fn policy() -> AnalysisPolicy {
    let mut policy = AnalysisPolicy::of(Profile::Standard);
    let of = |name: &str, measure: Measure| MetricPolicy {
        tolerance_bp: 12_000,
        red_bp: 20_000,
        ..MetricPolicy::plain(MetricName::new(name).unwrap(), measure)
    };
    let burn = Measure::Burn { budget_ppm: 10_000, window_ms: 2_592_000_000, by: Counter::Router };
    policy.metrics = vec![
        of("burn", burn),
        of("throughput", Measure::Throughput),
        MetricPolicy { rollback_above: Some(450 << 20), ..of("memory", Measure::Memory) },
        of("cpu", Measure::Cpu),
        of("restarts", Measure::Restarts),
        of("cost", Measure::Cost),
    ];
    policy.prices =
        Some(Prices { cpu_hour_micro: 40_000, memory_gib_hour_micro: 5_000, currency: "EUR".to_owned() });
    policy
}

#[test]
fn every_measure_has_its_chart() {
    let recording = recording();
    let report = Report::of(&recording, &course::follow(&recording, &policy()));
    let metric = |name: &str| -> &MetricReport {
        report.metrics.iter().find(|metric| metric.finding.metric.as_str() == name).unwrap()
    };
    for name in ["burn", "throughput", "memory", "cpu", "restarts", "cost"] {
        let metric = metric(name);
        assert!(metric.points.len() > 3, "{name} has a course");
        assert!(
            metric.points.iter().all(|point| point.canary.is_some() && point.baseline.is_some()),
            "{name}"
        );
    }
    let values = |name: &str, side: usize| -> Vec<i64> {
        let value =
            |point: &taxiway_report::report::Point| [point.canary, point.baseline][side].unwrap().value;
        metric(name).points.iter().map(value).collect()
    };
    assert!(values("memory", 0).iter().all(|value| *value == 400 << 20), "the largest instance");
    assert!(values("cpu", 1).iter().all(|value| *value == 100));
    let restarts = values("restarts", 0);
    assert_eq!((restarts[0], restarts[restarts.len() - 1]), (0, 500_000), "one of two, from halfway on");
    assert!(
        values("restarts", 1).iter().all(|value| *value == 0),
        "what was before the release does not count"
    );
    // As much as was routed is 1,000,000; the recording is of a healthy split.
    assert!(values("throughput", 0).iter().all(|value| (900_000..1_100_000).contains(value)));
    // A healthy service that fails in 1 % burns a budget of 1 % evenly.
    let burn = values("burn", 1);
    let mean = burn.iter().sum::<i64>() / burn.len() as i64;
    assert!((800..1_200).contains(&mean), "{mean}");
    // Weighed by their requests, the points come to about what the judge says of the whole.
    let whole = metric("cost").finding.canary.value.unwrap() as i64;
    let points = metric("cost").points.iter().map(|point| point.canary.unwrap());
    let (sum, of) =
        points.fold((0, 0), |(sum, of), point| (sum + point.value * point.of as i64, of + point.of as i64));
    assert!((sum / of - whole).abs() * 10 < whole, "{} of {whole}", sum / of);

    let memory = metric("memory");
    assert_eq!((memory.unit, memory.instances), (Unit::Bytes, true));
    assert_eq!(memory.tolerated_at, Some(240 << 20), "1.2x of the baseline's largest");
    assert_eq!(metric("throughput").red_at, Some(500_000), "half of what was routed");
    assert!(metric("throughput").lower_is_worse && metric("cpu").tolerated_at.is_none());
    let page = html::report(&report);
    well_formed::check(&page);
    for words in [
        "the largest instance",
        "cores of the busiest",
        "a share of those routed there",
        "burn that the budget",
    ] {
        assert!(page.contains(words), "{words}");
    }
    assert!(page.contains("red: 2x") && page.contains("limit"));
}

/// A limit is something to be within, also where nothing is compared.
#[test]
fn a_chart_says_whether_a_limit_is_kept() {
    let recording = recording();
    let mut policy = policy();
    let memory = |limit: u64| MetricPolicy {
        rollback_above: Some(limit),
        ..MetricPolicy::plain(MetricName::new("memory").unwrap(), Measure::Memory)
    };
    for (limit, said) in [(450_u64 << 20, "Within its limit"), (300 << 20, "v2 is beyond a limit")] {
        policy.metrics = vec![memory(limit)];
        let page = html::report(&Report::of(&recording, &course::follow(&recording, &policy)));
        assert!(page.contains(said), "{said}: {page}");
        assert!(!page.contains("Nothing has to be excluded") && page.contains("(2 instances)"), "{page}");
    }
}

/// Nothing that only weighs the canary is said of an outage that both sides have.
#[test]
fn an_outage_of_both_is_told_as_one() {
    let whole = named("outage-of-both");
    let policy = AnalysisPolicy::of(Profile::Standard);
    // It is over at the end of the recording: what is looked at is its middle.
    let until = |windows: usize| {
        let mut recording = whole.clone();
        recording.windows.truncate(windows);
        Report::of(&recording, &course::follow(&recording, &policy))
    };
    let report = (1..=whole.windows.len()).step_by(10).map(until);
    let report = report
        .into_iter()
        .find(|report| report.metrics[0].finding.state == FindingState::BaselineFails)
        .expect("both fail for a while");
    let page = html::report(&report);
    assert!(report.headline.contains("fails too, so nothing can be said"), "{}", report.headline);
    assert!(page.contains("It weighs nothing while the baseline fails too"), "{page}");
}

/// Where less is worse, what is red lies below.
#[test]
fn less_can_be_worse() {
    let recording = named("errors-3x");
    let mut policy = AnalysisPolicy::of(Profile::Standard);
    policy.metrics.retain(|metric| metric.measure == Measure::ErrorRate);
    policy.metrics[0].direction = Direction::LowerIsWorse;
    policy.metrics[0].tolerance_bp = 9_000;
    policy.metrics[0].red_bp = 5_000;
    let report = Report::of(&recording, &course::follow(&recording, &policy));
    let metric = &report.metrics[0];
    assert!(metric.lower_is_worse && metric.red_at < metric.tolerated_at);
    well_formed::check(&html::report(&report));
}

/// A person or a signal may end a release that nothing was shown against: the page is not to read as if it went on.
#[test]
fn a_release_that_is_over_says_how() {
    let mut recording = named("healthy-100rps");
    recording.ended = Some((
        60_000,
        Ended {
            outcome: Outcome::RolledBack,
            cause: None,
            sentence: "a critical bug: wrong prices".to_owned(),
        },
    ));
    let report = Report::of(&recording, &course::follow(&recording, &AnalysisPolicy::of(Profile::Standard)));
    let page = html::report(&report);
    well_formed::check(&page);
    let head = &page[..page.find("</header>").expect("there is a head")];
    assert!(head.contains("The release is over</b>, rolled back: a critical bug: wrong prices"), "{head}");
    let text = taxiway_report::text::report(&report);
    assert!(text.contains("the release is over, rolled back: a critical bug"), "{text}");
}
