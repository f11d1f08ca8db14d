//! Sources of metrics through the binary: a bad version goes back by what each of them says, which
//! the proxy sees nothing of.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::bed::{Bed, Traffic};

const STEPS: &str = "
strategy:
  steps:
    - {name: half, weight: 50%, bake: 60s}
    - {name: all, weight: 100%, bake: 0s}
";

/// A bed whose analysis has this source and asks it for the share of errors.
fn bed(source: &str, bad: &str, total: &str) -> Bed {
    let bed = Bed::new(STEPS);
    let yaml = std::fs::read_to_string(bed.file()).unwrap();
    let own = "error_rate: {required: false}\n    latency_p95: {required: false}";
    let metrics = format!("metrics:\n    {own}\n    errors: {{bad: '{bad}', total: '{total}'}}\n");
    std::fs::write(bed.file(), format!("{yaml}analysis:\n  sources:\n    it: {{{source}}}\n  {metrics}"))
        .unwrap();
    bed
}

/// Releases v2, which answers well, and goes back by what the source says.
fn goes_back(bed: Bed) -> Arc<Bed> {
    let bed = Arc::new(bed);
    let _traffic: Vec<Traffic> = (0..4).map(|_| Traffic::on(&bed)).collect();
    let said = bed.run(&["release", "--version", "v2", "--timeout", "90s"]);
    assert_eq!(said.code, 5, "{said:?}\n{}", bed.output());
    let last = bed.ok(&["history", "--json"]).json()[0].clone();
    assert!(last["sentence"].as_str().unwrap().contains("errors"), "{last:#}");
    assert_eq!(last["canary_failed"], 0, "the proxy saw nothing of it: {last:#}");
    bed
}

/// Requests and errors after so long: v1 is well, every fifth of v2's fails.
fn counted(version: &str, ms: u64) -> (u64, u64) {
    if version.contains("v2") { (ms / 20, ms / 100) } else { (ms / 5, 0) }
}

/// A server of JSON that wants a token; its address.
fn stats(token: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let began = Instant::now();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let length = connection.read(&mut request).unwrap_or_default();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let (requests, errors) = counted(&request, began.elapsed().as_millis() as u64);
            let (status, body) = if request.contains(&format!("Bearer {token}")) {
                ("200 OK", format!(r#"{{"http": {{"requests": {requests}, "errors": {errors}}}}}"#))
            } else {
                ("401 Unauthorized", format!(r#"{{"error": "{request:?}"}}"#))
            };
            let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}", body.len());
            drop(connection.write_all(format!("{head}\r\n\r\n{body}").as_bytes()));
        }
    });
    address
}

#[test]
fn json_over_http_sends_a_version_back_and_its_secret_is_written_nowhere() {
    let token = "planted-token-8128";
    let source = format!(
        "json: {{url: 'http://{}/?version={{version}}', interval: 200ms, credentials: {{bearer: {{file: token}}}}}}",
        stats(token)
    );
    let bed = bed(&source, "$.http.errors", "$.http.requests");
    std::fs::write(bed.folder().join("token"), format!("{token}\n")).unwrap();
    let bed = bed.with_v1();
    bed.version("v2", "healthy");
    let told = bed.ok(&["check"]).out;
    assert!(told.contains("canary   $.http.errors"), "{told}");
    let bed = goes_back(bed);
    let said = [bed.output(), bed.ok(&["explain"]).out, bed.ok(&["log", "--json"]).out];
    assert!(said.iter().all(|text| !text.contains(token)), "the secret is told");
    for entry in std::fs::read_dir(bed.data()).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        let found = bytes.windows(token.len()).any(|part| part == token.as_bytes());
        assert!(!found, "the secret is in {}", entry.path().display());
    }
}

#[test]
fn a_secret_in_the_description_is_refused_with_its_place() {
    let source = "json: {url: 'http://h/{version}', credentials: {bearer: planted-token-8128}}";
    let said = bed(source, "$.a", "$.b").run(&["check"]);
    assert_ne!(said.code, 0, "{said:?}");
    let text = said.out + &said.err;
    assert!(text.contains("{env: NAME} or {file: path}") && !text.contains("planted"), "{text}");
    assert!(text.contains("analysis.sources.it.json.credentials.bearer"), "{text}");
}

#[test]
fn a_command_sends_a_version_back() {
    let bed = bed("command: {run: ./count.sh, interval: 300ms}", "$.errors", "$.requests");
    let script = "#!/bin/sh\nms=$(($(date +%s%N) / 1000000 % 100000000))\n\
        case $TAXIWAY_VERSION in\n\
        v2) echo \"{\\\"requests\\\": $((ms / 20)), \\\"errors\\\": $((ms / 100))}\";;\n\
        *) echo \"{\\\"requests\\\": $((ms / 5)), \\\"errors\\\": 0}\";;\nesac\n";
    let path = bed.folder().join("count.sh");
    std::fs::write(&path, script).unwrap();
    let mut rights = std::fs::metadata(&path).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut rights, 0o755);
    std::fs::set_permissions(&path, rights).unwrap();
    let bed = bed.with_v1();
    bed.version("v2", "healthy");
    goes_back(bed);
}

