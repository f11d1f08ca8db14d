//! OpenSLO documents: what is read of them, what becomes of it, and what is refused where.

use std::collections::BTreeSet;

use taxiway_model::document::openslo::{self, Indicator, Objectives};
use taxiway_model::document::{self, Problem};
use taxiway_model::ids::MetricName;
use taxiway_model::metrics::{Api, Query, Shape, Trouble};
use taxiway_model::policy::{Counter, Measure};
use taxiway_model::service::ServiceSpec;

const GIVEN: &str = include_str!("openslo.yaml");

const SERVICE: &str =
    "name: shop\nowner: me\ntarget: {command: ./run}\ntraffic: {listen: '127.0.0.1:8080'}\n";

const DAY_MS: u64 = 86_400_000;

fn read(text: &str) -> Result<Objectives, Vec<Problem>> {
    openslo::read(&[("slo/all.yaml", text.as_bytes())]).map_err(|(_, problems)| problems)
}

#[test]
fn objectives_are_read_with_what_they_refer_to() {
    let found = read(GIVEN).expect("these documents are good");
    assert_eq!(found.prometheus["metrics"], "http://127.0.0.1:9090");
    let [availability, bearable, speed] = found.slos.as_slice() else { panic!("{found:?}") };
    assert_eq!(availability.name.as_str(), "availability");
    assert_eq!((availability.budget_ppm, availability.window_ms), (1_000, 28 * DAY_MS));
    assert_eq!(availability.source.as_deref(), Some("metrics"));
    assert_eq!(availability.place, "slo/all.yaml:48");
    let Indicator::Ratio { good: true, part, total } = &availability.indicator else { panic!() };
    assert_eq!(part, "sum(http_requests_total{code!~\"5..\"})");
    assert_eq!(total, "sum(http_requests_total)");
    assert_eq!((bearable.name.as_str(), bearable.budget_ppm), ("availability-2", 10_000));
    let Indicator::Threshold { threshold_micro, bad_above, .. } = &speed.indicator else { panic!() };
    assert_eq!((*threshold_micro, *bad_above, speed.budget_ppm), (500_000, true, 50_000));
}

/// Stands in for the parser of PromQL: a ratio of rates is counts, anything else a value.
#[allow(clippy::unnecessary_wraps, reason = "it has the parser's shape")]
fn promql(asked: &[(MetricName, String)], _: &BTreeSet<String>) -> Result<Vec<Query>, Vec<Trouble>> {
    let query = |(metric, text): &(MetricName, String)| {
        let shape = match text.split_once(" / ") {
            Some((bad, total)) if bad.contains("rate(") => {
                Shape::Counts { bad: bad.into(), total: total.into(), scale_micro: 1_000_000 }
            }
            _ => Shape::Scalar { expression: text.clone(), every_ms: 1, why: "it is odd".into() },
        };
        Query { metric: metric.clone(), text: text.clone(), shape }
    };
    Ok(asked.iter().map(query).collect())
}

fn described(slos: &str, analysis: &str) -> Result<ServiceSpec, Vec<Problem>> {
    let text = format!("{SERVICE}{analysis}");
    let named = document::slo_files(text.as_bytes(), "/srv");
    assert_eq!(named, ["/srv/slo/all.yaml"]);
    let slos = read(slos).expect("these documents are good");
    document::read_whole(text.as_bytes(), "/srv", None, Some(&promql), Some(&slos))
}

const NAMES_IT: &str = "analysis: {slo: [slo/all.yaml]}\n";

#[test]
fn objectives_become_burns_of_their_sources() {
    let policy = described(GIVEN, NAMES_IT).expect("this description is good").analysis;
    let find = |name: &str| policy.metrics.iter().find(|metric| metric.name.as_str() == name).unwrap();
    let availability = find("availability");
    let window_ms = 28 * DAY_MS;
    assert_eq!(availability.measure, Measure::Burn { budget_ppm: 1_000, window_ms, by: Counter::Good });
    assert_eq!((availability.rollback_above, availability.from_step), (Some(3_000), 1));
    let speed = find("speed").measure;
    assert!(matches!(speed, Measure::Burn { by: Counter::Above(500_000), .. }), "{speed:?}");
    let [source] = policy.sources.as_slice() else { panic!("{:?}", policy.sources) };
    assert!(matches!(&source.api, Api::Prometheus { url, .. } if url == "http://127.0.0.1:9090"));
    let Shape::Counts { bad, .. } = &source.queries[0].shape else { panic!("{:?}", source.queries) };
    assert_eq!(bad, "(sum(rate(http_requests_total{code!~\"5..\"}[1m])))");
    assert!(matches!(source.queries[2].shape, Shape::Scalar { .. }));
}

