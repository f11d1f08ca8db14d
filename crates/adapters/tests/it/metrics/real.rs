//! Debian's Prometheus, scraping a tiny exporter, asked the queries of the given document.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use taxiway_adapters::metrics::Sources as Source;
use taxiway_engine::ports::metrics::Metrics;
use taxiway_model::document::canary_config;
use taxiway_model::ids::MetricName;
use taxiway_model::metrics::{Api, Influx, Sample, Shape, Tally};

use super::world::{Prometheus, answer, find_or_skip, order, order_of, serve, stream, until};

/// The page of an exporter whose versions have had so many requests, one in ten of v2's failed.
fn page(requests: u64) -> String {
    let mut page = String::from("# TYPE http_requests_total counter\n");
    for (version, share) in [("v1", 0), ("v2", 10)] {
        let failed = requests * share / 100;
        let counter = format!("http_requests_total{{version=\"{version}\"");
        writeln!(page, "{counter},status=\"200\"}} {}", requests - failed).unwrap();
        writeln!(page, "{counter},status=\"503\"}} {failed}").unwrap();
        let bucket = format!("http_request_duration_seconds_bucket{{version=\"{version}\"");
        for (le, of_ten) in [("0.1", 8), ("0.5", 9), ("+Inf", 10)] {
            writeln!(page, "{bucket},le=\"{le}\"}} {}", requests * of_ten / 10).unwrap();
        }
    }
    page
}

#[test]
fn the_given_document_is_counted_by_a_real_prometheus() {
    let requests = Arc::new(AtomicU64::new(1_000));
    let shown = Arc::clone(&requests);
    let (url, _) = serve(move |_, _, connection| {
        let page = page(shown.load(Ordering::SeqCst));
        answer(connection, "200 OK", "content-type: text/plain; version=0.0.4\r\n", &page);
    });
    let exporter = url.trim_start_matches("http://");
    let test = "adapters::metrics::real::the_given_document_is_counted_by_a_real_prometheus";
    let Some(prometheus) = Prometheus::start(test, exporter) else { return };

    let config =
        canary_config::read(include_bytes!("../../../../model/tests/it/canary-analysis.yaml")).unwrap();
    let queries: Vec<_> = config.metrics.iter().map(|m| (m.name.as_str(), m.query.as_str())).collect();
    let source = Source::start().unwrap();
    let stream = stream("service-x/production");
    let mut order = order(&prometheus.url, &queries);
    order.sources[0].timeout_ms = 5_000;
    source.want(&stream, &order);

    let first = until("all metrics", || source.latest(&stream).filter(|r| r.samples.len() == 3));
    assert!(first.trouble.is_empty(), "{first:?}");
    let of = |name: &str| {
        let name = MetricName::new(name).unwrap();
        source.latest(&stream).unwrap().samples[&name].since(first.samples.get(&name))
    };
    requests.fetch_add(500, Ordering::SeqCst);
    until("the new requests", || (of("error_rate").totals() == (500, 500)).then_some(()));
    let more = |bad| Tally { total: 500, bad };
    assert_eq!(of("error_rate"), Sample::Counts { canary: more(50), baseline: more(0) });
    until("the burn rate", || (of("slo_burn_rate") == of("error_rate")).then_some(()));
    let buckets = vec![(100_000, 400), (500_000, 50), (u64::MAX, 50)];
    let latency = Sample::Buckets { canary: buckets.clone(), baseline: buckets };
    until("the latencies", || (of("latency_p95") == latency).then_some(()));

    // The exporter begins again at zero: what it has counted since then is added.
    requests.store(100, Ordering::SeqCst);
    until("the reset", || (of("error_rate").totals() == (600, 600)).then_some(()));
    assert_eq!(of("error_rate"), Sample::Counts { canary: more(60).plus(100), baseline: more(0).plus(100) });

    // A query that Prometheus refuses is told in its words.
    let mut wrong = order;
    for query in &mut wrong.sources[0].queries {
        if let taxiway_model::metrics::Shape::Counts { total, .. } = &mut query.shape {
            *total = "http_requests_total{".to_owned();
        }
    }
    source.want(&stream, &wrong);
    let said = until("trouble", || source.latest(&stream)?.trouble.into_values().next());
    assert!(said.contains("400 Bad Request") && said.contains("parse error"), "{said}");
}

trait Plus {
    fn plus(self, more: u64) -> Self;
}

impl Plus for Tally {
    fn plus(self, more: u64) -> Self {
        Self { total: self.total + more, ..self }
    }
}

