//! What hosted sources answer, with values of our own in the shape of their public recordings: the
//! same members in the same order, the same headers, the same bodies of refusals.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{amount, body, decoded};

/// Checked against DataDog/datadog-api-client-go, `tests/scenarios/cassettes/TestScenarios/v2/Feature_Metrics/`
/// `Scenario_Timeseries_cross_product_query_returns_OK_response.yaml`: the first bucket may begin well
/// before what is asked for.
pub(super) fn datadog_v2(request: &str, seconds: &[u64]) -> String {
    let asked: Value = serde_json::from_str(body(request)).unwrap();
    let attributes = &asked["data"]["attributes"];
    assert_eq!(
        (attributes["interval"].as_u64(), asked["data"]["type"].as_str()),
        (Some(1_000), Some("timeseries_request"))
    );
    let queries = attributes["queries"].as_array().unwrap();
    assert!(queries.iter().all(|query| query["data_source"] == "metrics" && query["name"].is_string()));
    if seconds.is_empty() {
        return text(
            r#"{"data":{"type":"timeseries_response","attributes":{"values":[],"times":[],"series":[]}}}"#,
        );
    }
    let seconds: Vec<u64> = std::iter::once(seconds[0] - 504).chain(seconds.iter().copied()).collect();
    let all = |query: &Value| {
        let values = seconds.iter().map(|_| amount(query["query"].as_str().unwrap()).to_string());
        format!("[{}]", values.collect::<Vec<_>>().join(","))
    };
    let values: Vec<String> = queries.iter().map(all).collect();
    let times: Vec<String> = seconds.iter().map(|at| (at * 1_000).to_string()).collect();
    let unit = r#"{"plural":"requests","scale_factor":1.0,"id":19,"short_name":"req","family":"network","name":"request"}"#;
    let series: Vec<String> = (0..queries.len())
        .map(|index| format!(r#"{{"query_index":{index},"unit":[{unit},null],"group_tags":[]}}"#))
        .collect();
    let (values, times, series) = (values.join(","), times.join(","), series.join(","));
    format!(
        r#"{{"data":{{"type":"timeseries_response","attributes":{{"values":[{values}],"times":[{times}],"series":[{series}]}}}}}}"#
    )
}

/// Checked against DataDog/datadog-api-client-go, `tests/scenarios/cassettes/TestScenarios/v1/Feature_Metrics/`
/// `Scenario_Query_timeseries_points_returns_OK_response.yaml`.
pub(super) fn datadog_v1(request: &str, seconds: &[u64]) -> String {
    let query = decoded(request.split("query=").nth(1).unwrap().split(' ').next().unwrap());
    let points: Vec<String> = seconds.iter().map(|at| format!("[{at}000.0,{}.0]", amount(&query))).collect();
    let (length, points) = (points.len(), points.join(","));
    let quoted = json!(query);
    let (start, end) = (seconds.first().unwrap_or(&1) * 1_000, seconds.last().unwrap_or(&1) * 1_000 + 999);
    let series = format!(
        r#"{{"end":{end},"attributes":{{}},"metric":"shop.requests","interval":1,"tag_set":[],"start":{start},"length":{length},"query_index":0,"aggr":"sum","scope":"version:any","pointlist":[{points}],"expression":{quoted},"unit":null,"display_name":"shop.requests"}}"#
    );
    let series = if seconds.is_empty() { String::new() } else { series };
    format!(
        r#"{{"status":"ok","resp_version":1,"series":[{series}],"to_date":{end},"query":{quoted},"message":"","res_type":"time_series","times":[],"from_date":{start},"group_by":[],"values":[]}}"#
    )
}

/// Checked against boto/botocore, `botocore/data/cloudwatch/2010-08-01/service-2.json` (protocol `json`,
/// version 1.0), and the answers of getmoto/moto 5.2.5.
pub(super) fn cloudwatch(request: &str, seconds: &[u64]) -> String {
    let asked: Value = serde_json::from_str(body(request)).unwrap();
    let queries = asked["MetricDataQueries"].as_array().unwrap();
    // A page for the first half of the queries, another one for the rest, as a long answer comes.
    let second = asked.get("NextToken").is_some();
    let (first_half, second_half) = queries.split_at(queries.len() / 2);
    let one = |query: &Value| {
        let metric = &query["MetricStat"]["Metric"];
        assert_eq!(
            (metric["Namespace"].as_str(), query["MetricStat"]["Period"].as_u64()),
            (Some("Shop"), Some(1))
        );
        let values: Vec<f64> = seconds.iter().map(|_| amount(&metric.to_string()) as f64).collect();
        let seconds: Vec<f64> = seconds.iter().map(|at| *at as f64).collect();
        json!({"Id": query["Id"], "Label": metric["MetricName"], "Timestamps": seconds, "Values": values,
            "StatusCode": "Complete"})
    };
    let results: Vec<Value> = if second { second_half } else { first_half }.iter().map(one).collect();
    let next = if second { Value::Null } else { json!("cGFnZSAy") };
    json!({"MetricDataResults": results, "NextToken": next, "Messages": []}).to_string()
}

/// Checked against newrelic/newrelic-client-go, `pkg/nrdb/nrdb_customized_unit_test.go`: members of a
/// bucket are in the order of the alphabet.
pub(super) fn newrelic(request: &str, seconds: &[u64]) -> String {
    let asked: Value = serde_json::from_str(body(request)).unwrap();
    let query = asked["query"].as_str().unwrap();
    assert!(query.contains("account(id: 12345)") && query.contains("TIMESERIES 1 seconds"), "{query}");
    let since =
        |word: &str| -> u64 { query.split(word).nth(1).unwrap().split(' ').next().unwrap().parse().unwrap() };
    assert!(since("UNTIL ") - since("SINCE ") <= 366_000, "more buckets are refused: {query}");
    assert!(query.contains("timeout: 5)"), "less than 5 s is refused: {query}");
    let parts = query.split("nrql(query: ").skip(1).zip(["canary0", "canary1", "baseline0", "baseline1"]);
    let one = |(nrql, name): (&str, &str)| {
        let nrql = nrql.split(" SINCE ").next().unwrap();
        let result = |at: &u64| {
            format!(
                r#"{{"beginTimeSeconds":{at},"count":{},"endTimeSeconds":{},"inspectedCount":7}}"#,
                amount(nrql),
                at + 1
            )
        };
        let results: Vec<String> = seconds.iter().map(result).collect();
        format!(r#""{name}":{{"results":[{}]}}"#, results.join(","))
    };
    let account: Vec<String> = parts.map(one).collect();
    format!(r#"{{"data":{{"actor":{{"account":{{{}}}}}}}}}"#, account.join(","))
}

/// Annotated CSV, checked against influxdata/influxdb-client-go, `api/query_test.go`.
pub(super) fn flux(request: &str, seconds: &[u64]) -> String {
    let query = body(request);
    assert!(query.contains("every: 1s") && query.contains("start: 20"), "{query}");
    if seconds.is_empty() {
        return text("\r\n");
    }
    let mut text =
        "#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string\r\n\
        #group,false,false,true,true,false,false,true\r\n\
        #default,_result,,,,,,\r\n,result,table,_start,_stop,_time,_value,note\r\n"
            .to_owned();
    for at in seconds {
        let value = amount(query);
        write!(
            text,
            ",,0,2020-02-17T22:19:49Z,2020-02-18T22:19:49Z,{at},{value},\"two\r\nlines, one \"\"row\"\"\"\r\n"
        )
        .unwrap();
    }
    text + "\r\n"
}

/// As the documentation of InfluxDB v1 has `/query`, and as Debian's InfluxDB 1.6 answers in the suite.
pub(super) fn influxql(request: &str, seconds: &[u64]) -> String {
    assert!(request.starts_with("POST /query?db=shop&epoch=ms "), "{request}");
    let query = decoded(body(request).strip_prefix("q=").unwrap());
    assert!(query.contains("GROUP BY time(1s)"), "{query}");
    let values: Vec<Value> = seconds.iter().map(|at| json!([at * 1_000, amount(&query)])).collect();
    let series = json!([{"name": "requests", "columns": ["time", "sum"], "values": values}]);
    match seconds {
        [] => json!({"results": [{"statement_id": 0}]}).to_string(),
        _ => json!({"results": [{"statement_id": 0, "series": series}]}).to_string(),
    }
}

/// Checked against graphite-project/graphite-web, `webapp/graphite/render/views.py` and
/// `webapp/tests/test_render.py`: gaps are null, and infinity is a number that is too large to be read.
pub(super) fn graphite(request: &str, seconds: &[u64]) -> String {
    let targets = body(request).split('&').filter_map(|pair| pair.strip_prefix("target="));
    let one = |target: &str| {
        let target = decoded(target);
        let alias = target.rsplit('"').nth(1).unwrap().to_owned();
        let points: Vec<String> = seconds.iter().map(|at| format!("[{}.0, {at}]", amount(&target))).collect();
        let before = seconds[0] - 2;
        let points = format!("[1e9999, {before}], [null, {}], {}", before + 1, points.join(", "));
        format!(r#"{{"target": "{alias}", "tags": {{"name": "{alias}"}}, "datapoints": [{points}]}}"#)
    };
    if seconds.is_empty() {
        return text("[]");
    }
    format!("[{}]", targets.map(one).collect::<Vec<_>>().join(", "))
}

/// A vector as prometheus/prometheus writes it in `web/api/v1/api.go`: values are texts.
pub(super) fn prometheus(request: &str, seconds: &[u64]) -> String {
    assert!(request.starts_with("POST /api/v1/query "), "{request}");
    let now = seconds.last().copied().unwrap_or_default();
    let series =
        [("canary.0", "v2 rror"), ("canary.1", "v2"), ("baseline.0", "v1 rror"), ("baseline.1", "v1")];
    let counters = series.map(|(part, what)| (part, amount(what) * (now % 1_000_000)));
    let newest = ["canary.newest", "baseline.newest"].map(|part| (part, now));
    let one = |(part, value): &(&str, u64)| {
        format!(r#"{{"metric":{{"taxiway":"{part}"}},"value":[{now}.281,"{value}"]}}"#)
    };
    let all: Vec<String> = counters.iter().chain(&newest).map(one).collect();
    let all = if seconds.is_empty() { String::new() } else { all.join(",") };
    format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{all}]}}}}"#)
}

/// A service's own page of counters.
pub(super) fn json(request: &str, seconds: &[u64]) -> String {
    let version = if request.contains("version=v2") { "v2" } else { "v1" };
    let Some(now) = seconds.last() else { return text(r#"{"requests": null}"#) };
    let counter = |what: &str| amount(&format!("{version} {what}")) * (now % 1_000_000);
    json!({"requests": {"all": counter(""), "errors": counter("rror")}}).to_string()
}

fn text(text: &str) -> String {
    text.to_owned()
}
