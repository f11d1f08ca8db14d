//! How each behaviour fails.

use crate::shop::start;

#[test]
fn healthy_answers_everything_and_names_itself() {
    let shop = start(&["--version", "v7", "--instance", "v7-2"]);
    let report = shop.load(500, 500, "/=6,/search=3,/checkout=1,/healthz=1,/readyz=1");
    assert_eq!((report.requests, report.ok, report.by_status[&200]), (500, 500, 500), "{report:?}");
    assert_eq!(report.by_version.keys().collect::<Vec<_>>(), ["v7"]);
    assert!(report.latency.p50_us > 4_000, "it simulates work: {report:?}");
}

#[test]
fn http2_with_prior_knowledge_is_answered() {
    let shop = start(&[]);
    let report = shop.load_with(|plan| taxiway_example_load::Plan { h2c: true, ..plan });
    assert_eq!((report.requests, report.ok), (500, 500), "{report:?}");
}

#[test]
fn errors_fails_one_request_in_twenty() {
    let report = start(&["--behaviour", "errors"]).load(1_000, 2_000, "/,/search,/checkout");
    let failed = report.by_status[&500];
    // 100 expected; 5 standard deviations are 49.
    assert!((51..=149).contains(&failed), "{report:?}");
}

#[test]
fn slow_takes_three_times_as_long() {
    let healthy = start(&[]).load(200, 200, "/");
    let slow = start(&["--behaviour", "slow"]).load(200, 200, "/");
    let ratio = slow.latency.p50_us as f64 / healthy.latency.p50_us as f64;
    assert!(ratio > 2.0, "{ratio} times: {slow:?} against {healthy:?}");
    assert_eq!(slow.ok, 200);
}

#[test]
fn leak_keeps_memory_of_every_request_and_dies_at_its_heap_limit() {
    let mut shop = start(&["--behaviour", "leak", "--leak-kib", "256", "--heap-limit-mib", "64"]);
    let before = shop.rss_kib();
    assert_eq!(shop.load(500, 100, "/").ok, 100);
    let grown = shop.rss_kib() - before;
    assert!(grown >= 25_000, "100 requests kept {grown} KiB of 25600");
    shop.load(500, 200, "/");
    assert_eq!(shop.child.wait().unwrap().code(), Some(134));
}

#[test]
fn one_endpoint_fails_only_at_checkout() {
    let shop = start(&["--behaviour", "one-endpoint"]);
    assert_eq!(shop.load(1_000, 500, "/,/search").ok, 500);
    let failed = shop.load(1_000, 500, "/checkout").by_status[&500];
    // 150 expected; 5 standard deviations are 51.
    assert!((99..=201).contains(&failed), "{failed}");
}

#[test]
fn late_fails_from_its_second_on() {
    let shop = start(&["--behaviour", "late", "--late-after-s", "3", "--error-percent", "100"]);
    let report = shop.load(50, 225, "/");
    assert!(report.ok > 20 && report.by_status[&500] > 20, "{report:?}");
    assert_eq!(report.ok + report.by_status[&500], 225);
}

#[test]
fn overload_serves_its_capacity_and_breaks_above_it() {
    let shop = start(&["--behaviour", "overload", "--capacity", "100"]);
    let below = shop.load(50, 100, "/");
    assert_eq!(below.ok, 100, "{below:?}");
    let above = shop.load_with(|plan| taxiway_example_load::Plan {
        rate_per_s: 300,
        requests_max: Some(600),
        connections: 256,
        ..plan
    });
    // Two seconds at 100 requests/s, half a second of queue on top.
    assert!((150..=320).contains(&above.ok), "{above:?}");
    assert!(above.by_status[&503] >= 280, "{above:?}");
}

#[test]
fn outage_fails_every_version_while_the_dependency_is_down() {
    let directory = std::env::temp_dir().join(format!("shop-dependency-{}", std::process::id()));
    std::fs::write(&directory, "up").unwrap();
    let path = directory.to_str().unwrap();
    let new = start(&["--version", "v2", "--behaviour", "outage", "--dependency", path]);
    let old = start(&["--version", "v1", "--dependency", path]);
    let both =
        |what: &str| [new.load(500, 50, "/"), old.load(500, 50, "/")].map(|report| (what.to_owned(), report));
    for (what, report) in both("up") {
        assert_eq!(report.ok, 50, "{what}: {report:?}");
    }
    std::fs::write(&directory, "down").unwrap();
    for (what, report) in both("down") {
        assert_eq!(report.by_status[&503], 50, "{what}: {report:?}");
    }
    assert_eq!(new.load(500, 50, "/readyz,/healthz").ok, 50, "it is ready although its dependency is not");
    std::fs::remove_file(&directory).unwrap();
    assert_eq!(old.load(500, 50, "/").by_status[&503], 50, "a dependency that is gone is down");
}

#[test]
fn a_tcp_dependency_is_up_while_it_accepts() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dependency = format!("tcp:{}", listener.local_addr().unwrap());
    let shop = start(&["--behaviour", "outage", "--dependency", &dependency]);
    assert_eq!(shop.load(500, 50, "/").ok, 50);
    drop(listener);
    assert_eq!(shop.load(500, 50, "/").by_status[&503], 50);
}

#[test]
fn what_was_answered_is_counted_for_prometheus() {
    let shop = start(&["--behaviour", "one-endpoint", "--error-percent", "100"]);
    assert_eq!(shop.load(500, 300, "/=2,/checkout=1").requests, 300);
    let page = shop.metrics();
    let of = |series: &str| {
        let line = page.lines().find_map(|line| line.strip_prefix(series));
        line.unwrap_or_else(|| panic!("no {series} in {page}")).trim().parse::<f64>().unwrap()
    };
    let good = of(r#"http_requests_total{path="/",status="200"}"#);
    let bad = of(r#"http_requests_total{path="/checkout",status="500"}"#);
    assert_eq!((good + bad, of(r#"http_requests_total{path="/",status="500"}"#)), (300.0, 0.0), "{page}");
    assert!(bad > 50.0, "{page}");
    let bucket =
        |bound: &str| of(&format!(r#"http_request_duration_seconds_bucket{{path="/",le="{bound}"}}"#));
    assert_eq!((bucket("+Inf"), of(r#"http_request_duration_seconds_count{path="/"}"#)), (good, good));
    assert!(bucket("0.005") <= bucket("0.01") && bucket("0.01") <= bucket("5"), "{page}");
    let mean_s = of(r#"http_request_duration_seconds_sum{path="/"}"#) / good;
    assert!((0.0045..0.5).contains(&mean_s), "{mean_s} s");
}
