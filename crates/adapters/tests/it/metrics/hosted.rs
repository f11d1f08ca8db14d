//! Hosted sources, played by a server of our own that says what their public recordings say: sums are
//! counted once, every fault is told with what to do, and no secret is repeated.

mod exchanges;
mod faults;

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use taxiway_adapters::metrics::Sources;
use taxiway_engine::ports::metrics::Metrics;
use taxiway_model::ids::MetricName;
use taxiway_model::metrics::{Api, Credentials, Influx, Query, Reading, Sample, Secret, Shape, Source};

use super::world::{answer, order_of, serve, stream, until};
use faults::{FAULTS, Held};

/// What is planted, and must never be seen again.
const PLANTED: &str = "planted-secret-0451";

/// Answers as they should be; with nothing in them; and then the faults by their place.
const WELL: usize = 0;
const EMPTY: usize = 1;
const FIRST_FAULT: usize = 2;

/// A source as a test plays it.
#[derive(Clone, Copy)]
struct Hosted {
    api: fn(&str, Secret) -> Api,
    bad: &'static str,
    total: &'static str,
    /// The answer to a request, with a point for each of the moments.
    good: fn(&str, &[u64]) -> String,
    /// What is told of an answer with nothing in it.
    empty: &'static str,
    /// A refusal of the question: status, body, and what is told of it.
    refusal: (&'static str, &'static str, &'static str),
    /// A refusal of who asks, as this source has it: status and body.
    who: (&'static str, &'static str),
    /// What is told of garbage.
    garbage: &'static str,
    /// What a request has.
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
    mode: Arc<AtomicUsize>,
    by_time: bool,
    sources: Sources,
    asked: std::sync::mpsc::Receiver<String>,
}

impl Hosted {
    /// Plays it, its clock so many seconds ahead.
    fn play(self, mode: usize, ahead_s: i64) -> Played {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, format!("{PLANTED}\n")).unwrap();
        let mode = Arc::new(AtomicUsize::new(mode));
        let switch = Arc::clone(&mode);
        let ahead = AtomicI64::new(ahead_s);
        let held = Held::default();
        let (sender, asked) = std::sync::mpsc::channel();
        let (url, _) = serve(move |_, request, connection| {
            sender.send(request.to_owned()).unwrap_or_default();
            let now = now_s().saturating_add_signed(ahead.load(Ordering::SeqCst));
            self.respond(switch.load(Ordering::SeqCst), now, request, connection, &held);
        });
        let secret = Secret::File(path.display().to_string());
        let shape = Shape::Counts { bad: self.bad.into(), total: self.total.into(), scale_micro: 1_000_000 };
        let query = Query { metric: MetricName::new("errors").unwrap(), text: String::new(), shape };
        let labels = std::collections::BTreeMap::from([("version".to_owned(), "{version}".to_owned())]);
        let source = Source {
            name: "hosted".to_owned(),
            api: (self.api)(&url, secret),
            interval_ms: 100,
            timeout_ms: 700,
            bucket_ms: 1_000,
            delay_ms: 0,
            canary: labels.clone(),
            baseline: labels,
            queries: vec![query],
        };
        let sources = Sources::start().unwrap();
        sources.want(&stream("shop/production"), &order_of(source));
        let by_time = self.empty == "no data of the canary yet";
        Played { folder, mode, by_time, sources, asked }
    }

    fn respond(&self, mode: usize, now: u64, request: &str, connection: &mut TcpStream, held: &Held) {
        let seconds: Vec<u64> = (now - 8..=now).collect();
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(now));
        let headers = format!("date: {date}\r\ncontent-type: application/json\r\n");
        match mode {
            WELL => answer(connection, "200 OK", &headers, &(self.good)(request, &seconds)),
            EMPTY => answer(connection, "200 OK", &headers, &(self.good)(request, &[])),
            fault => {
                let good = || (self.good)(request, &seconds);
                (FAULTS[fault - FIRST_FAULT].play)(self, &good, connection, held);
            }
        }
    }

    /// Good and bad answers, one after the other.
    fn check(self) {
        let played = self.play(EMPTY, 0);
        let request = played.asked.recv_timeout(Duration::from_secs(10)).unwrap();
        for mark in self.marks {
            assert!(request.contains(mark), "{mark} in {request}");
        }
        played.until("an empty answer", |reading| {
            let told = reading.nothing.values().chain(reading.trouble.values());
            reading.samples.is_empty() && told.into_iter().any(|why| why == self.empty)
        });
        played.is_well();
        for (place, fault) in FAULTS.iter().enumerate() {
            let said = played.trouble(FIRST_FAULT + place, &(fault.told)(&self));
            if said.contains("credentials are refused") {
                let path = played.folder.path().join("key");
                assert!(said.contains(&format!("look at the file {}", path.display())), "{said}");
            }
        }
        played.is_well();
    }
}

