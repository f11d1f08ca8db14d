//! `/metrics` in Prometheus' text format, from the same counts the control socket gives out.

use crate::plane::Plane;
use std::fmt::Write;
use taxiway_model::control::Snapshot;
use taxiway_model::counts::{Counts, SCALE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Upper bounds of the exported latency buckets, in seconds. The full histogram has 2,048 buckets
/// per version and class; what Prometheus stores per series should be a dozen.
const BOUNDS_S: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Labels of the elements of `Counts::status`.
const STATUS: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Answers GET on a loopback address with the metrics.
pub async fn serve(plane: std::sync::Arc<Plane>, listener: TcpListener) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let plane = plane.clone();
        tokio::spawn(async move {
            let mut head = [0; 4096];
            let read = tokio::time::timeout(std::time::Duration::from_secs(5), stream.read(&mut head)).await;
            if matches!(read, Ok(Ok(1..))) {
                // A scraper that left does not need its answer.
                let _ = stream.write_all(http(&plane).as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
    }
}

/// The metrics as a whole HTTP answer.
pub fn http(plane: &Plane) -> String {
    let body = text(plane);
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// The metrics as text.
pub fn text(plane: &Plane) -> String {
    let mut services: Vec<_> =
        plane.services().into_iter().map(|s| (s.stream.to_string(), s.snapshot(plane.start))).collect();
    services.sort_by(|a, b| a.0.cmp(&b.0));
    let mut out = String::new();
    let counted = |counts: &Counts| {
        let mut lines: Vec<_> = STATUS.iter().zip(counts.status).map(|(code, n)| (*code, n)).collect();
        lines.extend([("timeout", counts.timeouts), ("connect_error", counts.connect_errors)]);
        lines
    };
    heading(&mut out, "taxiway_proxy_requests_total", "counter", "Requests that ended, by how they ended.");
    for (stream, snapshot) in &services {
        for (version, class, counts) in flat(snapshot) {
            for (end, n) in counted(counts) {
                line(
                    &mut out,
                    "taxiway_proxy_requests_total",
                    &[("stream", stream), ("version", version), ("class", class), ("end", end)],
                    n,
                );
            }
        }
    }
    latencies(&mut out, &services);
    states(&mut out, &services);
    out
}

fn latencies(out: &mut String, services: &[(String, Snapshot)]) {
    const NAME: &str = "taxiway_proxy_latency_seconds";
    heading(out, NAME, "histogram", "Time from a request's head to its answer's head.");
    for (stream, snapshot) in services {
        for (version, class, counts) in flat(snapshot) {
            let labels = [("stream", stream.as_str()), ("version", version), ("class", class)];
            let mut below = 0;
            let mut buckets = counts.latency.buckets.iter().peekable();
            for bound in BOUNDS_S {
                while let Some((_, n)) = buckets.next_if(|(index, _)| middle_us(**index) <= bound * 1e6) {
                    below += n;
                }
                let text = bound.to_string();
                line(
                    out,
                    "taxiway_proxy_latency_seconds_bucket",
                    &[&labels[..], &[("le", &text)]].concat(),
                    below,
                );
            }
            let total = counts.latency.total();
            line(
                out,
                "taxiway_proxy_latency_seconds_bucket",
                &[&labels[..], &[("le", "+Inf")]].concat(),
                total,
            );
            let sum: f64 = counts.latency.buckets.iter().map(|(i, n)| middle_us(*i) / 1e6 * *n as f64).sum();
            line(out, "taxiway_proxy_latency_seconds_sum", &labels, sum);
            line(out, "taxiway_proxy_latency_seconds_count", &labels, total);
        }
    }
}

fn states(out: &mut String, services: &[(String, Snapshot)]) {
    heading(out, "taxiway_proxy_open", "gauge", "Requests, streams and tunnels under way.");
    for (stream, snapshot) in services {
        for (version, n) in &snapshot.open {
            line(out, "taxiway_proxy_open", &[("stream", stream), ("version", version.as_str())], n);
        }
    }
    heading(out, "taxiway_proxy_canary_weight", "gauge", "The canary's share in force, 0 to 1.");
    heading(out, "taxiway_proxy_generation", "gauge", "The generation of the table in force.");
    for (stream, snapshot) in services {
        let weight = f64::from(snapshot.weight.bp()) / 10_000.0;
        line(out, "taxiway_proxy_canary_weight", &[("stream", stream)], weight);
        line(out, "taxiway_proxy_generation", &[("stream", stream)], snapshot.generation.0);
    }
    heading(out, "taxiway_proxy_refused_total", "counter", "Requests the proxy answered itself, by reason.");
    for (stream, snapshot) in services {
        for (why, n) in &snapshot.refused {
            line(out, "taxiway_proxy_refused_total", &[("stream", stream), ("reason", why)], n);
        }
    }
    heading(out, "taxiway_proxy_mirrored_total", "counter", "Copied requests that ended, by version.");
    for (stream, snapshot) in services {
        for (version, counts) in &snapshot.mirrored {
            let labels = [("stream", stream.as_str()), ("version", version.as_str())];
            line(out, "taxiway_proxy_mirrored_total", &labels, counts.requests);
        }
    }
    heading(out, "taxiway_proxy_unhealthy", "gauge", "Instances that get nothing because they fail.");
    for (stream, snapshot) in services {
        for address in snapshot.unhealthy.keys() {
            line(out, "taxiway_proxy_unhealthy", &[("stream", stream), ("address", address)], 1);
        }
    }
}

/// The middle of a bucket, in microseconds.
fn middle_us(index: i16) -> f64 {
    ((f64::from(index) + 0.5) / f64::from(1 << SCALE)).exp2()
}

fn flat(snapshot: &Snapshot) -> impl Iterator<Item = (&str, &str, &Counts)> {
    snapshot.versions.iter().flat_map(|(version, classes)| {
        classes.iter().map(move |(class, counts)| (version.as_str(), class.as_str(), counts))
    })
}

fn heading(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn line(out: &mut String, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
    let labels: Vec<_> = labels
        .iter()
        .map(|(key, value)| {
            format!("{key}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
        })
        .collect();
    let _ = writeln!(out, "{name}{{{}}} {value}", labels.join(","));
}
