//! CloudWatch as moto emulates it; `cargo xtask parts` gets and names it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::UNIX_EPOCH;

use serde_json::{Value, json};
use taxiway_adapters::metrics::Sources;
use taxiway_engine::ports::metrics::Metrics;
use taxiway_model::ids::MetricName;
use taxiway_model::metrics::{Api, Query, Sample, Secret, Shape, Source};

use super::world::{order_of, stream, until};

/// A server of our own, ended with the test.
struct Moto {
    port: u16,
    child: Child,
}

impl Moto {
    fn start() -> Self {
        let program = std::env::var("TAXIWAY_MOTO").expect("`cargo xtask parts` says where moto is");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let quiet = Stdio::null;
        let child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(quiet())
            .stdout(quiet())
            .stderr(quiet())
            .spawn()
            .unwrap();
        until("a moto that listens", || TcpStream::connect(("127.0.0.1", port)).ok());
        Self { port, child }
    }

    /// Puts a second's sums of a version.
    fn put(&self, version: &str, at: u64, all: u64, bad: u64) {
        let one = |name: &str, value: u64| {
            json!({"MetricName": name, "Dimensions": [{"Name": "Version", "Value": version}], "Timestamp": at,
                "Value": value})
        };
        let body = json!({"Namespace": "Shop", "MetricData": [one("Requests", all), one("Errors", bad)]});
        let body = body.to_string();
        let head = format!(
            "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/x-amz-json-1.0\r\n\
             x-amz-target: GraniteServiceVersion20100801.PutMetricData\r\n\
             authorization: AWS4-HMAC-SHA256 Credential=a/20261121/eu-central-1/monitoring/aws4_request, \
             SignedHeaders=host, Signature=0\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all((head + &body).as_bytes()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert!(said.contains(" 200 "), "{said}");
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn an_emulated_cloudwatch_is_counted_and_its_refusals_are_told() {
    let moto = Moto::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "AKIAIOSFODNN7EXAMPLE").unwrap();
    let key = Secret::File(path.display().to_string());
    let metric = MetricName::new("errors").unwrap();
    let shape = |what: &str| Shape::Counts {
        bad: format!("Shop:{what}{{Version=\"{{version}}\"}} Sum"),
        total: "Shop:Requests{Version=\"{version}\"} Sum".to_owned(),
        scale_micro: 1_000_000,
    };
    let query = Query { metric: metric.clone(), text: String::new(), shape: shape("Errors") };
    let labels = BTreeMap::from([("version".to_owned(), "{version}".to_owned())]);
    let mut order = order_of(Source {
        name: "cloudwatch".to_owned(),
        api: Api::Cloudwatch {
            region: "eu-central-1".to_owned(),
            url: Some(format!("http://127.0.0.1:{}", moto.port)),
            access_key: key.clone(),
            secret_key: key,
            session_token: None,
        },
        interval_ms: 300,
        timeout_ms: 10_000,
        bucket_ms: 1_000,
        delay_ms: 0,
        canary: labels.clone(),
        baseline: labels,
        queries: vec![query],
    });
    let (sources, stream) = (Sources::start().unwrap(), stream("shop/production"));
    sources.want(&stream, &order);
    let second = || UNIX_EPOCH.elapsed().unwrap().as_secs();
    let mut written = second();
    let counted = until("sums of three seconds", || {
        for at in written + 1..=second() {
            moto.put("v2", at, 10, 1);
            moto.put("v1", at, 100, 2);
            written = at;
        }
        let reading = sources.latest(&stream)?;
        assert!(reading.trouble.is_empty(), "{reading:?}");
        reading.samples.get(&metric).cloned().filter(|sample| sample.totals().0 >= 30)
    });
    let Sample::Counts { canary, baseline } = counted else { panic!("{counted:?}") };
    assert_eq!((canary.total, canary.total * 10), (canary.bad * 10, baseline.total));

    // A period that CloudWatch does not know is refused in its words.
    order.sources[0].queries[0].shape =
        Shape::Scalar { expression: "SELECT nonsense".to_owned(), every_ms: 1_000, why: String::new() };
    sources.want(&stream, &order);
    let said: Value = until("trouble", || {
        let reading = sources.latest(&stream)?;
        reading.trouble.into_values().next().map(Value::String)
    });
    println!("moto says of a query that is none: {said}");
}
