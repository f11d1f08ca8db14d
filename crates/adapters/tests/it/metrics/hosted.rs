//! Hosted sources, played by a server of our own that says what their public documentation says:
//! sums are counted once, faults are told with where the secret is kept, and no secret is repeated.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use taxiway_adapters::metrics::Sources;
use taxiway_engine::ports::metrics::Metrics;
use taxiway_model::ids::MetricName;
use taxiway_model::metrics::{Api, Credentials, Influx, Query, Reading, Sample, Secret, Shape, Source};

use super::world::{answer, order_of, serve, stream, until};

/// What is planted, and must never be seen again.
const PLANTED: &str = "planted-secret-0451";

const WELL: u8 = 0;
const EMPTY: u8 = 1;
const REFUSED: u8 = 2;
const FORBIDDEN: u8 = 3;
const BROKEN: u8 = 4;
const HALF: u8 = 5;
const GARBAGE: u8 = 6;
const HANGING: u8 = 7;
const FLOOD: u8 = 8;

/// A source as a test plays it.
struct Hosted {
    api: fn(&str, Secret) -> Api,
    bad: &'static str,
    total: &'static str,
    /// The answer to a request, with a point for each of the moments.
    good: fn(&str, &[u64]) -> String,
    /// A refusal: status, body, and what is told of it.
    refusal: (&'static str, &'static str, &'static str),
    /// What is told of garbage.
    garbage: &'static str,
    /// Whether it asks in one exchange per part, so that a part alone may fail.
    marks: &'static [&'static str],
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// What a query gives a second: by whether it names the canary's version and errors.
fn amount(query: &str) -> u64 {
    match (query.contains("v2"), query.contains("rror")) {
        (true, true) => 1,
        (true, false) => 10,
        (false, true) => 2,
        (false, false) => 100,
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn body(request: &str) -> &str {
    request.split_once("\r\n\r\n").unwrap().1
}

/// A folder with the planted secret, and a server that plays the source.
struct Played {
    folder: tempfile::TempDir,
    mode: Arc<AtomicU8>,
    source: Source,
    sources: Sources,
    asked: std::sync::mpsc::Receiver<String>,
}

impl Hosted {
    fn play(self) -> Played {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, format!("{PLANTED}\n")).unwrap();
        let mode = Arc::new(AtomicU8::new(EMPTY));
        let switch = Arc::clone(&mode);
        let (sender, asked) = std::sync::mpsc::channel();
        let (good, refusal) = (self.good, self.refusal);
        let (url, _) = serve(move |_, request, connection| {
            sender.send(request.to_owned()).unwrap_or_default();
            respond(switch.load(Ordering::SeqCst), request, good, refusal, connection);
        });
        let secret = Secret::File(path.display().to_string());
        let shape = Shape::Counts { bad: self.bad.into(), total: self.total.into(), scale_micro: 1_000_000 };
        let query = Query { metric: MetricName::new("errors").unwrap(), text: String::new(), shape };
        let labels = std::collections::BTreeMap::from([("version".to_owned(), "{version}".to_owned())]);
        let source = Source {
            name: "hosted".to_owned(),
            api: (self.api)(&url, secret),
            interval_ms: 100,
            timeout_ms: 1_500,
            bucket_ms: 1_000,
            delay_ms: 0,
            canary: labels.clone(),
            baseline: labels,
            queries: vec![query],
        };
        let sources = Sources::start().unwrap();
        sources.want(&stream("shop/production"), &order_of(source.clone()));
        Played { folder, mode, source, sources, asked }
    }

    /// Good and bad answers, one after the other.
    fn check(self) {
        let (refused, garbage, marks) = (self.refusal.2, self.garbage, self.marks);
        let played = self.play();
        let request = played.asked.recv_timeout(Duration::from_secs(10)).unwrap();
        for mark in marks {
            assert!(request.contains(mark), "{mark} in {request}");
        }
        let empty = played.until("an empty answer", |reading| !reading.nothing.is_empty());
        assert_eq!(empty.nothing.values().next().unwrap(), "no data of the canary yet");
        assert!(empty.samples.is_empty());
        played.is_well();
        for (mode, wanted) in [
            (REFUSED, refused),
            (BROKEN, "it answers 500 Internal Server Error"),
            (HALF, "broke off"),
            (GARBAGE, garbage),
        ] {
            let said = played.trouble(mode);
            assert!(said.contains(wanted), "{wanted} in {said}");
        }
        let said = played.trouble(FORBIDDEN);
        let place = format!("look at the file {}", played.folder.path().join("key").display());
        assert!(said.contains("403 Forbidden") && said.contains(&place), "{said}");
        played.is_well();
    }
}

fn respond(
    mode: u8,
    request: &str,
    good: fn(&str, &[u64]) -> String,
    refusal: (&str, &str, &str),
    connection: &mut TcpStream,
) {
    use std::io::Write;
    let now = now_s();
    let seconds: Vec<u64> = (now - 8..=now).collect();
    match mode {
        WELL => answer(connection, "200 OK", "", &good(request, &seconds)),
        EMPTY => answer(connection, "200 OK", "", &good(request, &[])),
        REFUSED => answer(connection, refusal.0, "", refusal.1),
        // Who refuses may repeat what it was sent.
        FORBIDDEN => {
            let said =
                json!({"error": PLANTED, "errors": [PLANTED], "message": PLANTED, "__type": "x#Denied"});
            answer(connection, "403 Forbidden", "", &said.to_string());
        }
        BROKEN => answer(connection, "500 Internal Server Error", "", "<html>"),
        HALF => {
            let whole = good(request, &seconds);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", whole.len());
            drop(connection.write_all((head + &whole[..whole.len() / 2]).as_bytes()));
        }
        GARBAGE => answer(connection, "200 OK", "", "\u{0}\u{1}<html>"),
        HANGING => std::thread::sleep(Duration::from_secs(4)),
        _ => {
            drop(connection.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"));
            let piece = vec![b' '; 64 * 1024];
            for _ in 0..1_000 {
                if connection.write_all(&piece).is_err() {
                    return;
                }
            }
        }
    }
}

impl Played {
    fn until(&self, what: &str, fits: impl Fn(&Reading) -> bool) -> Reading {
        until(what, || self.sources.latest(&stream("shop/production")).filter(|reading| fits(reading)))
    }

    /// What is told of a fault, without the secret.
    fn trouble(&self, mode: u8) -> String {
        self.mode.store(WELL, Ordering::SeqCst);
        self.until("a good answer", |reading| reading.trouble.is_empty());
        self.mode.store(mode, Ordering::SeqCst);
        let reading = self.until("trouble", |reading| !reading.trouble.is_empty());
        let said = format!("{:?}", reading.trouble);
        assert!(!said.contains(PLANTED), "{said}");
        reading.trouble.into_values().next().unwrap()
    }

    /// Sums are counted: a tenth of the canary's are bad, and a fiftieth of the baseline's, which
    /// has ten times as many.
    fn is_well(&self) {
        self.mode.store(WELL, Ordering::SeqCst);
        let reading = self.until("sums of three seconds", |reading| {
            let sample = reading.samples.values().next();
            reading.trouble.is_empty() && sample.is_some_and(|sample| sample.totals().0 >= 30)
        });
        let Some(Sample::Counts { canary, baseline }) = reading.samples.values().next() else {
            panic!("{reading:?}")
        };
        assert_eq!((canary.total, baseline.total), (canary.bad * 10, baseline.bad * 50));
        assert_eq!(canary.total * 10, baseline.total, "both sides count up to the same moment");
        assert!(canary.total <= 10 * 60, "every second counts once: {canary:?}");
    }
}

fn datadog(version: u8) -> Hosted {
    Hosted {
        api: match version {
            1 => |url, key| datadog_api(url, key, 1),
            _ => |url, key| datadog_api(url, key, 2),
        },
        bad: "sum:shop.errors{version:{version}}.as_count()",
        total: "sum:shop.requests{version:{version}}.as_count()",
        good: if version == 1 { datadog_v1 } else { datadog_v2 },
        refusal: ("400 Bad Request", r#"{"errors":["Error parsing query"]}"#, "Error parsing query"),
        garbage: "not what Datadog says",
        marks: &["dd-api-key: planted", "dd-application-key: planted"],
    }
}

fn datadog_api(url: &str, key: Secret, version: u8) -> Api {
    Api::Datadog { url: url.to_owned(), version, api_key: key.clone(), application_key: key }
}

/// As <https://docs.datadoghq.com/api/latest/metrics/> has it ("Query timeseries data across multiple products").
fn datadog_v2(request: &str, seconds: &[u64]) -> String {
    let asked: Value = serde_json::from_str(body(request)).unwrap();
    let attributes = &asked["data"]["attributes"];
    assert_eq!(
        (attributes["interval"].as_u64(), asked["data"]["type"].as_str()),
        (Some(1_000), Some("timeseries_request"))
    );
    let queries = attributes["queries"].as_array().unwrap();
    let has_errors = |query: &&Value| !seconds.is_empty() || query["query"].as_str().unwrap().is_empty();
    let queries: Vec<&Value> = queries.iter().filter(has_errors).collect();
    let series: Vec<Value> = (0..queries.len())
        .map(|index| json!({"group_tags": [], "query_index": index, "unit": [null, null]}))
        .collect();
    let values: Vec<Vec<Value>> = queries
        .iter()
        .map(|query| seconds.iter().map(|_| json!(amount(query["query"].as_str().unwrap()))).collect())
        .collect();
    let times: Vec<u64> = seconds.iter().map(|at| at * 1_000).collect();
    json!({"data": {"type": "timeseries_response", "attributes": {"series": series, "times": times, "values": values}}})
        .to_string()
}

/// As <https://docs.datadoghq.com/api/latest/metrics/> has it ("Query timeseries points").
fn datadog_v1(request: &str, seconds: &[u64]) -> String {
    let query = decoded(request.split("query=").nth(1).unwrap().split(' ').next().unwrap());
    let points: Vec<Value> =
        seconds.iter().map(|at| json!([*at as f64 * 1e3, amount(&query) as f64])).collect();
    let series = json!([{"metric": "shop.requests", "attributes": {}, "display_name": "shop.requests",
        "unit": null, "pointlist": points, "interval": 1, "scope": "version:v2", "expression": query,
        "length": points.len(), "aggr": "sum", "tag_set": []}]);
    let series = if seconds.is_empty() { json!([]) } else { series };
    json!({"status": "ok", "res_type": "time_series", "resp_version": 1, "query": query,
        "from_date": 0, "to_date": 0, "series": series, "values": [], "times": [], "message": "", "group_by": []})
    .to_string()
}

/// As the API reference of CloudWatch has `GetMetricData`, in its JSON protocol.
fn cloudwatch(request: &str, seconds: &[u64]) -> String {
    let asked: Value = serde_json::from_str(body(request)).unwrap();
    let one = |query: &Value| {
        let metric = &query["MetricStat"]["Metric"];
        assert_eq!(
            (metric["Namespace"].as_str(), query["MetricStat"]["Period"].as_u64()),
            (Some("Shop"), Some(1))
        );
        let values: Vec<u64> = seconds.iter().map(|_| amount(&metric.to_string())).collect();
        json!({"Id": query["Id"], "Label": metric["MetricName"], "Timestamps": seconds, "Values": values,
            "StatusCode": "Complete", "Messages": []})
    };
    let results: Vec<Value> = asked["MetricDataQueries"].as_array().unwrap().iter().map(one).collect();
    json!({"Messages": [], "MetricDataResults": results}).to_string()
}

/// As the documentation of NerdGraph has an NRQL query with `TIMESERIES`.
fn newrelic(request: &str, seconds: &[u64]) -> String {
    let asked: Value = serde_json::from_str(body(request)).unwrap();
    let query = asked["query"].as_str().unwrap();
    assert!(query.contains("account(id: 12345)") && query.contains("TIMESERIES 1 seconds"), "{query}");
    let mut account = serde_json::Map::new();
    for part in query.split("nrql(query: ").skip(1).zip(["canary0", "canary1", "baseline0", "baseline1"]) {
        let (nrql, name) = part;
        let nrql = nrql.split(" SINCE ").next().unwrap();
        let result = |at: &u64| json!({"beginTimeSeconds": at, "endTimeSeconds": at + 1, "inspectedCount": 7, "count": amount(nrql)});
        account.insert(name.to_owned(), json!({"results": seconds.iter().map(result).collect::<Vec<_>>()}));
    }
    json!({"data": {"actor": {"account": account}}}).to_string()
}

/// Annotated CSV, as the documentation of InfluxDB v2 has it.
fn flux(request: &str, seconds: &[u64]) -> String {
    let query = body(request);
    assert!(query.contains("every: 1s") && query.contains("start: 20"), "{query}");
    if seconds.is_empty() {
        return "\r\n".to_owned();
    }
    let mut text = "#group,false,false,true,true,false,false\r\n\
        #datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double\r\n\
        #default,_result,,,,,\r\n,result,table,_start,_stop,_time,_value\r\n"
        .to_owned();
    for at in seconds {
        let time = format!("{at}");
        for part in [",,0,", &time, ",", &time, ",", &time, ",", &amount(query).to_string(), "\r\n"] {
            text += part;
        }
    }
    text + "\r\n"
}

/// As the documentation of InfluxDB v1 has `/query`.
fn influxql(request: &str, seconds: &[u64]) -> String {
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

/// As the documentation of Graphite has the render API.
fn graphite(request: &str, seconds: &[u64]) -> String {
    let targets = body(request).split('&').filter_map(|pair| pair.strip_prefix("target="));
    let one = |target: &str| {
        let target = decoded(target);
        let alias = target.rsplit('"').nth(1).unwrap().to_owned();
        let points: Vec<Value> = seconds.iter().map(|at| json!([amount(&target), at])).collect();
        json!({"target": alias, "tags": {"name": alias}, "datapoints": points})
    };
    let all: Vec<Value> = targets.map(one).collect();
    if seconds.is_empty() { "[]".to_owned() } else { Value::Array(all).to_string() }
}

#[test]
fn datadog_v2_is_counted_and_its_faults_are_told() {
    datadog(2).check();
}

#[test]
fn datadog_v1_is_counted_and_its_faults_are_told() {
    datadog(1).check();
}

#[test]
fn cloudwatch_is_counted_and_its_faults_are_told() {
    Hosted {
        api: |url, key| Api::Cloudwatch {
            region: "eu-central-1".to_owned(),
            url: Some(url.to_owned()),
            access_key: key.clone(),
            secret_key: key.clone(),
            session_token: Some(key),
        },
        bad: "Shop:Errors{Version=\"{version}\"} Sum",
        total: "Shop:Requests{Version=\"{version}\"} Sum",
        good: cloudwatch,
        refusal: (
            "400 Bad Request",
            r#"{"__type":"com.amazonaws.cloudwatch.v2010_08_01#InvalidParameterValueException","message":"The parameter Period must be a valid period"}"#,
            "InvalidParameterValueException: The parameter Period",
        ),
        garbage: "not what CloudWatch says",
        marks: &[
            "authorization: AWS4-HMAC-SHA256 Credential=planted-secret-0451/",
            "/eu-central-1/monitoring/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature=",
            "x-amz-target: GraniteServiceVersion20100801.GetMetricData",
        ],
    }
    .check();
}

#[test]
fn new_relic_is_counted_and_its_faults_are_told() {
    Hosted {
        api: |url, api_key| Api::Newrelic { url: url.to_owned(), account: 12_345, api_key },
        bad: "SELECT count(*) FROM TransactionError WHERE appVersion = '{version}'",
        total: "SELECT count(*) FROM Transaction WHERE appVersion = '{version}'",
        good: newrelic,
        // Errors come with the status 200.
        refusal: (
            "200 OK",
            r#"{"data":{"actor":{"account":null}},"errors":[{"locations":[{"column":3,"line":1}],"message":"NRQL Syntax Error: Error at line 1","path":["actor","account","canary0"]}]}"#,
            "NRQL Syntax Error",
        ),
        garbage: "not what New Relic says",
        marks: &["POST /graphql ", "api-key: planted"],
    }
    .check();
}

#[test]
fn influxdb_v2_is_counted_and_its_faults_are_told() {
    Hosted {
        api: |url, token| Api::Influxdb {
            url: url.to_owned(),
            of: Influx::Flux { org: "my shop".to_owned() },
            credentials: Some(Credentials::Token(token)),
        },
        bad: "from(bucket: \"errors\") |> range(start: {from}, stop: {to}) |> filter(fn: (r) => r.version == \"{version}\") |> aggregateWindow(every: {bucket}, fn: sum, timeSrc: \"_start\")",
        total: "from(bucket: \"all\") |> range(start: {from}, stop: {to}) |> filter(fn: (r) => r.version == \"{version}\") |> aggregateWindow(every: {bucket}, fn: sum, timeSrc: \"_start\")",
        good: flux,
        refusal: (
            "400 Bad Request",
            r#"{"code":"invalid","message":"compilation failed: error at @1:1"}"#,
            "compilation failed",
        ),
        garbage: "not what InfluxDB says",
        marks: &["POST /api/v2/query?org=my%20shop ", "authorization: Token planted", "application/vnd.flux"],
    }
    .check();
}

#[test]
fn influxdb_v1_is_counted_and_its_faults_are_told() {
    Hosted {
        api: |url, password| Api::Influxdb {
            url: url.to_owned(),
            of: Influx::Influxql { database: "shop".to_owned() },
            credentials: Some(Credentials::Basic { user: "me".to_owned(), password }),
        },
        bad: "SELECT sum(n) FROM errors WHERE version = '{version}' AND time >= {from} AND time < {to} GROUP BY time({bucket})",
        total: "SELECT sum(n) FROM requests WHERE version = '{version}' AND time >= {from} AND time < {to} GROUP BY time({bucket})",
        good: influxql,
        refusal: (
            "200 OK",
            r#"{"results":[{"statement_id":0,"error":"database not found: shop"}]}"#,
            "database not found: shop",
        ),
        garbage: "not what InfluxDB says",
        marks: &["authorization: Basic bWU6cGxhbnRlZC1zZWNyZXQtMDQ1MQ=="],
    }
    .check();
}

#[test]
fn graphite_is_counted_and_its_faults_are_told() {
    Hosted {
        api: |url, key| Api::Graphite { url: url.to_owned(), credentials: Some(Credentials::Bearer(key)) },
        bad: "sumSeries(shop.{version}.errors)",
        total: "sumSeries(shop.{version}.requests)",
        good: graphite,
        refusal: ("400 Bad Request", "Bad Request", "it answers 400 Bad Request"),
        garbage: "not what Graphite says",
        marks: &["POST /render ", "authorization: Bearer planted", "format=json&from=1"],
    }
    .check();
}

/// What all have in common, shown on one.
#[test]
fn a_hosted_source_that_hangs_or_floods_is_cut_off() {
    let played = datadog(2).play();
    let said = played.trouble(HANGING);
    assert!(said.starts_with("no answer within 1500 ms"), "{said}");
    let said = played.trouble(FLOOD);
    assert!(said.contains("more than 16 MiB") || said.contains("no answer within"), "{said}");
    played.is_well();
}

#[test]
fn the_clock_of_the_source_is_what_counts() {
    let (sender, asked) = std::sync::mpsc::channel();
    let (url, _) = serve(move |_, request, connection| {
        let ahead = now_s() + 3_600;
        let seconds: Vec<u64> = (ahead - 8..=ahead).collect();
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(ahead));
        answer(connection, "200 OK", &format!("date: {date}\r\n"), &datadog_v2(request, &seconds));
        let asked: Value = serde_json::from_str(body(request)).unwrap();
        sender.send(asked["data"]["attributes"]["to"].as_u64().unwrap() / 1_000).unwrap_or_default();
    });
    let played = datadog(2).play();
    let mut source = played.source.clone();
    if let Api::Datadog { url: place, .. } = &mut source.api {
        *place = url;
    }
    let stream = stream("shop/staging");
    played.sources.want(&stream, &order_of(source));
    let counted = until("sums", || {
        let reading = played.sources.latest(&stream)?;
        reading.samples.values().next().cloned().filter(|sample| sample.totals().0 >= 20)
    });
    assert_eq!(counted.totals().0 * 10, counted.totals().1);
    let last = asked.try_iter().last().unwrap();
    assert!(last.abs_diff(now_s() + 3_600) < 10, "it is asked for its own time: {last}");
}
