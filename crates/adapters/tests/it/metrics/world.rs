//! Servers that answer what a test wants, orders to ask them, and a real Prometheus.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use taxiway_adapters::metrics::promql::take_apart;
use taxiway_model::ids::{MetricName, StreamId};
use taxiway_model::metrics::{Api, Order, Outputs, Side, Source};

/// The longest a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// Polls until there is something.
pub(super) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "in {PATIENCE:?} there was not {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(super) fn stream(name: &str) -> StreamId {
    name.parse().unwrap()
}

/// An order for the queries, asked every 100 ms with a limit of 300 ms.
pub(super) fn order(url: &str, queries: &[(&str, &str)]) -> Order {
    let named: Vec<_> =
        queries.iter().map(|(name, text)| (MetricName::new(*name).unwrap(), (*text).to_owned())).collect();
    let labels = BTreeMap::from([("version".to_owned(), "{version}".to_owned())]);
    let source = Source {
        name: "prom".to_owned(),
        api: Api::Prometheus { url: url.to_owned(), credentials: None },
        bucket_ms: 0,
        delay_ms: 0,
        interval_ms: 100,
        timeout_ms: 300,
        canary: labels.clone(),
        baseline: labels.clone(),
        queries: take_apart(&named, &labels.keys().cloned().collect()).unwrap(),
    };
    order_of(source)
}

/// An order of v2 beside v1.
pub(super) fn order_of(source: Source) -> Order {
    Order {
        sources: vec![source],
        canary: "v2".to_owned(),
        baseline: Some("v1".to_owned()),
        unheard: Side::BOTH.into(),
        outputs: Outputs::default(),
    }
}

/// A server that hands every request, head and form, to `play`; how many there were.
pub(super) fn serve(
    play: impl Fn(u64, &str, &mut TcpStream) + Send + Sync + 'static,
) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicU64::new(0));
    let (count, play) = (Arc::clone(&asked), Arc::new(play));
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let (count, play) = (Arc::clone(&count), Arc::clone(&play));
            std::thread::spawn(move || {
                let mut request = Vec::new();
                let mut part = [0; 4096];
                while !complete(&request) {
                    match connection.read(&mut part) {
                        Ok(0) | Err(_) => return,
                        Ok(n) => request.extend_from_slice(&part[..n]),
                    }
                }
                let number = count.fetch_add(1, Ordering::SeqCst);
                play(number, &String::from_utf8_lossy(&request), &mut connection);
            });
        }
    });
    (url, asked)
}

fn complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some(end) = text.find("\r\n\r\n") else { return false };
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    request.len() >= end + 4 + length.unwrap_or(0_usize)
}

pub(super) fn answer(connection: &mut TcpStream, status: &str, headers: &str, body: &str) {
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n", body.len());
    // Whoever asked may have gone.
    drop(connection.write_all((head + body).as_bytes()));
}

/// A vector as Prometheus writes one: part and value of each series.
pub(super) fn vector(series: &[(&str, &str)]) -> String {
    let series: Vec<String> = series
        .iter()
        .map(|(part, value)| {
            format!(r#"{{"metric":{{"taxiway":"{part}"}},"value":[1700000000.5,"{value}"]}}"#)
        })
        .collect();
    format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#, series.join(","))
}

/// A Prometheus of our own, ended with the test.
pub(super) struct Prometheus {
    pub(super) url: String,
    child: Child,
    _room: tempfile::TempDir,
}

impl Prometheus {
    /// Starts one that scrapes `target` five times a second; none, and a line among the skips, where there is none.
    pub(super) fn start(test: &str, target: &str) -> Option<Self> {
        let program = find_or_skip(test, "prometheus")?;
        let room = tempfile::tempdir().unwrap();
        let config = format!(
            "scrape_configs:\n- job_name: shop\n  scrape_interval: 200ms\n  scrape_timeout: 200ms\n  static_configs:\n  - targets: ['{target}']\n"
        );
        std::fs::write(room.path().join("prometheus.yml"), config).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(program)
            .arg(format!("--config.file={}", room.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", room.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let prometheus = Self { url: format!("http://127.0.0.1:{port}"), child, _room: room };
        until("a Prometheus that listens", || TcpStream::connect(("127.0.0.1", port)).ok());
        Some(prometheus)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Where a program is; none, and a line among the skips, where it is not.
pub(super) fn find_or_skip(test: &str, program: &str) -> Option<std::path::PathBuf> {
    let found = find(program);
    if found.is_none() {
        if let Some(file) = std::env::var_os("TAXIWAY_SKIPS") {
            let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
            writeln!(file, "{test}: no `{program}` on this machine; `cargo xtask test` gets it").unwrap();
        }
        eprintln!("{test}: skipped, no `{program}` on this machine");
    }
    found
}

fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut folders = std::env::split_paths(&path).chain([Path::new("/usr/bin").to_owned()]);
    folders.find_map(|folder| Some(folder.join(program)).filter(|file| file.is_file()))
}