#[test]
fn sources_of_the_description_come_first_and_missing_ones_are_told() {
    let own = "analysis:\n  slo: slo/all.yaml\n  sources: {metrics: {prometheus: {url: 'http://own:1'}}}\n";
    let policy = described(GIVEN, own).expect("this description is good").analysis;
    assert!(matches!(&policy.sources[0].api, Api::Prometheus { url, .. } if url == "http://own:1"));
    assert_eq!(policy.sources.len(), 1);
    let elsewhere = GIVEN.replace("metadata: {name: metrics}", "metadata: {name: metricz}");
    let problems = described(&elsewhere, NAMES_IT).expect_err("there is no such source");
    assert!(problems[0].message.contains("slo/all.yaml:48: there is no source `metrics`"), "{problems:?}");
    let odd = GIVEN.replace("query: sum(http_requests_total)", "query: max(http_requests_total)");
    let odd = odd.replace("sum(http_requests_total{", "max(http_requests_total{");
    let problems = described(&odd, NAMES_IT).expect_err("no counts");
    assert!(problems[0].message.contains("cannot be taken apart into counts"), "{problems:?}");
    let text = format!("{SERVICE}{NAMES_IT}");
    let unread = document::read(text.as_bytes(), "/srv").expect_err("the files were not read");
    assert!(unread[0].message.contains("were not read"), "{unread:?}");
}

#[test]
fn what_is_not_supported_is_told_with_its_place() {
    let cases = [
        ("openslo/v1\nkind: Service", "openslo/v2\nkind: Service", 2, "this version of OpenSLO"),
        ("kind: Service", "kind: Servise", 3, "not known"),
        ("indicatorRef: answered", "indicatorRef: answerd", 42, "did you mean `answered`?"),
        (
            "budgetingMethod: Occurrences\n  objectives:\n    - displayName",
            "budgetingMethod: Timeslices\n  objectives:\n    - displayName",
            46,
            "only `Occurrences` is judged",
        ),
        ("target: 0.999", "target: 1", 49, "leaves no budget"),
        ("targetPercent: 99", "targetPercent: 99\n      target: 0.99", 51, "stands twice"),
        ("duration: 4w", "duration: 4 fortnights", 44, "write one like 30d"),
        ("op: lte", "op: eq", 69, "lte, lt, gte or gt"),
        ("value: 0.5", "value: fast", 69, "a number is needed"),
        ("    good:\n", "    raw: {}\n    good:\n", 21, "says nothing of how many"),
        ("query: sum(http_requests_total)", "text: a", 32, "`query` is missing"),
        ("timeWindow: [{duration: 30d, isRolling: true}]", "timeWindow: []", 66, "exactly one window"),
        ("{op: lte,", "{op: lte, timeSliceTarget: 0.9,", 69, "slices and composites"),
    ];
    for (old, new, line, says) in cases {
        assert!(GIVEN.contains(old), "{old}");
        let problems = read(&GIVEN.replacen(old, new, 1)).expect_err(new);
        let said = format!("{} / {}", problems[0].message, problems[0].hint);
        assert!(said.contains(says) && problems[0].line == line, "{new}: {problems:#?}");
    }
    let none = read("apiVersion: openslo/v1\nkind: Service\nmetadata: {name: a}\n").expect_err("none");
    assert!(none[0].message.contains("there is no SLO"), "{none:?}");
}

#[test]
fn no_change_of_a_document_confuses_the_reader() {
    for at in (0..GIVEN.len()).filter(|at| GIVEN.is_char_boundary(*at)) {
        drop(read(&GIVEN[..at]));
        if at % 7 == 0 {
            for c in ["", "-", ":", "[", "0", "\n"] {
                drop(read(&format!("{}{c}{}", &GIVEN[..at], &GIVEN[(at + 1).min(GIVEN.len())..])));
            }
        }
    }
}
