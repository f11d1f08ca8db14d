//! What queries are taken apart into, and what is said of those that cannot be.

use std::collections::BTreeSet;

use taxiway_adapters::metrics::promql::{Trouble, take_apart};
use taxiway_model::document::canary_config;
use taxiway_model::ids::MetricName;
use taxiway_model::metrics::Shape;

fn named(queries: &[(&str, &str)]) -> Vec<(MetricName, String)> {
    queries.iter().map(|(name, text)| (MetricName::new(*name).unwrap(), (*text).to_owned())).collect()
}

fn labels() -> BTreeSet<String> {
    BTreeSet::from(["version".to_owned()])
}

fn shape(query: &str) -> Shape {
    take_apart(&named(&[("m", query)]), &labels())
        .unwrap_or_else(|t| panic!("{query}: {t:?}"))
        .remove(0)
        .shape
}

fn trouble(queries: &[(&str, &str)]) -> Trouble {
    take_apart(&named(queries), &labels()).expect_err("this is not right").remove(0)
}

#[test]
fn the_given_document_is_taken_apart() {
    let text = include_bytes!("../../../../model/tests/it/canary-analysis.yaml");
    let config = canary_config::read(text).unwrap();
    let queries: Vec<_> = config.metrics.iter().map(|m| (m.name.clone(), m.query.clone())).collect();
    let apart = take_apart(&queries, &labels()).unwrap();
    let shapes: Vec<_> = apart.into_iter().map(|query| query.shape).collect();
    let counts = |scale_micro| Shape::Counts {
        bad: r#"http_requests_total{__side__="",status=~"5.."}"#.to_owned(),
        total: r#"http_requests_total{__side__=""}"#.to_owned(),
        scale_micro,
    };
    let latency = Shape::Buckets {
        buckets: r#"http_request_duration_seconds_bucket{__side__=""}"#.to_owned(),
        quantile_bp: 9_500,
        unit_us: 1_000_000,
        scale_micro: 1_000_000,
    };
    // 1 / (1 - 0.999) is a thousand: a burn of 3 is 0.3 % of requests.
    assert_eq!(shapes, [counts(1_000_000), latency, counts(1_000_000_000)]);
}

#[test]
fn labels_of_a_side_take_the_place_of_the_mark() {
    let shape = shape("sum(rate(errors_total{job=\"a\"}[1m])) / sum(rate(requests_total{job=\"a\"}[1m]))");
    assert_eq!(
        shape.selectors("version=\"v\\\"2\",zone=\"x\""),
        [
            r#"errors_total{version="v\"2",zone="x",job="a"}"#,
            r#"requests_total{version="v\"2",zone="x",job="a"}"#
        ]
    );
}

#[test]
fn the_same_ratio_in_other_words_is_the_same() {
    let plain = shape("sum(rate(a_total{code=\"500\"}[5m])) / sum(rate(a_total[5m]))");
    for other in [
        "(sum(increase(a_total{code=\"500\"}[5m]))) / (sum(increase(a_total[5m])))",
        "1 * (sum(rate(a_total{code=\"500\"}[5m])) / sum(rate(a_total[5m])))",
        "sum (rate(a_total{code=\"500\"}[300s])) / sum (rate(a_total[5m])) / 1",
    ] {
        assert_eq!(shape(other), plain, "{other}");
    }
    let Shape::Counts { scale_micro, .. } =
        shape("100 * sum(rate(a_total{code=\"500\"}[5m])) / sum(rate(a_total[5m]))")
    else {
        panic!("a percentage is a ratio too")
    };
    assert_eq!(scale_micro, 100_000_000);
}

#[test]
fn what_cannot_be_taken_apart_is_a_series_and_says_why() {
    for (query, why) in [
        ("sum(rate(x_seconds_sum[2m])) / sum(rate(x_seconds_count[2m]))", "not known to be a part"),
        ("sum(rate(a_total[1m])) / sum(rate(a_total[5m]))", "different spans"),
        ("sum by (pod) (rate(a_total{b=\"c\"}[1m])) / sum(rate(a_total[1m]))", "not the sum of one rate"),
        ("histogram_quantile(0.9, sum by (le, pod) (rate(a_bucket[1m])))", "by `le` alone"),
        ("1 - sum(rate(a_total{b=\"c\"}[1m])) / sum(rate(a_total[1m]))", "neither a ratio"),
        ("avg(go_goroutines)", "neither a ratio"),
    ] {
        let Shape::Scalar { why: said, expression, .. } = shape(query) else {
            panic!("{query} was taken apart")
        };
        assert!(said.contains(why), "{query}: {said}");
        assert!(expression.contains("__side__=\"\""), "{expression}");
        assert!(take_apart(&named(&[("m", &expression)]), &labels()).is_ok(), "{expression} is PromQL still");
    }
    let Shape::Scalar { every_ms, .. } = shape("max_over_time(rate(a_total[2m])[10m:1m])") else {
        panic!("a subquery")
    };
    assert_eq!(every_ms, 600_000);
}

#[test]
fn what_is_not_a_query_is_told() {
    assert!(trouble(&[("m", "sum(rate(a[2m])")]).message.contains("not PromQL"));
    let own = trouble(&[("m", "sum(rate(a{version=\"v1\"}[2m]))")]);
    assert!(own.message.contains("chooses `version` itself"), "{own:?}");
    let circle = trouble(&[("a", "b * 2"), ("b", "a / 2")]);
    assert!(circle.message.contains("a → b → a"), "{circle:?}");
    let narrowed = trouble(&[("a", "up"), ("b", "a{x=\"y\"}")]);
    assert_eq!(narrowed.metric.as_str(), "b");
    let range = trouble(&[("a", "up"), ("b", "rate(a[2m])")]);
    assert!(range.hint.contains("a[range:step]"), "{range:?}");
    for query in ["1 + 1", "scalar(up)", "up[5m]", "'text'"] {
        assert!(trouble(&[("m", query)]).message.contains("gives no series"), "{query}");
    }
    let deep = format!("{}up{}", "(".repeat(10_000), ")".repeat(10_000));
    assert!(trouble(&[("m", &deep)]).message.contains("nested"));
}

#[test]
fn a_metric_that_uses_its_own_name_means_the_series() {
    let Shape::Scalar { expression, .. } = shape("m / 2") else { panic!("a gauge") };
    assert_eq!(expression, "m{__side__=\"\"} / 2");
}
