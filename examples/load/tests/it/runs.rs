//! Counts and latencies of whole runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use taxiway_example_load::{Plan, Report, Second, run};

use crate::server::{response, serve};

fn plan(url: String) -> Plan {
    Plan {
        url,
        rate_per_s: 500,
        connections: 8,
        seconds_max: None,
        requests_max: Some(400),
        mix: "/".parse().unwrap(),
        users: 0,
        h2c: false,
        timeout: Duration::from_secs(2),
    }
}

fn play(plan: Plan, on_second: impl FnMut(&Second) -> bool) -> Report {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(run(plan, on_second)).expect("the plan is sound")
}

#[test]
fn counts_by_status_and_version_add_up() {
    let count = AtomicU64::new(0);
    let url = serve(move |_, _| {
        let n = count.fetch_add(1, Ordering::Relaxed);
        let status = if n.is_multiple_of(4) { 500 } else { 200 };
        Some(response(status, if n.is_multiple_of(2) { "x-version: v2\r\n" } else { "x-version: v1\r\n" }))
    });
    let mut seconds = 0;
    let report = play(plan(url), |second| {
        seconds += second.report.requests;
        true
    });
    assert_eq!((report.requests, report.ok, report.by_status[&500]), (400, 300, 100), "{report:?}");
    assert_eq!((report.by_version["v1"].requests, report.by_version["v1"].errors), (200, 0));
    assert_eq!((report.by_version["v2"].requests, report.by_version["v2"].errors), (200, 100));
    assert_eq!(seconds, 400, "the seconds sum up to the whole");
}

#[test]
fn the_rate_is_held() {
    let url = serve(|_, _| Some(response(200, "")));
    let began = Instant::now();
    let report = play(Plan { requests_max: None, seconds_max: Some(2), ..plan(url) }, |_| true);
    assert_eq!(report.requests, 1_000);
    let took = began.elapsed();
    assert!(took > Duration::from_millis(1_900) && took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn a_stall_counts_for_every_request_that_was_due_in_it() {
    let count = AtomicU64::new(0);
    let url = serve(move |_, _| {
        if count.fetch_add(1, Ordering::Relaxed) == 50 {
            std::thread::sleep(Duration::from_millis(600));
        }
        Some(response(200, ""))
    });
    let report =
        play(Plan { connections: 1, rate_per_s: 200, requests_max: Some(200), ..plan(url) }, |_| true);
    assert_eq!(report.ok, 200);
    // 120 requests were due during the stall; closed-loop measuring would show one slow request.
    assert!(report.latency.p50_us > 50_000, "{report:?}");
}

#[test]
fn connection_errors_and_timeouts_are_told_apart() {
    let closing = play(plan(serve(|_, _| None)), |_| true);
    assert_eq!(closing.connection_errors, 400, "{closing:?}");
    let hanging = serve(|_, _| {
        std::thread::sleep(Duration::from_secs(3));
        None
    });
    let quick = Plan { timeout: Duration::from_millis(50), requests_max: Some(8), ..plan(hanging) };
    assert_eq!(play(quick, |_| true).timeouts, 8);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(play(plan(format!("http://{nobody}")), |_| true).connection_errors, 400);
}

#[test]
fn users_bring_their_cookies_back() {
    let url = serve(|_, cookie| {
        Some(match cookie {
            Some("seat=12") => response(200, "x-version: v2\r\n"),
            Some(other) => panic!("cookie {other}"),
            None => response(200, "set-cookie: seat=12; Path=/\r\nx-version: v1\r\n"),
        })
    });
    let report = play(Plan { users: 10, connections: 1, requests_max: Some(200), ..plan(url) }, |_| true);
    assert_eq!(report.by_version["v1"].requests, 10, "one answer each without a cookie: {report:?}");
    assert_eq!(report.version_changes, 10);
}

#[test]
fn a_reader_that_has_enough_ends_the_run() {
    let url = serve(|_, _| Some(response(200, "")));
    let began = Instant::now();
    let report = play(Plan { rate_per_s: 50, requests_max: Some(5_000), ..plan(url) }, |_| false);
    assert!(report.requests < 200 && began.elapsed() < Duration::from_secs(5), "{report:?}");
}