/// Debian's InfluxDB of version 1, ended with the test.
struct Influxd {
    port: u16,
    child: std::process::Child,
    _room: tempfile::TempDir,
}

impl Influxd {
    fn start(test: &str) -> Option<Self> {
        let program = find_or_skip(test, "influxd")?;
        let room = tempfile::tempdir().unwrap();
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (port, backup) = (free(), free());
        let folder = room.path().display();
        let config = format!(
            "reporting-disabled = true\nbind-address = \"127.0.0.1:{backup}\"\n[meta]\ndir = \"{folder}/meta\"\n\
             [data]\ndir = \"{folder}/data\"\nwal-dir = \"{folder}/wal\"\n[http]\nbind-address = \"127.0.0.1:{port}\"\n"
        );
        let path = room.path().join("influxdb.conf");
        std::fs::write(&path, config).unwrap();
        let quiet = std::process::Stdio::null;
        let child = std::process::Command::new(program)
            .arg("-config")
            .arg(path)
            .stdin(quiet())
            .stdout(quiet())
            .stderr(quiet())
            .spawn()
            .unwrap();
        let influxd = Self { port, child, _room: room };
        until("an InfluxDB that listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        Some(influxd)
    }

    fn post(&self, path: &str, body: &str) {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let head = "host: a\r\nconnection: close\r\ncontent-type: application/x-www-form-urlencoded";
        let length = body.len();
        std::io::Write::write_all(
            &mut stream,
            format!("POST {path} HTTP/1.1\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}").as_bytes(),
        )
        .unwrap();
        let mut said = String::new();
        std::io::Read::read_to_string(&mut stream, &mut said).unwrap();
        assert!(said.starts_with("HTTP/1.1 20"), "{said}");
    }
}

impl Drop for Influxd {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn a_real_influxdb_is_counted_by_influxql() {
    let test = "adapters::metrics::real::a_real_influxdb_is_counted_by_influxql";
    let Some(influxd) = Influxd::start(test) else { return };
    influxd.post("/query", "q=CREATE%20DATABASE%20shop");
    let labels = std::collections::BTreeMap::from([("version".to_owned(), "{version}".to_owned())]);
    let of = |measurement: &str| {
        format!(
            "SELECT sum(n) FROM {measurement} WHERE version = '{{version}}' AND time >= {{from}} AND \
             time < {{to}} GROUP BY time({{bucket}})"
        )
    };
    let metric = MetricName::new("errors").unwrap();
    let shape = Shape::Counts { bad: of("errors"), total: of("requests"), scale_micro: 1_000_000 };
    let query = taxiway_model::metrics::Query { metric: metric.clone(), text: String::new(), shape };
    let mut order = order_of(taxiway_model::metrics::Source {
        name: "influx".to_owned(),
        api: Api::Influxdb {
            url: format!("http://127.0.0.1:{}", influxd.port),
            of: Influx::Influxql { database: "shop".to_owned() },
            credentials: None,
        },
        interval_ms: 200,
        timeout_ms: 5_000,
        bucket_ms: 1_000,
        delay_ms: 0,
        canary: labels.clone(),
        baseline: labels,
        queries: vec![query],
    });
    let source = Source::start().unwrap();
    let stream = stream("shop/production");
    source.want(&stream, &order);
    // Ten and a hundred requests a second from now on, one of ten failed on the canary.
    let second = || std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let mut written = second();
    let counted = until("sums of three seconds", || {
        for at in written + 1..=second() {
            influxd.post(
                "/write?db=shop&precision=s",
                &format!(
                    "requests,version=v2 n=10i {at}\nrequests,version=v1 n=100i {at}\nerrors,version=v2 n=1i {at}\n"
                ),
            );
            written = at;
        }
        let reading = source.latest(&stream)?;
        assert!(reading.trouble.is_empty(), "{reading:?}");
        reading.samples.get(&metric).cloned().filter(|sample| sample.totals().0 >= 30)
    });
    let Sample::Counts { canary, baseline } = counted else { panic!("{counted:?}") };
    assert_eq!((canary.total, canary.total * 10), (canary.bad * 10, baseline.total));
    // A database that is not there is told in its words.
    if let Api::Influxdb { of: Influx::Influxql { database }, .. } = &mut order.sources[0].api {
        "none".clone_into(database);
    }
    source.want(&stream, &order);
    let said = until("trouble", || source.latest(&stream)?.trouble.into_values().next());
    assert!(said.contains("database not found: none"), "{said}");
}
