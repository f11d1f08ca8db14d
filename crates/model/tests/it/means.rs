//! Means and types of errors in a description: what they become, and what is said of mistakes.

use std::collections::BTreeSet;

use taxiway_model::document::{self, Problem};
use taxiway_model::ids::MetricName;
use taxiway_model::metrics::{Query, Shape, Side, Trouble};
use taxiway_model::policy::{Direction, Measure, MetricPolicy, Unit};
use taxiway_model::service::ServiceSpec;

const SERVICE: &str =
    "name: shop\nowner: me\ntarget: {command: ./run}\ntraffic: {listen: '127.0.0.1:8080'}\n";

/// Stands in for the parser of PromQL: everything is a selector.
#[expect(clippy::unnecessary_wraps, reason = "it has the parser's shape")]
fn promql(asked: &[(MetricName, String)], _: &BTreeSet<String>) -> Result<Vec<Query>, Vec<Trouble>> {
    let query = |(metric, text): &(MetricName, String)| {
        let shape = Shape::Scalar { expression: text.clone(), every_ms: 1, why: String::new() };
        Query { metric: metric.clone(), text: text.clone(), shape }
    };
    Ok(asked.iter().map(query).collect())
}

fn read(source: &str, metric: &str) -> Result<ServiceSpec, Vec<Problem>> {
    let text =
        format!("{SERVICE}analysis:\n  sources: {{it: {{{source}}}}}\n  metrics: {{m: {{{metric}}}}}\n");
    document::read_with(text.as_bytes(), "/srv", None, Some(&promql))
}

const JSON: &str = "json: {url: 'http://h/{version}'}";

fn judged(source: &str, metric: &str) -> (MetricPolicy, Vec<String>) {
    let service = read(source, metric).unwrap_or_else(|problems| panic!("{metric}: {problems:?}"));
    let name = MetricName::new("m").expect("a name");
    let policy =
        service.analysis.metrics.iter().find(|policy| policy.name == name).expect("it is there").clone();
    let source = &service.analysis.sources[0];
    let shape = service.analysis.shape_of(&name).expect("it has a shape");
    (policy, source.questions(shape, Side::Canary, "v2"))
}

#[test]
fn means_and_types_become_what_their_sources_are_asked() {
    let (revenue, asked) =
        judged(JSON, "kind: business, count: $.n, sum: $.s, sum_of_squares: $.q, exclude: 5%, slack: 0.25");
    assert_eq!(asked, ["$.n", "$.s", "$.q"]);
    assert_eq!((revenue.measure, revenue.direction), (Measure::QueryMoments, Direction::LowerIsWorse));
    assert_eq!((revenue.tolerance_bp, revenue.red_bp), (10_000, 9_500));
    assert_eq!((revenue.exclude_bp, revenue.slack_micro, revenue.slack_ppm), (Some(9_500), 250_000, 0));

    let lcp = r"values: 'lcp=(?<value>[0-9.]+)', unit: ms, slack: 50ms, rollback_above: 4000ms, exclude: 10%";
    let (lcp, _) = judged("logs: {}", lcp);
    assert_eq!((lcp.unit, lcp.tolerance_bp, lcp.red_bp), (Unit::Ms, 11_000, 15_000));
    assert_eq!((lcp.slack_micro, lcp.rollback_above), (50_000_000, Some(4_000_000_000)));
    assert_eq!(lcp.exclude_bp, Some(11_000));

    let prometheus = "prometheus: {url: 'http://h'}";
    let (_, asked) = judged(prometheus, "values: 'size_bytes{a=\"b\"}', unit: bytes");
    assert_eq!(asked, ["size_bytes_count{a=\"b\"}", "size_bytes_sum{a=\"b\"}"]);

    let (types, asked) = judged(prometheus, "kind: client_errors, bad: errors, total: sessions, by: type");
    assert_eq!(asked, ["errors", "sessions"]);
    assert_eq!((types.measure, types.is_compared()), (Measure::QueryTypes, false));
    assert_eq!((types.hold_above, types.rollback_above), (Some(0), Some(1_000)));
}

#[test]
fn each_mistake_about_a_mean_or_a_type_has_its_hint() {
    let csv = "csv: {path: '{side}.csv'}";
    for (source, metric, wanted) in [
        (JSON, "count: $.n", "`sum` is missing"),
        (JSON, "sum_of_squares: $.n", "`count` is missing"),
        (JSON, "count: $.n, sum: $.s, value: $.v", "a metric asks one thing"),
        (JSON, "values: $.v", "json gives no single values"),
        (JSON, "count: $.n, sum: 'no path'", "this is no path in JSON"),
        ("logs: {}", "count: a, sum: b", "lines are counted, and have no sums"),
        ("logs: {}", "values: 'took ([0-9]+)'", "no group `value`"),
        ("logs: {}", "bad: ERROR, total: ., by: kind", "no group `kind`"),
        (csv, "bad: a, total: b, by: kind", "csv gives no types"),
        (JSON, "good: $.a, total: $.b, by: kind", "errors have types"),
        (JSON, "bad: $.a, total: $.b, by: kind, tolerance: 5%", "no counterpart in the baseline"),
        (JSON, "bad: $.a, total: $.b, by: kind, kind: business", "not a business figure"),
        (JSON, "bad: $.a, total: $.b, exclude: 5%", "only of a mean"),
        (JSON, "kind: business, count: $.n, sum: $.s, exclude: 150%", "a drop less than all"),
    ] {
        let problems = read(source, metric).expect_err(metric);
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(said.iter().any(|text| text.contains(wanted)), "{metric}: {said:?}");
    }
}
