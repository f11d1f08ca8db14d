//! Means and types of errors through the binary: revenue from a source sends a version back, a new type
//! of client error holds, and a frequent one sends it back.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Instant;

use crate::bed::{self, Bed, Traffic};

const STEPS: &str = "
strategy:
  steps:
    - {name: half, weight: 50%, bake: 60s}
    - {name: all, weight: 100%, bake: 0s}
";

/// A server that answers with what `says` of a version after so many milliseconds; its address.
fn stats(says: impl Fn(bool, u64) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let began = Instant::now();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let length = connection.read(&mut request).unwrap_or_default();
            let is_new = String::from_utf8_lossy(&request[..length]).contains("v2");
            let body = says(is_new, began.elapsed().as_millis() as u64);
            let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}", body.len());
            drop(connection.write_all(format!("{head}\r\n\r\n{body}").as_bytes()));
        }
    });
    address
}

/// A bed with v1 running and v2 to come, judged by one metric of a source.
fn bed(address: &str, metric: &str) -> Arc<Bed> {
    let bed = Bed::new(STEPS);
    let yaml = std::fs::read_to_string(bed.file()).unwrap();
    let own = "error_rate: {required: false}\n    latency_p95: {required: false}";
    let source = format!("it: {{json: {{url: 'http://{address}/?version={{version}}', interval: 200ms}}}}");
    let analysis = format!("analysis:\n  sources:\n    {source}\n  metrics:\n    {own}\n    {metric}\n");
    std::fs::write(bed.file(), yaml + &analysis).unwrap();
    let bed = bed.with_v1();
    bed.version("v2", "healthy");
    Arc::new(bed)
}

fn goes_back(bed: &Arc<Bed>, why: &str) {
    let _traffic: Vec<Traffic> = (0..4).map(|_| Traffic::on(bed)).collect();
    let said = bed.run(&["release", "--version", "v2", "--timeout", "90s"]);
    assert_eq!(said.code, 5, "{said:?}\n{}", bed.output());
    let last = bed.ok(&["history", "--json"]).json()[0].clone();
    assert!(last["sentence"].as_str().unwrap().contains(why), "{last:#}");
    bed.ok(&["replay"]);
}

#[test]
fn revenue_as_sums_from_a_source_sends_a_version_back() {
    // Orders of 40 and 60; of v2 a quarter less.
    let address = stats(|is_new, ms| {
        let (count, part) = if is_new { (ms / 10, 0.75) } else { (ms / 2, 1.0) };
        let (sum, squares) = (50.0 * part * count as f64, 2_600.0 * part * part * count as f64);
        format!(r#"{{"orders": {{"n": {count}, "sum": {sum}, "squares": {squares}}}}}"#)
    });
    let revenue =
        "revenue: {kind: business, count: $.orders.n, sum: $.orders.sum, sum_of_squares: $.orders.squares}";
    let bed = bed(&address, revenue);
    let told = bed.ok(&["check"]).out;
    assert!(told.contains("canary   $.orders.n"), "{told}");
    goes_back(&bed, "revenue: mean shown to be lower");
    let log = bed.ok(&["log", "--json", "--last", "400"]).out;
    assert!(log.contains("sum_micro"), "the sums are on record as whole numbers");
}

/// Sessions by the hundred a millisecond; the new type in one of so many of v2's.
fn client(one_in: u64) -> String {
    stats(move |is_new, ms| {
        let sessions = ms * 100;
        let fresh = if is_new { sessions / one_in } else { 0 };
        let known = sessions / 1_000;
        format!(
            r#"{{"sessions": {sessions}, "errors": [{{"type": "Known", "count": {known}}},
                {{"type": "TypeError: cart 12 is undefined", "count": {fresh}}}]}}"#
        )
    })
}

const CLIENT: &str = "js_errors: {kind: client_errors, bad: '$.errors[*]', total: $.sessions, by: type}";

#[test]
fn a_frequent_new_type_of_client_error_sends_a_version_back() {
    let bed = bed(&client(100), CLIENT);
    goes_back(&bed, "`TypeError: cart # is undefined`");
}

#[test]
fn a_rare_new_type_of_client_error_holds() {
    let bed = bed(&client(20_000), CLIENT);
    let _traffic: Vec<Traffic> = (0..4).map(|_| Traffic::on(&bed)).collect();
    let release = bed.start(&["release", "--version", "v2", "--timeout", "90s"]);
    let held = bed.until("the new type holds", |status| {
        let findings = status["release"]["judgement"]["findings"].as_array();
        findings.is_some_and(|all| {
            all.iter().any(|found| found["metric"] == "js_errors" && found["verdict"] == "HOLD")
        })
    });
    let findings = held["release"]["judgement"]["findings"].to_string();
    assert!(findings.contains("new type of error, not shown to be above 0.10%"), "{findings}");
    assert!(findings.contains("TypeError: cart # is undefined"), "{findings}");
    bed.ok(&["abort"]);
    assert_ne!(bed::ended(release).code, 0);
}
