//! Sources on this machine: JSON over HTTP, commands, CSV, logs, and what is pushed over OTLP.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use taxiway_adapters::metrics::Sources;
use taxiway_engine::ports::metrics::Metrics;
use taxiway_model::ids::MetricName;
use taxiway_model::metrics::{Api, Order, Outputs, Query, Sample, Shape, Source};

use super::world::{answer, order_of, serve, stream, until};

fn counts(bad: &str, total: &str) -> Shape {
    Shape::Counts { bad: bad.to_owned(), total: total.to_owned(), scale_micro: 1_000_000 }
}

fn order(api: Api, shape: Shape) -> Order {
    let label = if matches!(api, Api::Otlp { .. }) { "service.version" } else { "version" };
    let labels = BTreeMap::from([(label.to_owned(), "{version}".to_owned())]);
    order_of(Source {
        name: "local".to_owned(),
        api,
        interval_ms: 100,
        timeout_ms: 2_000,
        bucket_ms: 0,
        delay_ms: 0,
        canary: labels.clone(),
        baseline: labels,
        queries: vec![Query { metric: MetricName::new("m").unwrap(), text: String::new(), shape }],
    })
}

/// A release that asks a source.
struct Asking {
    sources: Sources,
    order: Order,
}

impl Asking {
    fn of(order: Order) -> Self {
        let sources = Sources::start().unwrap();
        sources.want(&stream("shop/production"), &order);
        Self { sources, order }
    }

    /// Listens to what is pushed, and asks for nothing yet.
    fn at_rest(order: Order) -> Self {
        let sources = Sources::start().unwrap();
        assert_eq!(sources.attend(&order.sources), []);
        Self { sources, order }
    }

    /// The release begins: what was pushed before is where counting starts.
    fn begin(&self) -> Sample {
        self.sources.want(&stream("shop/production"), &self.order);
        self.sample("a first sample", |_| true)
    }

    fn trouble(&self) -> String {
        until("trouble", || self.sources.latest(&stream("shop/production"))?.trouble.into_values().next())
    }

    fn sample(&self, what: &str, fits: impl Fn(&Sample) -> bool) -> Sample {
        until(what, || {
            let reading = self.sources.latest(&stream("shop/production"))?;
            reading.samples.into_values().next().filter(|sample| reading.trouble.is_empty() && fits(sample))
        })
    }

    /// Waits until total and bad of the canary and the baseline are so many.
    fn counted(&self, canary: (u64, u64), baseline: (u64, u64)) {
        let what = format!("{canary:?} and {baseline:?}");
        self.sample(&what, |sample| {
            let Sample::Counts { canary: one, baseline: other } = sample else { panic!("{sample:?}") };
            (one.total, one.bad) == canary && (other.total, other.bad) == baseline
        });
    }

    /// Waits until counting has begun: the first answer is where it starts.
    fn begun(&self) {
        self.counted((0, 0), (0, 0));
    }
}

#[test]
fn json_over_http_is_counted_at_its_paths() {
    let requests = Arc::new(AtomicU64::new(100));
    let shown = Arc::clone(&requests);
    let (url, _) = serve(move |_, request, connection| {
        let number = shown.load(Ordering::SeqCst);
        let bad = if request.contains("version=v2") { number / 10 } else { 0 };
        let body = json!({"pods": [{"n": number, "bad": bad}, {"n": number, "bad": bad}], "text": "x"});
        answer(connection, "200 OK", "", &body.to_string());
    });
    let api = |path: &str| Api::Json { url: format!("{url}/{path}?version={{version}}"), credentials: None };
    let asking = Asking::of(order(api("stats"), counts("$.pods[*].bad", "$.pods[*].n")));
    asking.begun();
    requests.store(150, Ordering::SeqCst);
    asking.counted((100, 10), (100, 0));
    // The service began again: what it has counted since is new.
    requests.store(20, Ordering::SeqCst);
    asking.counted((140, 14), (140, 0));
    for (path, wanted) in [("$.none", "there is nothing at $.none"), ("$.text", "is not a number")] {
        let said = Asking::of(order(api("stats"), counts(path, "$.pods[0].n"))).trouble();
        assert!(said.contains(wanted), "{said}");
    }
}