impl Played {
    fn until(&self, what: &str, fits: impl Fn(&Reading) -> bool) -> Reading {
        until(what, || self.sources.latest(&stream("shop/production")).filter(|reading| fits(reading)))
    }

    /// Waits until a fault is told in one of these words, without the secret.
    fn trouble(&self, mode: usize, wanted: &[&str]) -> String {
        self.mode.store(WELL, Ordering::SeqCst);
        self.until("a good answer", |reading| reading.trouble.is_empty());
        self.mode.store(mode, Ordering::SeqCst);
        let fits = |why: &String| wanted.iter().any(|wanted| why.contains(wanted));
        let reading = self.until(&format!("trouble with {wanted:?}"), |reading| {
            let said = format!("{:?}", reading.trouble);
            assert!(!said.contains(PLANTED), "{said}");
            reading.trouble.values().any(fits)
        });
        reading.trouble.into_values().find(fits).unwrap()
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
        assert_eq!((canary.total, baseline.total), (canary.bad * 10, baseline.bad * 50), "{reading:?}");
        assert_eq!(canary.total * 10, baseline.total, "both sides count up to the same moment");
        if self.by_time {
            assert!(canary.total <= 10 * 120, "every second counts once: {canary:?}");
        }
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
        good: if version == 1 { exchanges::datadog_v1 } else { exchanges::datadog_v2 },
        empty: "no data of the canary yet",
        refusal: (
            "400 Bad Request",
            r#"{"errors":["API input validation failed: Invalid type. Expected \"timeseries_request\"."]}"#,
            "400 Bad Request: API input validation failed",
        ),
        who: ("403 Forbidden", r#"{"errors":["Forbidden"]}"#),
        garbage: "not what Datadog says",
        marks: &["dd-api-key: planted", "dd-application-key: planted"],
    }
}

fn datadog_api(url: &str, key: Secret, version: u8) -> Api {
    Api::Datadog { url: url.to_owned(), version, api_key: key.clone(), application_key: key }
}

fn cloudwatch() -> Hosted {
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
        good: exchanges::cloudwatch,
        empty: "no data of the canary yet",
        refusal: (
            "400 Bad Request",
            r#"{"__type":"com.amazonaws.cloudwatch.v2010_08_01#InvalidParameterValueException","message":"The parameter Period must be a valid period"}"#,
            "InvalidParameterValueException: The parameter Period",
        ),
        who: (
            "400 Bad Request",
            r#"{"__type":"com.amazon.coral.service#UnrecognizedClientException","message":"The security token included in the request is invalid."}"#,
        ),
        garbage: "not what CloudWatch says",
        marks: &[
            "authorization: AWS4-HMAC-SHA256 Credential=planted-secret-0451/",
            "/eu-central-1/monitoring/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature=",
            "x-amz-target: GraniteServiceVersion20100801.GetMetricData",
        ],
    }
}

