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

/// Whether a release went back for what was counted, and not because nothing was.
fn by_counts(why: &str) -> bool {
    ["error_rate", "slo_burn_rate"].iter().any(|metric| why.contains(metric))
        && ["source", "evidence"].iter().all(|silence| !why.contains(silence))
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
    assert!(by_counts(why), "{last:#}");
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

/// Instances on ports that nobody knows beforehand, found by a Prometheus through the address of the webhooks.
struct Scraped {
    bed: Arc<Bed>,
    /// The port of the webhooks.
    hooks: u16,
    prometheus: Prometheus,
}

impl Scraped {
    /// v1 serves. None, and a line among the skips, where there is no Prometheus.
    fn start(test: &str) -> Option<Self> {
        let hooks = free_port();
        let signals = format!("signals:\n  listen: 127.0.0.1:{hooks}\n  token: {{file: token}}\n");
        let bed = Bed::new(&format!("{}{signals}", Bed::QUICK));
        std::fs::write(bed.folder().join("token"), "s3cret\n").unwrap();
        let bed = Arc::new(bed.with_v1());
        let token = bed.folder().join("token");
        let targets = format!(
            "http_sd_configs:\n  - url: http://127.0.0.1:{hooks}/v1/targets\n    refresh_interval: 500ms\n    \
             authorization: {{type: Bearer, credentials_file: '{}'}}",
            token.display()
        );
        let prometheus = Prometheus::start(test, bed.folder(), &targets)?;
        eventually("targets are told", || TcpStream::connect(("127.0.0.1", hooks)).is_ok());
        Some(Self { bed, hooks, prometheus })
    }

    /// Writes the document beside the description, which gets another strategy and this analysis;
    /// `{source}` is where to ask.
    fn judged_by(&self, document: &str, strategy: &str, analysis: &str) {
        std::fs::write(self.bed.folder().join("canary-analysis.yaml"), document).unwrap();
        let yaml = std::fs::read_to_string(self.bed.file()).unwrap().replace(Bed::QUICK, "");
        let source = format!("prometheus: {{url: '{}', interval: 200ms}}", self.prometheus.url);
        let (before, after) = yaml.split_once("signals:").unwrap();
        let analysis = analysis.replace("{source}", &source);
        let yaml = format!("{before}  source: 20s\n{strategy}{analysis}signals:{after}");
        std::fs::write(self.bed.file(), yaml).unwrap();
    }
}

/// The whole of it, as a team would set it up: instances on ports that nobody knows beforehand,
/// found by Prometheus through the address of the webhooks, scraped, and judged by the given document.
#[test]
fn the_given_document_judges_instances_that_prometheus_has_found() {
    let test = "cli::by_query::the_given_document_judges_instances_that_prometheus_has_found";
    let Some(scraped) = Scraped::start(test) else { return };
    let (bed, hooks) = (&scraped.bed, scraped.hooks);
    assert_eq!(get(hooks, "/v1/targets", "").0, 401, "not without the token");
    let (code, found) = get(hooks, "/v1/targets", "authorization: Bearer s3cret\r\n");
    let labels = |number: usize| found[number]["labels"].clone();
    assert_eq!((code, found.as_array().map(Vec::len)), (200, Some(2)), "{found:#}");
    assert_eq!(labels(1)["instance"], "v1-1", "{found:#}");
    assert_eq!((labels(0)["service"].as_str(), labels(0)["version"].as_str()), (Some("shop"), Some("v1")));

    scraped.judged_by(GIVEN, "", "analysis:\n  file: canary-analysis.yaml\n  source: {{source}}\n");

    let traffic: Vec<Traffic> = (0..4).map(|_| Traffic::on(bed)).collect();
    bed.version("v2", "errors --error-percent 80");
    let said = bed.run(&["release", "--version", "v2", "--timeout", "240s"]);
    assert_eq!(said.code, 5, "{said:?}\n{}", bed.output());
    let last = bed.ok(&["history", "--json"]).json()[0].clone();
    let why = last["sentence"].as_str().unwrap();
    assert!(by_counts(why), "{last:#}");
    drop(traffic);
    bed.ok(&["replay"]);
}

/// Steps that stand in the description.
const STEPS: &str = "
strategy:
  steps:
    - {name: tenth, weight: 10%, bake: 5m}
    - {name: all, weight: 100%, bake: 0s}
";

/// Both sides by version and group, as targets found over `/v1/targets` are labelled.
const BY_GROUP: &str = "
analysis:
  baseline: fresh
  file: canary-analysis.yaml
  source:
    {source}
    canary: {version: '{version}', group: '{group}'}
    baseline: {version: '{version}', group: '{group}'}
";

/// The given document without its steps: they stand in one of the two files.
fn metrics_only() -> String {
    let (before, rest) = GIVEN.split_once("  # Traffic steps").unwrap();
    format!("{before}{}", &rest[rest.find("  # Metrics to check").unwrap()..])
}

#[test]
fn a_fresh_baseline_is_told_apart_by_group_and_its_ranges_are_judged_again() {
    let test = "cli::by_query::a_fresh_baseline_is_told_apart_by_group_and_its_ranges_are_judged_again";
    let Some(scraped) = Scraped::start(test) else { return };
    let bed = &scraped.bed;
    scraped.judged_by(&metrics_only(), STEPS, BY_GROUP);
    let told = bed.ok(&["check"]).out;
    let selects = |side: &str, group: &str| {
        told.contains(&format!("{side} http_requests_total{{group=\"{group}\",version=\"<version>\"}}"))
    };
    assert!(selects("canary  ", "main") && selects("baseline", "fresh"), "{told}");

    let traffic: Vec<Traffic> = (0..4).map(|_| Traffic::on(bed)).collect();
    bed.version("v2", "healthy");
    let release = bed.start(&["release", "--version", "v2", "--timeout", "120s"]);
    let requests = |status: &serde_json::Value| {
        let findings = status["release"]["judgement"]["findings"].as_array()?.clone();
        let finding = findings.into_iter().find(|finding| finding["metric"] == "error_rate")?;
        Some(["canary", "baseline"].map(|side| finding[side]["requests"].as_u64().unwrap_or(0)))
    };
    let status = bed.until("both groups are counted", |status| {
        requests(status).is_some_and(|[canary, baseline]| canary > 200 && baseline > 0)
    });
    let [canary, fresh] = requests(&status).unwrap();
    // A tenth of the traffic each; the instances that ran before have eight.
    assert!((canary / 2..canary * 2).contains(&fresh), "{canary} beside {fresh}: {status:#}");
    bed.ok(&["abort"]);
    ended(release);

    bed.version("v3", "errors --error-percent 60");
    let said = bed.run(&["release", "--version", "v3", "--timeout", "120s"]);
    assert_eq!(said.code, 5, "{said:?}\n{}", bed.output());
    let last = bed.ok(&["history", "--json"]).json()[0].clone();
    let why = last["sentence"].as_str().unwrap();
    assert!(by_counts(why), "{last:#}");

    // One that is held instead stays long enough for its ranges to say as much.
    let held = metrics_only().replace("rollback_on_failure: true", "rollback_on_failure: false");
    std::fs::write(bed.folder().join("canary-analysis.yaml"), held).unwrap();
    bed.version("v4", "errors --error-percent 60");
    let release = bed.start(&["release", "--version", "v4", "--timeout", "120s"]);
    bed.until("it is held", |status| {
        status["release"]["judgement"]["verdict"] == "HOLD" && requests(status).is_some_and(|of| of[0] > 300)
    });
    judged_again(&scraped);
    bed.ok(&["abort"]);
    ended(release);
    drop(traffic);
    bed.ok(&["replay"]);
}

/// Counters and a mean by their names, without PromQL.
const NAMED: &str = "apiVersion: analysis/v1
kind: CanaryConfig
metadata: {name: named}
spec:
  metrics:
    - name: failed
      bad: http_requests_total{status=~\"5..\"}
      total: http_requests_total
      threshold: {max_increase_ratio: 2.0}
    - name: took
      values: http_request_duration_seconds
      threshold: {max_increase_ratio: 2.0}
";

/// What Prometheus has kept of a release, judged from another shell by the same document.
fn judged_again(scraped: &Scraped) {
    let bed = &scraped.bed;
    let url = &scraped.prometheus.url;
    // The given metrics, and in a document of their own counters and a mean as they are named.
    std::fs::write(bed.folder().join("again.yaml"), metrics_only()).unwrap();
    std::fs::write(bed.folder().join("named.yaml"), NAMED).unwrap();
    let of_file = |file: &str, canary: &str, more: &[&str]| {
        let at = ["--prometheus", url, "--analysis", file, "--from", "-10m", "--step", "1s"];
        let sides = ["--canary", canary, "--baseline", "version=v1", "--baseline", "group=fresh"];
        bed.run(&[&["judge"][..], &at, &sides, more].concat())
    };
    let judge = |canary: &str, more: &[&str]| of_file("again.yaml", canary, more);
    for (file, names) in [
        ("again.yaml", &["error_rate", "latency_p95", "slo_burn_rate"][..]),
        ("named.yaml", &["failed", "took"]),
    ] {
        let mut said = of_file(file, "v4", &["--format", "json"]);
        // Of a range only what a counter gains within it counts, so it says as much some seconds later.
        eventually("the ranges of v4 say what the release was held for", || {
            said = of_file(file, "v4", &["--format", "json"]);
            said.code == 5
        });
        let json = said.json();
        let all = json["metrics"].as_array().unwrap();
        let mut found: Vec<_> = all.iter().filter_map(|one| one["finding"]["metric"].as_str()).collect();
        // The worst comes first.
        found.sort_unstable();
        assert_eq!(found, names, "{json:#}");
        assert!(!json["sentence"].as_str().unwrap().starts_with("took"), "{json:#}");
    }
    let healthy = judge("v2", &[]);
    assert_ne!(healthy.code, 5, "{healthy:?}");
    let nobody = judge("v9", &[]);
    assert!(nobody.code == 2 && nobody.err.contains("knows nothing of the canary"), "{nobody:?}");
    // The description of the release names the source, and with a version alone its fresh instances are meant.
    let own = ["judge", "--policy", "taxiway.yaml", "--canary", "v4", "--baseline", "v1", "--from", "-10m"];
    let said = bed.run(&[&own[..], &["--step", "1s"]].concat());
    assert_eq!(said.code, 4, "{said:?}");
}
