//! The given CanaryConfig, unmodified, judges releases by what a real Prometheus has scraped.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use crate::bed::{Bed, Traffic, ended, eventually};
use crate::hooks::{free_port, get};

const GIVEN: &str = include_str!("../../../model/tests/it/canary-analysis.yaml");

/// What the instances' own counters would say after so many milliseconds: v1 and v3 are well, of
/// v2's requests every fifth fails. The proxy sees nothing of it.
fn page(ms: u64) -> String {
    let mut page = String::new();
    for (version, per_s, failed_percent) in [("v1", 500, 0), ("v2", 50, 20), ("v3", 50, 0)] {
        let requests = ms * per_s / 1_000;
        let failed = requests * failed_percent / 100;
        let of = format!("{{version=\"{version}\"");
        let counter = format!("http_requests_total{of}");
        writeln!(page, "{counter},status=\"200\"}} {}", requests - failed).unwrap();
        writeln!(page, "{counter},status=\"503\"}} {failed}").unwrap();
        let bucket = format!("http_request_duration_seconds_bucket{of}");
        for (le, percent) in [("0.1", 90), ("0.5", 99), ("+Inf", 100)] {
            writeln!(page, "{bucket},le=\"{le}\"}} {}", requests * percent / 100).unwrap();
        }
    }
    page
}

/// Serves the page until the test process ends; its address.
fn exporter() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let began = Instant::now();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let body = page(began.elapsed().as_millis() as u64);
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\nconnection: close\r\n";
            let _ = write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len());
        }
    });
    address
}

/// A Prometheus that scrapes five times a second, ended with the test.
struct Prometheus {
    url: String,
    child: Child,
}