fn new_relic() -> Hosted {
    Hosted {
        api: |url, api_key| Api::Newrelic { url: url.to_owned(), account: 12_345, api_key },
        bad: "SELECT count(*) FROM TransactionError WHERE appVersion = '{version}'",
        total: "SELECT count(*) FROM Transaction WHERE appVersion = '{version}'",
        good: exchanges::newrelic,
        empty: "no data of the canary yet",
        // Errors come with the status 200.
        refusal: (
            "200 OK",
            r#"{"data":{"actor":{"account":{"canary0":null}}},"errors":[{"extensions":{"errorClass":"TOO_MANY_REQUESTS"},"locations":[{"column":3,"line":1}],"message":"too many queries at a time","path":["actor","account","canary0","results"]}]}"#,
            "it answers an error: TOO_MANY_REQUESTS: too many queries",
        ),
        who: ("401 Unauthorized", r#"{"errors":[{"message":"The API key provided is invalid"}]}"#),
        garbage: "not what New Relic says",
        marks: &["POST /graphql ", "api-key: planted"],
    }
}

fn influxdb_v2() -> Hosted {
    Hosted {
        api: |url, token| Api::Influxdb {
            url: url.to_owned(),
            of: Influx::Flux { org: "my shop".to_owned() },
            credentials: Some(Credentials::Token(token)),
        },
        bad: "from(bucket: \"errors\") |> range(start: {from}, stop: {to}) |> filter(fn: (r) => r.version == \"{version}\") |> aggregateWindow(every: {bucket}, fn: sum, timeSrc: \"_start\")",
        total: "from(bucket: \"all\") |> range(start: {from}, stop: {to}) |> filter(fn: (r) => r.version == \"{version}\") |> aggregateWindow(every: {bucket}, fn: sum, timeSrc: \"_start\")",
        good: exchanges::flux,
        empty: "no data of the canary yet",
        refusal: (
            "400 Bad Request",
            r#"{"code":"invalid","message":"compilation failed: error at @1:1"}"#,
            "compilation failed",
        ),
        who: ("401 Unauthorized", r#"{"code":"unauthorized","message":"unauthorized access"}"#),
        garbage: "not what InfluxDB says",
        marks: &["POST /api/v2/query?org=my%20shop ", "authorization: Token planted", "application/vnd.flux"],
    }
}

fn influxdb_v1() -> Hosted {
    Hosted {
        api: |url, password| Api::Influxdb {
            url: url.to_owned(),
            of: Influx::Influxql { database: "shop".to_owned() },
            credentials: Some(Credentials::Basic { user: "me".to_owned(), password }),
        },
        bad: "SELECT sum(n) FROM errors WHERE version = '{version}' AND time >= {from} AND time < {to} GROUP BY time({bucket})",
        total: "SELECT sum(n) FROM requests WHERE version = '{version}' AND time >= {from} AND time < {to} GROUP BY time({bucket})",
        good: exchanges::influxql,
        empty: "no data of the canary yet",
        refusal: (
            "200 OK",
            r#"{"results":[{"statement_id":0,"error":"database not found: shop"}]}"#,
            "database not found: shop",
        ),
        who: ("401 Unauthorized", r#"{"error":"authorization failed"}"#),
        garbage: "not what InfluxDB says",
        marks: &["authorization: Basic bWU6cGxhbnRlZC1zZWNyZXQtMDQ1MQ=="],
    }
}

fn graphite() -> Hosted {
    Hosted {
        api: |url, key| Api::Graphite { url: url.to_owned(), credentials: Some(Credentials::Bearer(key)) },
        bad: "sumSeries(shop.{version}.errors)",
        total: "sumSeries(shop.{version}.requests)",
        good: exchanges::graphite,
        empty: "no data of the canary yet",
        refusal: ("400 Bad Request", "Invalid target", "it answers 400 Bad Request"),
        who: ("403 Forbidden", ""),
        garbage: "not what Graphite says",
        marks: &["POST /render ", "authorization: Bearer planted", "format=json&from=1"],
    }
}

fn prometheus() -> Hosted {
    Hosted {
        api: |url, token| Api::Prometheus {
            url: url.to_owned(),
            credentials: Some(Credentials::Bearer(token)),
        },
        bad: "errors_total{__side__=\"\"}",
        total: "requests_total{__side__=\"\"}",
        good: exchanges::prometheus,
        empty: "no series of the canary yet",
        refusal: (
            "422 Unprocessable Entity",
            r#"{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory in query execution"}"#,
            "422 Unprocessable Entity: query processing would load too many samples",
        ),
        who: ("401 Unauthorized", "Unauthorized\n"),
        garbage: "not what Prometheus says",
        marks: &["authorization: Bearer planted", "version%3D%22v2%22", "timeout=700ms"],
    }
}

fn json() -> Hosted {
    Hosted {
        api: |url, value| Api::Json {
            url: format!("{url}/stats?version={{version}}"),
            credentials: Some(Credentials::Header { name: "X-Shop-Key".to_owned(), value }),
        },
        bad: "$.requests.errors",
        total: "/requests/all",
        good: exchanges::json,
        empty: "there is nothing at $.requests.errors of the canary",
        refusal: (
            "409 Conflict",
            r#"{"title":"the counters are being moved"}"#,
            "the counters are being moved",
        ),
        who: ("401 Unauthorized", "{}"),
        garbage: "the answer is not JSON",
        marks: &["GET /stats?version=v2 ", "x-shop-key: planted"],
    }
}

/// Most of it is waiting, for deadlines and pauses: all of them at once.
#[test]
fn every_source_is_counted_and_every_fault_of_it_is_told() {
    let all = [
        ("datadog v1", datadog(1)),
        ("datadog v2", datadog(2)),
        ("cloudwatch", cloudwatch()),
        ("new relic", new_relic()),
        ("influxdb v2", influxdb_v2()),
        ("influxdb v1", influxdb_v1()),
        ("graphite", graphite()),
        ("prometheus", prometheus()),
        ("json", json()),
    ];
    std::thread::scope(|scope| {
        for (name, hosted) in all {
            let named = std::thread::Builder::new().name(name.to_owned());
            named.spawn_scoped(scope, move || hosted.check()).unwrap();
        }
    });
}

/// Sums by time are asked for and counted on the source's clock, whichever way it is wrong.
#[test]
fn the_clock_of_the_source_is_what_counts() {
    let by_time =
        [datadog(1), datadog(2), cloudwatch(), new_relic(), influxdb_v2(), influxdb_v1(), graphite()];
    let played: Vec<Played> = by_time
        .iter()
        .zip([3_600, -3_600].into_iter().cycle())
        .map(|(hosted, ahead_s)| hosted.play(WELL, ahead_s))
        .collect();
    for played in &played {
        played.is_well();
    }
    let last = played[1].asked.try_iter().last().unwrap();
    let asked: Value = serde_json::from_str(body(&last)).unwrap();
    let to = asked["data"]["attributes"]["to"].as_u64().unwrap() / 1_000;
    assert!(to.abs_diff(now_s() - 3_600) < 10, "it is asked for its own time: {to}");
}
