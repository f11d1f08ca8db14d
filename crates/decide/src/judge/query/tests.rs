use super::*;
use taxiway_model::ids::MetricName;
use taxiway_model::policy::{NOT_COMPARED_BP, Profile};

fn metric(measure: Measure, rollback_above: Option<u64>) -> MetricPolicy {
    let base = AnalysisPolicy::of(Profile::Standard).metrics.remove(0);
    let name = MetricName::new("m").expect("a name");
    MetricPolicy { name, measure, rollback_above, hold_above: None, ..base }
}

fn absolute(measure: Measure, rollback_above: u64) -> MetricPolicy {
    MetricPolicy {
        tolerance_bp: NOT_COMPARED_BP,
        red_bp: NOT_COMPARED_BP,
        ..metric(measure, Some(rollback_above))
    }
}

fn judged(metric: &MetricPolicy, samples: impl IntoIterator<Item = Sample>) -> MetricFinding {
    let policy = AnalysisPolicy { metrics: vec![metric.clone()], ..AnalysisPolicy::of(Profile::Standard) };
    let mut evidence = Evidence::new(&policy, metric, 3_600.0);
    for sample in samples {
        evidence.fold(metric, &sample, 15_000);
    }
    evidence.finding(&policy, metric, Question { step: 0, exclude_bp: Some(50_000) })
}

fn counts(canary: (u64, u64), baseline: (u64, u64)) -> Sample {
    let tally = |(total, bad)| Tally { total, bad };
    Sample::Counts { canary: tally(canary), baseline: tally(baseline) }
}

#[test]
fn counts_are_judged_like_error_rates() {
    let metric = metric(Measure::QueryCounts, None);
    let bad = judged(&metric, vec![counts((200, 20), (4_000, 20)); 10]);
    assert_eq!(bad.verdict, Verdict::Rollback, "{}", bad.sentence);
    assert_eq!((bad.canary.requests, bad.canary.bad), (2_000, 200));
    let good = judged(&metric, vec![counts((200, 1), (4_000, 20)); 20]);
    assert_eq!(good.verdict, Verdict::Proceed, "{}", good.sentence);
    let none = judged(&metric, vec![counts((0, 0), (4_000, 20)); 20]);
    assert_eq!(none.verdict, Verdict::InsufficientData, "{}", none.sentence);
}

#[test]
fn a_burn_above_its_limit_is_shown_and_not_guessed() {
    // A burn of 3 under 99.9 % is 0.3 % of requests.
    let burn = absolute(Measure::QueryCounts, 3_000);
    let above = judged(&burn, vec![counts((500, 5), (500, 5)); 20]);
    assert_eq!(above.verdict, Verdict::Rollback, "{}", above.sentence);
    assert!(above.sentence.contains("above the limit, 0.30%"), "{}", above.sentence);
    let one = judged(&burn, [counts((100, 1), (100, 0))]);
    assert_eq!(one.verdict, Verdict::InsufficientData, "one of a hundred is chance: {}", one.sentence);
    let below = judged(&burn, vec![counts((500, 0), (500, 5)); 20]);
    assert_eq!(below.verdict, Verdict::Proceed, "{}", below.sentence);
}

/// At exactly the excluded multiple of the limit, looked at behind every window: an interval for one look was wrong far more
/// often than the 5 % that an exclusion may be.
#[test]
fn an_exclusion_at_many_looks_is_wrong_as_seldom_as_it_says() {
    const RUNS: u64 = 1_000;
    let metric = absolute(Measure::QueryCounts, 3_000);
    let mut wrong = 0;
    for run in 1..=RUNS {
        let mut limit = Limit::of(&metric).expect("it has one");
        let mut seed = run;
        let excluded = (0..400).any(|_| {
            // Two times 0.3 % of 50 requests: about Binomial(50, 0.6 %).
            let bad = (0..50).filter(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (seed >> 33) as f64 / (1_u64 << 31) as f64 <= 0.006
            });
            limit.fold(Arm { total: 50, bad: bad.count() as u64 });
            limit.excludes(20_000, 20_f64.ln())
        });
        wrong += u64::from(excluded);
    }
    assert!(wrong * 20 <= RUNS, "{wrong} of {RUNS}");
}

