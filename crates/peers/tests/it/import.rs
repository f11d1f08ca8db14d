//! What queries and bounds of peers become.

use taxiway_model::document::canary_config;
use taxiway_model::document::plain::documents;
use taxiway_peers::import::{Imported, import, import_with};

fn argo(metric: &str) -> Result<Imported, String> {
    let yaml = format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: ClusterAnalysisTemplate\nmetadata: {{name: t}}\nspec:\n  metrics:\n  - {metric}\n"
    );
    let documents = documents(yaml.as_bytes()).unwrap();
    import(&documents, "a.yaml").map_err(|(_, misfit)| misfit.to_string())
}

/// The query and the threshold of the only metric.
fn carried(condition: &str, query: &str) -> (String, String) {
    let metric = format!(
        "{{name: m, interval: 1m, {condition}, provider: {{prometheus: {{query: {}}}}}}}",
        serde_json::to_string(query).unwrap()
    );
    let imported = argo(&metric).unwrap_or_else(|misfit| panic!("{misfit}"));
    let text = imported.config.unwrap();
    let config =
        canary_config::read(text.as_bytes()).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"));
    let threshold = text.lines().find(|line| line.contains("max_")).unwrap().trim().to_owned();
    (config.metrics[0].query.clone(), threshold)
}

#[test]
fn shares_of_good_requests_are_turned_around() {
    let total = "sum(rate(a{path=~\"/x/.*\"}[1m]))";
    for (good, bad) in [
        ("status!~\"5..\"", "status=~\"5..\""),
        ("status=~\"2..\"", "status!~\"2..\""),
        ("code != \"500\"", "code = \"500\""),
    ] {
        let query = |matcher: &str| format!("sum(rate(a{{path=~\"/x/.*\",{matcher}}}[1m])) / {total}");
        let (query_of, threshold) = carried("successCondition: 'result[0] >= 0.95'", &query(good));
        assert_eq!((query_of, threshold.as_str()), (query(bad), "max_absolute: 0.05"));
    }
    let (_, percent) = carried(
        "failureCondition: 'result[0] < 99.5'",
        &format!("100 * sum(rate(a{{path=~\"/x/.*\",status!~\"5..\"}}[1m])) / {total}"),
    );
    assert_eq!(percent, "max_absolute: 0.5");
}

#[test]
fn bounds_from_above_stay() {
    let errors = "sum(rate(a{status=~\"5..\"}[1m])) / sum(rate(a[1m]))";
    assert_eq!(
        carried("failureCondition: 'result[0] > 0.02'", errors),
        (errors.into(), "max_absolute: 0.02".into())
    );
    assert_eq!(carried("successCondition: 'asFloat(result) <= 3'", "queue_length").1, "max_absolute: 3");
    let seconds = "histogram_quantile(0.95, sum(rate(x_seconds_bucket[1m])) by (le))";
    assert_eq!(carried("successCondition: 'result[0] < 0.25'", seconds).1, "max_absolute_ms: 250");
    let millis = "histogram_quantile(0.95, sum(rate(x_milliseconds_bucket[1m])) by (le))";
    assert_eq!(carried("successCondition: 'result[0] < 250'", millis).1, "max_absolute_ms: 250");
}

#[test]
fn what_cannot_be_said_here_is_named() {
    let refused = |condition: &str, query: &str| {
        argo(&format!("{{name: m, {condition}, provider: {{prometheus: {{query: '{query}'}}}}}}"))
            .unwrap_err()
    };
    assert!(refused("successCondition: 'result[0] > 5'", "orders").contains("bounds its value from below"));
    let two = refused("successCondition: 'result[0] > 5 && result[0] < 9'", "orders");
    assert!(two.contains("not one bound on the value: result[0] > 5 && result[0] < 9"), "{two}");
    let other =
        argo("{name: m, provider: {datadog: {query: a}}, failureCondition: 'result > 1'}").unwrap_err();
    assert!(other.contains("whose provider is datadog"), "{other}");
}

#[test]
fn jobs_and_web_requests_say_what_to_write() {
    let job = argo(
        "{name: smoke, provider: {job: {spec: {template: {spec: {containers: [{name: a, image: b, command: [sh, -c], args: [./smoke]}]}}}}}}",
    );
    let job = job.unwrap_err();
    assert!(
        job.contains(r#"checks: [{name: smoke, at: each_step, command: ["sh","-c","./smoke"]}]"#),
        "{job}"
    );
    let web = argo(
        "{name: web, successCondition: 'result >= 0.9', provider: {web: {url: 'http://a/b', jsonPath: '{$.data.ok}'}}}",
    );
    let web = web.unwrap_err();
    assert!(web.contains(r#"json: {url: "http://a/b"}"#) && web.contains("rollback_below: 0.9"), "{web}");
    assert!(web.contains(r#"value: "$.data.ok""#), "{web}");
}

/// The scope tells the sides apart, which labels do here; other variables have values given.
#[test]
fn variables_of_the_scope_are_filled() {
    let json = r#"{"name": "a", "metrics": [{"name": "errors", "query": {"type": "prometheus", "customInlineTemplate":
        "PromQL:sum(rate(a{pod=~\"${scope}-.*\",zone=\"${location}\",code=~\"5..\"}[1m])) / sum(rate(a{zone=\"${location}\", pod=~\"${scope}-.*\"}[1m]))"},
        "analysisConfigurations": {"canary": {"direction": "increase"}}}], "classifier": {"groupWeights": {}}}"#;
    let documents = documents(json.as_bytes()).unwrap();
    let with = std::collections::BTreeMap::from([("location".to_owned(), "eu".to_owned())]);
    let text = import_with(&documents, "a.yaml", &with).unwrap().config.unwrap();
    let config =
        canary_config::read(text.as_bytes()).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"));
    assert_eq!(
        config.metrics[0].query,
        "sum(rate(a{zone=\"eu\",code=~\"5..\"}[1m])) / sum(rate(a{zone=\"eu\", }[1m]))"
    );
}
