//! What Prometheus reads at `/metrics`: requests by page and status, and how long they took. Version and
//! instance are labels of the target, not of the series, as in any service that does not know who releases it.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Duration;

/// Upper bounds of the buckets, in seconds as they are written.
const BOUNDS: [(&str, Duration); 12] = [
    ("0.005", Duration::from_millis(5)),
    ("0.0075", Duration::from_micros(7_500)),
    ("0.01", Duration::from_millis(10)),
    ("0.015", Duration::from_millis(15)),
    ("0.025", Duration::from_millis(25)),
    ("0.05", Duration::from_millis(50)),
    ("0.1", Duration::from_millis(100)),
    ("0.25", Duration::from_millis(250)),
    ("0.5", Duration::from_millis(500)),
    ("1", Duration::from_secs(1)),
    ("2.5", Duration::from_millis(2_500)),
    ("5", Duration::from_secs(5)),
];

/// The pages that are counted.
const PATHS: [&str; 3] = ["/", "/search", "/checkout"];

/// The statuses that they answer.
const STATUSES: [u16; 3] = [200, 500, 503];

/// Everything since the process started.
#[derive(Debug, Default)]
pub(crate) struct Metrics(Mutex<[Page; PATHS.len()]>);

#[derive(Debug, Default)]
struct Page {
    by_status: [u64; STATUSES.len()],
    /// Requests in each bucket alone; those above the last bound are in none.
    by_time: [u64; BOUNDS.len()],
    taken: Duration,
}

impl Metrics {
    /// Counts one answered request; pages and statuses that the shop does not have are not counted.
    pub(crate) fn count(&self, path: &str, status: u16, taken: Duration) {
        let page = PATHS.iter().position(|known| *known == path);
        let status = STATUSES.iter().position(|known| *known == status);
        let (Some(page), Some(status)) = (page, status) else { return };
        let mut pages = self.0.lock().expect("no holder of this lock panics");
        let page = &mut pages[page];
        page.by_status[status] += 1;
        page.taken += taken;
        if let Some(bucket) = BOUNDS.iter().position(|(_, bound)| taken <= *bound) {
            page.by_time[bucket] += 1;
        }
    }

    /// The text exposition format, version 0.0.4.
    pub(crate) fn text(&self) -> String {
        let pages = self.0.lock().expect("no holder of this lock panics");
        let mut text = String::from("# TYPE http_requests_total counter\n");
        for (path, page) in PATHS.iter().zip(pages.iter()) {
            for (status, requests) in STATUSES.iter().zip(page.by_status) {
                write_line(
                    &mut text,
                    "http_requests_total",
                    &[("path", path), ("status", &status.to_string())],
                    requests,
                );
            }
        }
        text.push_str("# TYPE http_request_duration_seconds histogram\n");
        for (path, page) in PATHS.iter().zip(pages.iter()) {
            let mut below = 0;
            for ((bound, _), requests) in BOUNDS.iter().zip(page.by_time) {
                below += requests;
                write_line(
                    &mut text,
                    "http_request_duration_seconds_bucket",
                    &[("path", path), ("le", bound)],
                    below,
                );
            }
            let all: u64 = page.by_status.iter().sum();
            write_line(
                &mut text,
                "http_request_duration_seconds_bucket",
                &[("path", path), ("le", "+Inf")],
                all,
            );
            write_line(
                &mut text,
                "http_request_duration_seconds_sum",
                &[("path", path)],
                page.taken.as_secs_f64(),
            );
            write_line(&mut text, "http_request_duration_seconds_count", &[("path", path)], all);
        }
        text
    }
}

fn write_line(text: &mut String, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
    let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
    writeln!(text, "{name}{{{}}} {value}", labels.join(",")).expect("a string takes everything");
}