fn buckets(counts: [u64; 4]) -> Vec<(u64, u64)> {
    [100_000, 250_000, 500_000, u64::MAX].into_iter().zip(counts).collect()
}

#[test]
fn a_quantile_above_its_limit_is_shown_from_buckets() {
    let p95 = absolute(Measure::QueryBuckets { quantile_bp: 9_500 }, 500_000);
    let usual = buckets([80, 15, 4, 1]);
    let slow = judged(
        &p95,
        vec![Sample::Buckets { canary: buckets([40, 30, 10, 20]), baseline: usual.clone() }; 10],
    );
    assert_eq!(slow.verdict, Verdict::Rollback, "{}", slow.sentence);
    assert!(slow.sentence.contains("5% may be slower than 500 ms"), "{}", slow.sentence);
    let fast = judged(&p95, vec![Sample::Buckets { canary: usual.clone(), baseline: usual.clone() }; 10]);
    assert_eq!(fast.verdict, Verdict::Proceed, "{}", fast.sentence);
    let few = judged(&p95, [Sample::Buckets { canary: buckets([3, 1, 0, 1]), baseline: usual }]);
    assert_eq!(few.verdict, Verdict::InsufficientData, "one slow one of five: {}", few.sentence);
}

#[test]
fn buckets_against_the_baseline_go_through_the_test_of_latencies() {
    let p95 = metric(Measure::QueryBuckets { quantile_bp: 9_500 }, None);
    let sample =
        Sample::Buckets { canary: buckets([100, 400, 300, 100]), baseline: buckets([700, 150, 40, 10]) };
    let slow = judged(&p95, vec![sample; 10]);
    assert_eq!(slow.verdict, Verdict::Rollback, "{}", slow.sentence);
    let even = Sample::Buckets { canary: buckets([700, 150, 40, 10]), baseline: buckets([700, 150, 40, 10]) };
    let same = judged(&p95, vec![even; 10]);
    assert_eq!(same.verdict, Verdict::Proceed, "{}", same.sentence);
}

#[test]
fn spreading_loses_nothing_and_the_share_above_an_edge_is_exact() {
    let spread = spread(&buckets([7, 0, 1_000, 3]));
    let counts = &spread[""];
    assert_eq!((counts.requests, counts.latency.total()), (1_010, 1_010));
    assert_eq!(above(&buckets([7, 5, 1_000, 3]), 250_000), Tally { total: 1_015, bad: 1_003 });
    assert_eq!(above(&buckets([7, 5, 1_000, 3]), 375_000), Tally { total: 1_015, bad: 503 });
}

#[test]
fn values_need_many_pairs_and_say_that_they_are_values() {
    let gauge = metric(Measure::QueryValues { every_ms: 15_000 }, None);
    let value = |canary| Sample::Scalar { canary: Some(canary), baseline: Some(1_000_000) };
    let few = judged(&gauge, vec![value(2_000_000); 5]);
    assert_eq!(few.verdict, Verdict::Proceed, "five pairs show nothing: {}", few.sentence);
    assert!(few.sentence.contains("the weaker test"), "{}", few.sentence);
    let many = judged(&gauge, vec![value(2_000_000); 14]);
    assert_eq!(many.verdict, Verdict::Rollback, "{}", many.sentence);
    let within = judged(&gauge, vec![value(1_050_000); 14]);
    assert_eq!(within.verdict, Verdict::Proceed, "{}", within.sentence);
    let limited = absolute(Measure::QueryValues { every_ms: 15_000 }, 1_500_000);
    assert_eq!(judged(&limited, [value(1_000_000), value(2_000_000)]).verdict, Verdict::Hold);
    assert_eq!(judged(&limited, vec![value(2_000_000); 2]).verdict, Verdict::Rollback);
}
