//! Metrics beside failures and latencies in a description: their bands, and what is said of mistakes.

use taxiway_model::document::{self, Problem};
use taxiway_model::policy::{
    AnalysisPolicy, Counter, Direction, Lasting, Measure, MetricPolicy, Missing, NOT_COMPARED_BP, Unit,
};

fn all() -> AnalysisPolicy {
    document::read(include_bytes!("measures.yaml"), "/srv").expect("this description is good").analysis
}

fn find<'p>(policy: &'p AnalysisPolicy, name: &str) -> &'p MetricPolicy {
    policy.metrics.iter().find(|metric| metric.name.as_str() == name).expect("the metric is there")
}

#[test]
fn instances_are_held_to_their_limits() {
    let policy = all();
    let memory = find(&policy, "memory");
    let limit = 512_u64 << 20;
    assert_eq!((memory.hold_above, memory.rollback_above), (Some(limit * 4 / 5), Some(limit * 9 / 10)));
    assert_eq!((memory.tolerance_bp, memory.red_bp), (12_500, 25_000));
    let cpu = find(&policy, "cpu");
    assert_eq!((cpu.measure, cpu.rollback_above, cpu.required), (Measure::Cpu, Some(1_900), false));
    let restarts = find(&policy, "restarts");
    assert_eq!((restarts.hold_above, restarts.rollback_above), (Some(10_000), Some(500_000)));
    let throughput = find(&policy, "throughput");
    assert_eq!((throughput.tolerance_bp, throughput.red_bp), (10_500, 15_000));
}

#[test]
fn objectives_become_budgets_and_begin_where_the_preset_says() {
    let policy = all();
    let week_ms = 7 * 86_400_000;
    let burn = find(&policy, "burn");
    assert_eq!(burn.measure, Measure::Burn { budget_ppm: 1_000, window_ms: week_ms, by: Counter::Router });
    assert_eq!((burn.rollback_above, burn.from_step, burn.slack_ppm), (Some(3_000), 1, 1_000));
    let checkout = find(&policy, "checkout_slo");
    let measure = Measure::Burn { budget_ppm: 5_000, window_ms: 30 * 86_400_000, by: Counter::Good };
    assert_eq!((checkout.measure, checkout.from_step), (measure, 3));
}

#[test]
fn shares_and_values_have_a_direction_and_kinds() {
    let policy = all();
    let orders = find(&policy, "orders");
    assert_eq!((orders.measure, orders.direction), (Measure::QueryCounts, Direction::LowerIsWorse));
    assert_eq!((orders.tolerance_bp, orders.red_bp, orders.from_step), (10_000, 9_500, 2));
    let logins = find(&policy, "logins");
    assert_eq!((logins.tolerance_bp, logins.red_bp), (9_800, 5_000));
    assert_eq!((logins.hold_below, logins.rollback_below), (Some(950_000), Some(900_000)));
    let errors = find(&policy, "new_errors");
    assert_eq!((errors.hold_above, errors.rollback_above), (Some(0), Some(1_000)));
    assert_eq!(errors.tolerance_bp, NOT_COMPARED_BP);
    let basket = find(&policy, "basket");
    assert_eq!((basket.direction, basket.hold_below), (Direction::LowerIsWorse, Some(3_500_000)));
    assert_eq!((basket.on_no_data, basket.on_error), (Missing::Ignore, Missing::Ignore));
    let lcp = find(&policy, "lcp");
    assert_eq!((lcp.unit, lcp.hold_above), (Unit::S, Some(2_500_000)));
    let body = find(&policy, "body");
    assert_eq!((body.unit, body.rollback_above), (Unit::Bytes, Some(1_048_576_000_000)));
    assert_eq!((body.direction, body.on_no_data), (Direction::Either, Missing::Hold));
    assert_eq!(find(&policy, "cache_hits").rollback_below, Some(80_000_000));
    assert_eq!(find(&policy, "frame").rollback_above, Some(16_000_000));
    let error_rate = find(&policy, "error_rate");
    let lasting = Lasting { failures: 1, bad_for_ms: 300_000, good_for_ms: 900_000 };
    assert_eq!((error_rate.critical, error_rate.lasting), (true, Some(lasting)));
}

#[test]
fn prices_are_integers_and_judge_cost_for_show() {
    let policy = all();
    let prices = policy.prices.clone().expect("they are declared");
    assert_eq!((prices.cpu_hour_micro, prices.memory_gib_hour_micro), (40_000, 5_000));
    assert_eq!(prices.currency, "USD");
    let cost = find(&policy, "cost");
    assert_eq!((cost.measure, cost.required, cost.tolerance_bp), (Measure::Cost, false, 12_000));
}

#[test]
fn each_mistake_says_what_to_do() {
    let service = "name: shop\nowner: me\ntarget: {command: ./run}\ntraffic: {listen: '127.0.0.1:8080'}\n";
    let source = "sources: {s: {json: {url: 'http://127.0.0.1:1/{version}'}}}";
    let said = |text: &str| -> String {
        let problems: Vec<Problem> = document::read(text.as_bytes(), "/srv").expect_err(text);
        let first = &problems[0];
        format!("{} {}: {} / {}", first.line, first.path, first.message, first.hint)
    };
    for (metric, says) in [
        ("memory: {}", "nothing is asked of `memory`"),
        ("memory: {hold_above: 80%}", "the target has no limit"),
        ("cpu: {}", "add `hold_above`"),
        ("error_rate: {direction: lower_is_worse}", "only counts and values of a source have one"),
        ("error_rate: {on_error: ignore}", "no data is not health"),
        ("error_rate: {hold_below: 1%}", "only counts and values of a source have it"),
        ("error_rate: {kind: business}", "only a metric by query has a kind"),
        ("memory: {hold_above: 1GiB, endpoint: other}", "only failures and latencies are told by endpoint"),
        ("burn: {}", "burn needs an objective"),
        ("a: {objective: 100%}", "leaves no budget"),
        ("cost: {}", "there are no prices"),
        ("throughput: {hold_above: 1%}", "throughput has no absolute bands"),
        ("memory: {hold_above: 1GiB, red: 2x}", "nothing is compared with the baseline"),
        ("a: {bad: $.b, good: $.g, total: $.t}", "of the bad or of the good ones"),
        ("a: {good: $.g}", "`total` is missing"),
        ("a: {good: $.g, total: $.t, red: 1.01x, tolerance: 5%}", "within the tolerance of 5%"),
        ("a: {good: $.g, total: $.t, hold_below: 80%, rollback_below: 90%}", "hold_below lies above"),
        ("a: {value: $.v, kind: client_errors}", "a share of sessions"),
        ("a: {value: $.v, unit: bytes, hold_above: 5%}", "is not a unit of size"),
        ("a: {value: $.v, objective: 99%}", "an objective is for a share of requests"),
    ] {
        let asks = metric.contains("$.");
        let sources = if asks { format!("{source}, ") } else { String::new() };
        let text = format!("{service}analysis: {{{sources}metrics: {{{metric}}}}}\n");
        let said = said(&text);
        assert!(said.starts_with('5') && said.contains(says), "{metric}: {said}");
    }
    let sticky = service.replace("8080'}", "8080', sticky: {by: cookie, name: a}}");
    let said_of = said(&format!("{sticky}analysis: {{metrics: {{throughput: {{}}}}}}\n"));
    assert!(said_of.contains("with sticky users"), "{said_of}");
}
