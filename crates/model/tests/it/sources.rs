//! Sources of metrics in a description: what they become, and what is said of mistakes.

use std::collections::BTreeSet;

use taxiway_model::document::{self, Problem};
use taxiway_model::ids::MetricName;
use taxiway_model::metrics::{Api, Credentials, Query, Secret, Shape, Side, Trouble};
use taxiway_model::policy::Measure;
use taxiway_model::service::ServiceSpec;

const SERVICE: &str =
    "name: shop\nowner: me\ntarget: {command: ./run}\ntraffic: {listen: '127.0.0.1:8080'}\n";

/// Stands in for the parser of PromQL: a quantile is one, anything else a value.
fn promql(asked: &[(MetricName, String)], _: &BTreeSet<String>) -> Result<Vec<Query>, Vec<Trouble>> {
    let query = |(metric, text): &(MetricName, String)| {
        let shape = Shape::Scalar { expression: text.clone(), every_ms: 1, why: String::new() };
        Query { metric: metric.clone(), text: text.clone(), shape }
    };
    match asked.iter().find(|(_, text)| text.contains("nonsense")) {
        Some((metric, _)) => {
            let (message, hint) = ("this is not PromQL".to_owned(), String::new());
            Err(vec![Trouble { metric: metric.clone(), message, hint }])
        }
        None => Ok(asked.iter().map(query).collect()),
    }
}

fn read(analysis: &str) -> Result<ServiceSpec, Vec<Problem>> {
    let text = format!("{SERVICE}analysis:\n{analysis}");
    document::read_with(text.as_bytes(), "/srv", None, Some(&promql))
}

#[test]
fn metrics_find_their_sources() {
    let text = include_bytes!("sources.yaml");
    let service = document::read_with(text, "/srv", None, Some(&promql)).unwrap();
    let of = |name: &str| {
        let metric = MetricName::new(name).unwrap();
        let asks = |queries: &[Query]| queries.iter().any(|query| query.metric == metric);
        let source = service.analysis.sources.iter().find(|source| asks(&source.queries)).unwrap();
        let policy = service.analysis.metrics.iter().find(|policy| policy.name == metric).unwrap();
        (source, policy.measure, service.analysis.shape_of(&metric).unwrap())
    };
    let (stats, measure, shape) = of("checkout_errors");
    assert_eq!(measure, Measure::QueryCounts);
    assert_eq!(stats.questions(shape, Side::Canary, "v2"), ["$.errors", "$.requests"]);
    assert_eq!(
        stats.filled(&stats.api.place(), Side::Canary, "v2"),
        "http://127.0.0.1:9000/stats?version=v2"
    );
    let password = Secret::File("/srv/secrets/stats".to_owned());
    let Api::Json { credentials: Some(Credentials::Basic { password: kept, .. }), .. } = &stats.api else {
        panic!("{stats:?}")
    };
    assert_eq!(kept, &password);
    let (sheet, _, shape) = of("orders");
    assert_eq!(sheet.questions(shape, Side::Baseline, "v1"), ["baseline_failed", "baseline"]);
    assert!(matches!(of("queue_depth").1, Measure::QueryValues { .. }));
    let json = serde_json::to_string(&service).unwrap();
    assert_eq!(serde_json::from_str::<ServiceSpec>(&json).unwrap(), service);
}