#[test]
fn a_command_tells_the_counts_of_a_side() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("v1"), r#"{"all": 50, "bad": 0}"#).unwrap();
    std::fs::write(path("v2"), r#"{"all": 5, "bad": 1}"#).unwrap();
    let shell = |script: String| Api::Command { command: vec!["sh".into(), "-c".into(), script] };
    let script = format!("echo 'not for you' >&2; cat {}/$TAXIWAY_VERSION", folder.path().display());
    let asking = Asking::of(order(shell(script), counts("$.bad", "/all")));
    asking.begun();
    std::fs::write(path("v1"), r#"{"all": 90, "bad": 1}"#).unwrap();
    std::fs::write(path("v2"), r#"{"all": 9, "bad": 3}"#).unwrap();
    asking.counted((4, 2), (40, 1));

    for (script, wanted) in [
        ("sleep 60", "no answer within 2000 ms"),
        ("echo 'no database' >&2; exit 3", "exited with code 3: no database"),
        ("echo '<html>'", "is not JSON"),
        ("yes", "no answer within"),
        ("head -c 200000 /dev/zero", "more than 64 KiB"),
    ] {
        let said = Asking::of(order(shell(script.to_owned()), counts("$.bad", "$.all"))).trouble();
        assert!(said.contains(wanted), "{script}: {said}");
    }
    let none = Api::Command { command: vec!["/nowhere/at-all".to_owned()] };
    let said = Asking::of(order(none, counts("$.bad", "$.all"))).trouble();
    assert!(said.contains("/nowhere/at-all cannot be run"), "{said}");
}

#[test]
fn rows_of_a_table_are_counted_as_they_come() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("counts.csv");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    std::fs::write(
        &path,
        format!("t,canary,canary_bad,baseline,baseline_bad\n{},999,999,999,999\n", now - 60.0),
    )
    .unwrap();
    let api = Api::Csv { path: path.display().to_string() };
    let asking = Asking::of(order(api, counts("{side}_bad", "{side}")));
    until("a first look", || asking.sources.latest(&stream("shop/production")));
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    let row = |more: f64, rest: &str| format!("{:.3},{rest}\n", now + more);
    // Rows count once their moment has come.
    file.write_all(row(0.9, "10,1,100,2").as_bytes()).unwrap();
    file.write_all(row(1.0, "5,0,50,").as_bytes()).unwrap();
    asking.counted((15, 1), (150, 2));
    file.write_all(b"half a ro").unwrap();
    file.flush().unwrap();
    asking.counted((15, 1), (150, 2));
    file.write_all(b"w\n").unwrap();
    assert!(asking.trouble().contains("line 5: `t` is not a moment"), "{}", asking.trouble());
}

#[test]
fn lines_of_the_instances_outputs_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let append = |name: &str, text: &str| {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    append("v1-0.log", "GET 500\n");
    append("v2-0.log", "GET 500\n");
    let mut order = order(Api::Logs { path: None }, counts(" 5..$", "^GET"));
    let outputs = |names: &[&str]| -> BTreeSet<String> { names.iter().map(|name| path(name)).collect() };
    order.outputs = Outputs { canary: outputs(&["v2-0.log"]), baseline: outputs(&["v1-0.log"]) };
    let mut asking = Asking::of(order);
    asking.begun();
    append("v2-0.log", "GET 200\nGET 503\nnoise\n");
    append("v1-0.log", "GET 200\nGET 200\nGET 200\n");
    asking.counted((2, 1), (3, 0));
    // Another instance comes up: all of its lines are new, and counting goes on.
    append("v2-1.log", "GET 200\nGET 500\n");
    asking.order.outputs.canary = outputs(&["v2-0.log", "v2-1.log"]);
    asking.sources.want(&stream("shop/production"), &asking.order);
    asking.counted((4, 2), (3, 0));
    let wrong = Asking::of(Order {
        outputs: asking.order.outputs.clone(),
        ..self::order(Api::Logs { path: None }, counts("(", "."))
    });
    assert!(wrong.trouble().contains("`(` is not a pattern"), "{}", wrong.trouble());
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// One push; the status line and the body of the answer.
fn push(port: u16, headers: &str, body: &[u8]) -> (String, String) {
    let mut stream = until("a listener", || TcpStream::connect(("127.0.0.1", port)).ok());
    let head = format!(
        "POST /v1/metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    drop(stream.write_all(body));
    let mut text = String::new();
    drop(stream.read_to_string(&mut text));
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}

fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// A request with sums of all and of failed requests of a version, as an SDK pushes it in JSON.
fn sums(version: &str, start_ns: u64, all: u64, failed: u64) -> Vec<u8> {
    let point = |status: &str, count: u64| {
        json!({"attributes": [{"key": "status", "value": {"intValue": status}}],
            "startTimeUnixNano": start_ns.to_string(), "timeUnixNano": now_ns().to_string(),
            "asInt": count.to_string()})
    };
    let sum = json!({"aggregationTemporality": 2, "isMonotonic": true,
        "dataPoints": [point("200", all - failed), point("503", failed)]});
    let metrics = json!([{"name": "http.requests", "unit": "1", "sum": sum}]);
    let resource = json!({"attributes": [
        {"key": "service.name", "value": {"stringValue": "shop"}},
        {"key": "service.version", "value": {"stringValue": version}}]});
    let scopes = json!([{"scope": {}, "metrics": metrics}]);
    json!({"resourceMetrics": [{"resource": resource, "scopeMetrics": scopes}]}).to_string().into_bytes()
}

const JSON: &str = "content-type: application/json\r\n";

#[test]
fn sums_that_are_pushed_are_counted_by_version() {
    let port = free_port();
    let api = Api::Otlp { listen: format!("127.0.0.1:{port}"), token: None };
    let asking = Asking::at_rest(order(api, counts("http.requests{status=\"5*\"}", "http.requests")));
    let start = now_ns();
    push(port, JSON, &sums("v1", start, 100, 0));
    push(port, JSON, &sums("v2", start, 10, 0));
    let base = asking.begin();
    let (status, body) = push(port, JSON, &sums("v2", start, 30, 4));
    assert_eq!((status.as_str(), body.as_str()), ("HTTP/1.1 200 OK", "{}"));
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&sums("v1", start, 300, 1)).unwrap();
    let headers = format!("{JSON}content-encoding: gzip\r\n");
    assert_eq!(push(port, &headers, &packed.finish().unwrap()).0, "HTTP/1.1 200 OK");
    asking.sample("what was pushed", |sample| {
        let Sample::Counts { canary, baseline } = sample.since(Some(&base)) else { panic!("{sample:?}") };
        (canary.total, canary.bad, baseline.total, baseline.bad) == (20, 4, 200, 1)
    });
    for (headers, body, wanted) in [
        (JSON, &b"<html>"[..], "400 Bad Request"),
        ("content-type: application/x-protobuf\r\n", b"\xff\xff\xff", "400 Bad Request"),
        ("content-type: text/plain\r\n", b"", "415 Unsupported Media Type"),
        ("content-type: application/json\r\ncontent-encoding: gzip\r\n", b"no", "400 Bad Request"),
    ] {
        let (status, _) = push(port, headers, body);
        assert!(status.ends_with(wanted), "{status}");
    }
    let mut bomb = GzEncoder::new(Vec::new(), Compression::default());
    for _ in 0..20 {
        bomb.write_all(&vec![b' '; 1 << 20]).unwrap();
    }
    let (status, _) = push(port, &headers, &bomb.finish().unwrap());
    assert!(status.ends_with("413 Payload Too Large"), "{status}");
}

/// Protobuf, written by hand: a field of a message or text, and one of a varint.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 1 << 14);
    let length = bytes.len();
    let mut out = vec![number << 3 | 2];
    if length < 128 {
        out.push(length as u8);
    } else {
        out.extend([length as u8 | 0x80, (length >> 7) as u8]);
    }
    out.extend(bytes);
    out
}

fn fixed(number: u8, value: u64) -> Vec<u8> {
    [&[number << 3 | 1][..], &value.to_le_bytes()].concat()
}

/// A delta histogram in milliseconds (bounds 10 and 100) of a version, as an SDK pushes it in protobuf.
fn histogram(version: &str, counts: [u64; 3]) -> Vec<u8> {
    let packed =
        |values: &[u64]| -> Vec<u8> { values.iter().flat_map(|value| value.to_le_bytes()).collect() };
    let bounds = packed(&[10.0_f64.to_bits(), 100.0_f64.to_bits()]);
    let point = [fixed(2, 1), fixed(3, now_ns()), field(6, &packed(&counts)), field(7, &bounds)].concat();
    let data = [field(1, &point), vec![2 << 3, 1]].concat();
    let metric = [field(1, b"latency"), field(3, b"ms"), field(9, &data)].concat();
    let value = field(1, version.as_bytes());
    let attribute = [field(1, b"service.version"), field(2, &value)].concat();
    let resource = field(1, &attribute);
    field(1, &[field(1, &resource), field(2, &field(2, &metric))].concat())
}

#[test]
fn histograms_that_are_pushed_in_protobuf_are_counted_by_bucket() {
    let port = free_port();
    let api = Api::Otlp { listen: format!("127.0.0.1:{port}"), token: None };
    let shape = Shape::Buckets {
        buckets: "latency".to_owned(),
        quantile_bp: 9_500,
        unit_us: 1,
        scale_micro: 1_000_000,
    };
    let asking = Asking::at_rest(order(api, shape));
    let protobuf = "content-type: application/x-protobuf\r\n";
    push(port, protobuf, &histogram("v1", [1, 0, 0]));
    push(port, protobuf, &histogram("v2", [1, 0, 0]));
    let base = asking.begin();
    assert_eq!(
        push(port, protobuf, &histogram("v2", [5, 3, 2])),
        ("HTTP/1.1 200 OK".to_owned(), String::new())
    );
    push(port, protobuf, &histogram("v1", [50, 0, 0]));
    asking.sample("what was pushed", |sample| {
        let Sample::Buckets { canary, baseline } = sample.since(Some(&base)) else { panic!("{sample:?}") };
        let whole: Vec<(u64, u64)> = vec![(10_000, 5), (100_000, 3), (u64::MAX, 2)];
        canary == whole && baseline.first() == Some(&(10_000, 50))
    });
}

/// One metric of a version in JSON, of any kind.
fn one(version: &str, kind: &str, data: &serde_json::Value) -> Vec<u8> {
    let resource = json!({"attributes": [{"key": "service.version", "value": {"stringValue": version}}]});
    let scopes = json!([{"metrics": [{"name": "latency", "unit": "ms", kind: data}]}]);
    json!({"resourceMetrics": [{"resource": resource, "scopeMetrics": scopes}]}).to_string().into_bytes()
}

#[test]
fn exponential_histograms_are_counted_and_what_cannot_be_added_is_rejected() {
    let port = free_port();
    let api = Api::Otlp { listen: format!("127.0.0.1:{port}"), token: None };
    let shape = Shape::Buckets {
        buckets: "latency".to_owned(),
        quantile_bp: 9_500,
        unit_us: 1,
        scale_micro: 1_000_000,
    };
    let asking = Asking::at_rest(order(api, shape));
    let start = now_ns();
    let pushed = |version: &str, scale: i32, zero: u64, counts: [u64; 2]| {
        let point = json!({"startTimeUnixNano": start.to_string(), "timeUnixNano": now_ns().to_string(),
            "scale": scale, "zeroCount": zero.to_string(),
            "positive": {"offset": 0, "bucketCounts": counts.map(|count| count.to_string())}});
        one(version, "exponentialHistogram", &json!({"aggregationTemporality": 2, "dataPoints": [point]}))
    };
    push(port, JSON, &pushed("v1", 1, 0, [0, 0]));
    push(port, JSON, &pushed("v2", 1, 0, [0, 0]));
    let base = asking.begin();
    // At scale 1 the buckets are (1, 1.41] and (1.41, 2] ms; then both become one at scale 0.
    push(port, JSON, &pushed("v2", 1, 0, [2, 3]));
    push(port, JSON, &pushed("v2", 0, 1, [6, 4]));
    push(port, JSON, &pushed("v1", 1, 0, [7, 0]));
    asking.sample("what was pushed", |sample| {
        let Sample::Buckets { canary, baseline } = sample.since(Some(&base)) else { panic!("{sample:?}") };
        let filled: Vec<(u64, u64)> = canary.into_iter().filter(|(_, count)| *count > 0).collect();
        filled == [(1, 1), (1_414, 2), (2_000, 4), (4_000, 4)] && baseline.contains(&(1_414, 7))
    });
    // Quantiles of a process cannot be added to those of another: the sender learns it.
    let point = json!({"timeUnixNano": now_ns().to_string(), "count": "1", "sum": 1.0,
        "quantileValues": [{"quantile": 0.5, "value": 1.0}]});
    let (status, body) = push(port, JSON, &one("v2", "summary", &json!({"dataPoints": [point]})));
    assert_eq!(status, "HTTP/1.1 200 OK");
    let told: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(told["partialSuccess"]["rejectedDataPoints"], "1");
    assert!(told["partialSuccess"]["errorMessage"].as_str().unwrap().contains("push a histogram"), "{told}");
}

#[test]
fn who_pushes_presents_the_token_also_while_nothing_is_in_flight() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "planted-token\n").unwrap();
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let secret = taxiway_model::metrics::Secret::File(token.display().to_string());
    let api = Api::Otlp { listen: listen.clone(), token: Some(secret) };
    let asking = Asking::at_rest(order(api, counts("http.requests{status=\"5*\"}", "http.requests")));
    let start = now_ns();
    let with = |token: &str| push(port, &format!("{JSON}{token}"), &sums("v1", start, 10, 0));
    for wrong in ["", "authorization: Bearer planted\r\n", "authorization: Basic planted-token\r\n"] {
        let (status, body) = with(wrong);
        assert!(
            status.ends_with("401 Unauthorized") && body.starts_with("{\"message\":"),
            "{status}: {body}"
        );
        assert!(!body.contains("planted"), "{body}");
    }
    let (status, body) = push(port, "content-type: application/x-protobuf\r\n", b"");
    assert!(status.ends_with("401 Unauthorized") && body.starts_with('\u{12}'), "a message: {body:?}");
    assert_eq!(with("authorization: Bearer planted-token\r\n").0, "HTTP/1.1 200 OK");
    // It is read anew at each push.
    std::fs::write(&token, "another-token").unwrap();
    assert!(with("authorization: Bearer planted-token\r\n").0.ends_with("401 Unauthorized"));
    let bearer = "authorization: Bearer another-token\r\n";
    let header = format!("{JSON}{bearer}");
    push(port, &header, &sums("v2", start, 5, 0));
    let base = asking.begin();
    push(port, &header, &sums("v1", start, 30, 1));
    push(port, &header, &sums("v2", start, 9, 2));
    asking.sample("what was pushed since", |sample| {
        let Sample::Counts { canary, baseline } = sample.since(Some(&base)) else { panic!("{sample:?}") };
        (canary.total, canary.bad, baseline.total, baseline.bad) == (4, 2, 20, 1)
    });
    std::fs::remove_file(&token).unwrap();
    let (status, body) = with(bearer);
    assert!(status.ends_with("503 Service Unavailable") && !body.contains("token\""), "{status}: {body}");

    // The release is over: it goes on to listen until nobody names it any more.
    asking.sources.forget(&stream("shop/production"));
    assert!(with(bearer).0.ends_with("503 Service Unavailable"));
    assert_eq!(asking.sources.attend(&[]), []);
    until("a closed door", || TcpStream::connect(("127.0.0.1", port)).err());
    let _taken = until("the address", || TcpListener::bind(&listen).ok());
    let deaf = asking.sources.attend(&asking.order.sources);
    assert!(deaf[0].0 == listen && deaf[0].1.contains("cannot be listened to"), "{deaf:?}");
}