#[test]
fn lines_of_the_instances_own_logs_send_a_version_back() {
    let bed = bed("logs: {interval: 200ms}", "level=error", "level=").with_v1();
    bed.version("v2", "healthy");
    // Both write a line every 20 ms, besides what the service does; every fifth of v2's is an error.
    let lines = |version: &str, fifth: &str| {
        let path = bed.folder().join("versions").join(version);
        let text = std::fs::read_to_string(&path).unwrap();
        let talk = "for i in 1 2 3 4; do echo level=info; sleep 0.02; done";
        std::fs::write(&path, format!("(while :; do {talk}; echo level={fifth}; done) &\n{text}")).unwrap();
    };
    // The artifact that runs as v1 is its copy: a new release of the talking one takes its place.
    bed.version("v1b", "healthy");
    lines("v1b", "info");
    lines("v2", "error");
    let yaml = std::fs::read_to_string(bed.file()).unwrap();
    let quick = yaml.replace(STEPS, Bed::QUICK);
    std::fs::write(bed.file(), quick).unwrap();
    let bed = Arc::new(bed);
    let traffic = Traffic::on(&bed);
    bed.ok(&["release", "--version", "v1b", "--timeout", "60s"]);
    traffic.end();
    std::fs::write(bed.file(), yaml).unwrap();
    goes_back(Arc::into_inner(bed).expect("nobody else holds it"));
}

/// Pushes both versions' sums every 100 ms until it is told to stop.
fn pusher(port: u16, stop: &Arc<AtomicBool>) {
    let (stop, began) = (Arc::clone(stop), Instant::now());
    let now_ns = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let start = now_ns();
    std::thread::spawn(move || {
        while !stop.load(Ordering::SeqCst) {
            let resources: Vec<String> = ["v1", "v2"].iter().map(|version| {
                let (requests, errors) = counted(version, began.elapsed().as_millis() as u64);
                let point = |code: u64, count: u64| format!(
                    r#"{{"attributes":[{{"key":"code","value":{{"intValue":"{code}"}}}}],"startTimeUnixNano":"{start}","timeUnixNano":"{}","asInt":"{count}"}}"#,
                    now_ns()
                );
                let points = [point(200, requests - errors), point(500, errors)].join(",");
                format!(
                    r#"{{"resource":{{"attributes":[{{"key":"service.version","value":{{"stringValue":"{version}"}}}}]}},"scopeMetrics":[{{"metrics":[{{"name":"http.requests","sum":{{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{points}]}}}}]}}]}}"#
                )
            }).collect();
            let body = format!(r#"{{"resourceMetrics":[{}]}}"#, resources.join(","));
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
                let head = "POST /v1/metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json";
                drop(write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
                drop(stream.read_to_end(&mut Vec::new()));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    });
}

#[test]
fn what_is_pushed_over_otlp_sends_a_version_back() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let source = format!("otlp: {{listen: '127.0.0.1:{port}', interval: 200ms}}");
    let bed = bed(&source, "http.requests{code=\"5*\"}", "http.requests").with_v1();
    bed.version("v2", "healthy");
    let stop = Arc::new(AtomicBool::new(false));
    pusher(port, &stop);
    goes_back(bed);
    stop.store(true, Ordering::SeqCst);
}

#[test]
fn check_names_sources_by_which_a_metric_would_have_no_evidence() {
    let token = "planted-token-6174";
    let address = stats(token);
    let json =
        |credentials: &str| format!("json: {{url: 'http://{address}/?version={{version}}'{credentials}}}");
    let credentials = ", credentials: {bearer: {file: token}}";
    let bad = "$.http.errors";
    let bed_of = |source: &str, total: &str| bed(source, bad, total);
    let well = bed_of(&json(credentials), "$.http.requests");
    let asked = |bed: &Bed, version: &[&str]| bed.run(&[&["check", "--sources"], version].concat());
    let told = |bed: &Bed, wanted: &str| {
        let said = asked(bed, &["--version", "v1"]);
        let text = format!("{}{}", said.out, said.err);
        assert!(said.code == 8 && text.contains(wanted), "{wanted} in {said:?}");
        assert!(text.contains("source of metrics is of no use") && !text.contains(token), "{text}");
    };
    told(&well, "there is no secret in the file");
    std::fs::write(well.folder().join("token"), "another one, just as long").unwrap();
    told(&well, "the credentials are refused: it answers 401 Unauthorized");
    std::fs::write(well.folder().join("token"), token).unwrap();
    let said = asked(&well, &["--version", "v1"]);
    assert!(said.code == 0 && said.out.contains("it answers, with data"), "{said:?}");
    let said = asked(&well, &[]);
    assert!(said.code == 0 && said.out.contains("it answers"), "{said:?}");
    let lines = well.ok(&["check", "--sources", "--version", "v1", "--json"]).json();
    assert_eq!(lines[0]["state"], "answers", "{lines:#}");

    told(&bed_of("json: {url: 'http://127.0.0.1:1/{version}'}", "$.all"), "nothing listens on 127.0.0.1:1");
    told(&bed_of(&json(""), "$.http.all"), "the credentials are refused");
    let rows = bed("csv: {path: '{version}.csv'}", "bad", "all");
    std::fs::write(rows.folder().join("v1.csv"), "t,bad,all\n").unwrap();
    told(&rows, "it answers, and the question selects nothing of v1");
}