impl Prometheus {
    /// Scrapes what `targets` say, a part of a scrape configuration. None, and a line among the skips,
    /// where there is none.
    fn start(test: &str, folder: &Path, targets: &str) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program =
            std::env::split_paths(&path).map(|folder| folder.join("prometheus")).find(|f| f.is_file());
        let Some(program) = program else {
            if let Some(file) = std::env::var_os("TAXIWAY_SKIPS") {
                let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
                writeln!(file, "{test}: no `prometheus` on this machine (Debian's package has it)").unwrap();
            }
            return None;
        };
        let config = format!(
            "scrape_configs:\n- job_name: shop\n  scrape_interval: 200ms\n  scrape_timeout: 200ms\n  {targets}\n"
        );
        std::fs::write(folder.join("prometheus.yml"), config).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(program)
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("prometheus").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("Prometheus listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(Self { url: format!("http://127.0.0.1:{port}"), child })
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_given_document_rolls_back_by_a_real_prometheus_and_its_silence_does_too() {
    let bed = Arc::new(Bed::new(Bed::QUICK).with_v1());
    let test = "cli::by_query::the_given_document_rolls_back_by_a_real_prometheus_and_its_silence_does_too";
    let targets = format!("static_configs: [{{targets: ['{}']}}]", exporter());
    let Some(prometheus) = Prometheus::start(test, bed.folder(), &targets) else { return };
    std::fs::write(bed.folder().join("canary-analysis.yaml"), GIVEN).unwrap();
    let yaml = std::fs::read_to_string(bed.file()).unwrap().replace(Bed::QUICK, "");
    let source = format!("{{prometheus: {{url: '{}', interval: 200ms}}}}", prometheus.url);
    let analysis = format!("  source: 3s\nanalysis:\n  file: canary-analysis.yaml\n  source: {source}\n");
    std::fs::write(bed.file(), yaml + &analysis).unwrap();

    let told = bed.ok(&["check"]).out;
    assert!(told.contains("(1%, 5%, 25%, 100%)"), "{told}");
    let selector = "canary   http_requests_total{version=\"<version>\",status=~\"5..\"}";
    assert!(told.contains(selector), "how the sides are told apart is shown: {told}");

    let traffic: Vec<Traffic> = (0..4).map(|_| Traffic::on(&bed)).collect();
    bed.version("v2", "healthy");
    let said = bed.run(&["release", "--version", "v2", "--timeout", "90s"]);
    assert_eq!(said.code, 5, "{said:?}\n{}", bed.output());
    let last = bed.ok(&["history", "--json"]).json()[0].clone();
    let why = last["sentence"].as_str().unwrap();
    assert!(why.contains("error_rate") || why.contains("slo_burn_rate"), "{last:#}");
    assert_eq!(last["canary_failed"], 0, "the proxy saw nothing of it: {last:#}");

    bed.version("v3", "healthy");
    let release = bed.start(&["release", "--version", "v3", "--timeout", "90s"]);
    let judged = bed.until("v3 is judged by the source's counts", |status| {
        let findings = status["release"]["judgement"]["findings"].as_array();
        findings.is_some_and(|all| {
            all.len() == 3 && all.iter().all(|f| f["canary"]["requests"].as_u64() > Some(0))
        })
    });
    assert_ne!(judged["release"]["judgement"]["verdict"], "ROLLBACK", "{judged:#}");
    drop(prometheus);
    let said = ended(release);
    assert_eq!(said.code, 5, "{said:?}\n{}", bed.output());
    let last = bed.ok(&["history", "--json"]).json()[0].clone();
    assert!(last["sentence"].as_str().unwrap().contains("no evidence from source of metrics"), "{last:#}");
    for traffic in traffic {
        let counted = traffic.end();
        assert!(counted.failed.is_empty(), "{counted:?}");
    }
    bed.ok(&["replay"]);
}

/// The whole of it, as a team would set it up: instances on ports that nobody knows beforehand,
/// found by Prometheus through the address of the webhooks, scraped, and judged by the given document.
#[test]
fn the_given_document_judges_instances_that_prometheus_has_found() {
    let hooks = free_port();
    let signals = format!("signals:\n  listen: 127.0.0.1:{hooks}\n  token: {{file: token}}\n");
    let bed = Bed::new(&format!("{}{signals}", Bed::QUICK));
    std::fs::write(bed.folder().join("token"), "s3cret\n").unwrap();
    let bed = Arc::new(bed.with_v1());
    let test = "cli::by_query::the_given_document_judges_instances_that_prometheus_has_found";
    let token = bed.folder().join("token");
    let targets = format!(
        "http_sd_configs:\n  - url: http://127.0.0.1:{hooks}/v1/targets\n    refresh_interval: 500ms\n    \
         authorization: {{credentials_file: '{}'}}",
        token.display()
    );
    let Some(prometheus) = Prometheus::start(test, bed.folder(), &targets) else { return };

    eventually("targets are told", || TcpStream::connect(("127.0.0.1", hooks)).is_ok());
    assert_eq!(get(hooks, "/v1/targets", "").0, 401, "not without the token");
    let (code, found) = get(hooks, "/v1/targets", "authorization: Bearer s3cret\r\n");
    let labels = |number: usize| found[number]["labels"].clone();
    assert_eq!((code, found.as_array().map(Vec::len)), (200, Some(2)), "{found:#}");
    assert_eq!(labels(1)["instance"], "v1-1", "{found:#}");
    assert_eq!((labels(0)["service"].as_str(), labels(0)["version"].as_str()), (Some("shop"), Some("v1")));

    std::fs::write(bed.folder().join("canary-analysis.yaml"), GIVEN).unwrap();
    let yaml = std::fs::read_to_string(bed.file()).unwrap().replace(Bed::QUICK, "");
    let source = format!("{{prometheus: {{url: '{}', interval: 200ms}}}}", prometheus.url);
    let analysis = format!("  source: 20s\nanalysis:\n  file: canary-analysis.yaml\n  source: {source}\n");
    let (before, after) = yaml.split_once("signals:").unwrap();
    std::fs::write(bed.file(), format!("{before}{analysis}signals:{after}")).unwrap();

    let traffic: Vec<Traffic> = (0..4).map(|_| Traffic::on(&bed)).collect();
    bed.version("v2", "errors --error-percent 80");
    let said = bed.run(&["release", "--version", "v2", "--timeout", "240s"]);
    assert_eq!(said.code, 5, "{said:?}\n{}", bed.output());
    let last = bed.ok(&["history", "--json"]).json()[0].clone();
    let why = last["sentence"].as_str().unwrap();
    assert!(why.contains("error_rate") || why.contains("slo_burn_rate"), "{last:#}");
    drop(traffic);
    bed.ok(&["replay"]);
}