#[test]
fn each_mistake_about_a_source_has_its_place_and_its_hint() {
    for (analysis, wanted) in [
        (
            "  sources: {a: {json: {url: 'http://h/{version}'}}}\n  metrics: {m: {source: b, value: $.x}}\n",
            "line 7, column 25: analysis.metrics.m.source: there is no source `b`",
        ),
        (
            "  sources: {a: {json: {url: 'http://h/'}}}\n  metrics: {m: {value: $.x}}\n",
            "line 7, column 24: analysis.metrics.m.value: both sides would be asked the same",
        ),
        (
            "  sources: {a: {json: {url: 'http://h/{version}'}}}\n  metrics: {m: {value: x}}\n",
            "line 7, column 24: analysis.metrics.m.value: this is no path in JSON",
        ),
        (
            "  sources: {a: {json: {url: 'http://h/{version}'}}}\n  metrics: {m: {bad: $.x}}\n",
            "line 7, column 22: analysis.metrics.m.bad: `total` is missing",
        ),
        (
            "  sources: {a: {json: {url: 'http://h/{version}'}}}\n",
            "line 6, column 16: analysis.sources.a: nothing is asked of this source",
        ),
        (
            "  sources: {a: {json: {url: 'http://h/{version}'}}}\n  metrics: {m: {query: up}}\n",
            "line 7, column 24: analysis.metrics.m.query: json understands no PromQL",
        ),
        (
            "  sources: {a: {prometheus: {url: 'http://h'}}}\n  metrics: {m: {query: nonsense}}\n",
            "line 7, column 24: analysis.metrics.m.query: this is not PromQL",
        ),
        (
            "  sources: {a: {prometheus: {url: 'http://h'}}}\n  metrics: {m: {query: up, value: up}}\n",
            "line 7, column 35: analysis.metrics.m.value: a metric asks one thing",
        ),
        ("  metrics: {m: {value: up}}\n", "line 6, column 16: analysis.metrics.m: which source is asked"),
        (
            "  sources: {a: {json: {url: 'ftp://h'}}}\n  metrics: {m: {value: $.x}}\n",
            "line 6, column 29: analysis.sources.a.json.url: `ftp://h` is not an http(s) URL",
        ),
        (
            "  sources: {a: {graphite: {url: 'http://h', bucket: 1500ms}}}\n  metrics: {m: {value: 'a.{version}'}}\n",
            "line 6, column 53: analysis.sources.a.graphite.bucket: a bucket is whole seconds wide",
        ),
        (
            "  sources: {a: {influxdb: {url: 'http://h', org: o}}}\n  metrics: {m: {value: 'from(bucket: \"{version}\")'}}\n",
            "line 7, column 24: analysis.metrics.m.value: `{from}` is missing",
        ),
        (
            "  sources: {a: {newrelic: {account: 1, api_key: {env: K}}}}\n  metrics: {m: {value: \"SELECT 1 FROM A WHERE v='{version}' since 1\"}}\n",
            "line 7, column 24: analysis.metrics.m.value: `SINCE` is added by us",
        ),
        (
            "  sources: {a: {logs: {}}}\n  metrics: {m: {value: ERROR}}\n",
            "line 7, column 24: analysis.metrics.m.value: lines are counted, and give no value",
        ),
        (
            "  sources: {a: {otlp: {}}}\n  metrics: {m: {query: 'rate(x)'}}\n",
            "line 7, column 24: analysis.metrics.m.query: of OTLP a quantile of a histogram can be asked",
        ),
        (
            "  sources: {a: {json: {url: 'http://h/{version}', timeout: 1h}}}\n  metrics: {m: {value: $.x}}\n",
            "line 6, column 60: analysis.sources.a.json.timeout: it lies between 100ms and 5m",
        ),
    ] {
        let problems = read(analysis).expect_err(analysis);
        assert!(format!("{}", problems[0]).starts_with(wanted), "{analysis}: {problems:#?}");
    }
}

#[test]
fn a_secret_in_the_file_is_refused_and_never_repeated() {
    for written in [
        "credentials: {bearer: hunter2-hunter2}",
        "credentials: {basic: {user: a, password: hunter2-hunter2}}",
        "credentials: {header: {name: X-Key, value: hunter2-hunter2}}",
        "credentials: {bearer: {env: 'hunter2-hunter2'}}",
    ] {
        let source =
            format!("  sources: {{a: {{json: {{url: 'http://h/{{version}}', {written}}}}}, wrong: 1}}\n");
        let problems = read(&format!("{source}  metrics: {{m: {{source: a, value: $.x}}}}\n")).unwrap_err();
        let told: Vec<String> = problems.iter().map(|problem| format!("{problem}")).collect();
        assert!(told.iter().any(|told| told.contains("{env: NAME} or {file: path}")), "{told:?}");
        assert!(told.iter().all(|told| !told.contains("hunter2")), "{told:?}");
    }
    for url in ["http://me:hunter2@h/{version}", "http://h/{version}?api_key=hunter2"] {
        let source = format!("  sources: {{a: {{json: {{url: '{url}'}}}}}}\n");
        let problems = read(&format!("{source}  metrics: {{m: {{value: $.x}}}}\n")).unwrap_err();
        assert!(problems[0].message.contains("a secret must not stand"), "{problems:?}");
        assert!(problems.iter().all(|problem| !format!("{problem}").contains("hunter2")), "{problems:?}");
    }
}

#[test]
fn a_source_beside_a_fresh_baseline_counts_its_instances_apart() {
    let ask = |labels: &str| {
        read(&format!(
            "  baseline: fresh\n  sources: {{a: {{prometheus: {{url: 'http://h'}}{labels}}}}}\n  metrics: {{m: {{query: up}}}}\n"
        ))
    };
    let problems = ask("").expect_err("every instance of the version has the same label");
    let told = format!("{}", problems[0]);
    assert!(told.starts_with("line 6, column 13: analysis.baseline: source `a` cannot tell"), "{told}");
    assert!(told.contains("TAXIWAY_GROUP"), "{told}");

    let both = "{version: '{version}', group: '{group}'}";
    let service = ask(&format!(", canary: {both}, baseline: {both}")).unwrap();
    let source = &service.analysis.sources[0];
    let known = |side, name: &str| {
        let by = source.known_by(side, name);
        (by["version"].clone(), by["group"].clone())
    };
    let pair = |version: &str, group: &str| (version.to_owned(), group.to_owned());
    assert_eq!(known(Side::Canary, "v2"), pair("v2", "main"));
    assert_eq!(known(Side::Baseline, "v1+fresh"), pair("v1", "fresh"));
    assert_eq!(source.filled("{version}/{group}/{side}", Side::Baseline, "v1+fresh"), "v1/fresh/baseline");

    let text = "  baseline: fresh\n  sources: {a: {json: {url: 'http://h/{version}/{group}'}}}\n  metrics: {m: {value: $.x}}\n";
    assert!(read(text).is_ok());
    let text = "  baseline: fresh\n  sources: {a: {json: {url: 'http://h/{version}'}}}\n  metrics: {m: {value: $.x}}\n";
    assert!(read(text).is_err());
}
