//! Machines and users report: webhooks, tokens, limits, a real Alertmanager, feedback (R4.5).

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bed::{Bed, eventually};

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// v1 serves; webhooks are taken at the port, with a token, and one alert is a signal.
fn with_hooks(port: u16) -> Bed {
    let signals = format!(
        "signals:\n  listen: 127.0.0.1:{port}\n  token: {{file: token}}\n  alerts:\n  \
         - {{match: {{alertname: HighErrors, severity: page}}, signal: critical-bug}}\n  \
         - {{match: {{alertname: Orders without payment}}, signal: data-integrity}}\n"
    );
    let bed = Bed::new(&format!("{}{signals}", Bed::ASKS));
    std::fs::write(bed.folder().join("token"), "s3cret\n").unwrap();
    let bed = bed.with_v1();
    eventually("webhooks are taken", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    bed
}

/// The next version, on its first step.
fn in_flight(bed: &Bed, version: &str) {
    bed.version(version, "healthy");
    bed.ok(&["release", "--version", version, "--until", "step:tenth", "--timeout", "40s"]);
}

fn gone(bed: &Bed) -> Value {
    bed.until("it went back", |status| status["release"].is_null());
    bed.ok(&["history", "--json"]).json()[0].clone()
}

/// Sends bytes as they are; the status of the answer, and its body.
fn send(port: u16, request: &[u8]) -> (u16, Value) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // A refusal may come before everything was sent.
    let _ = stream.write_all(request);
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let code = text.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0);
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (code, serde_json::from_str(body).unwrap_or(Value::Null))
}

pub(crate) fn get(port: u16, path: &str, headers: &str) -> (u16, Value) {
    send(port, format!("GET {path} HTTP/1.1\r\nhost: taxiway\r\n{headers}\r\n").as_bytes())
}

fn post_with(port: u16, hook: &str, headers: &str, body: &str) -> (u16, Value) {
    let head = format!(
        "POST /v1/hooks/{hook} HTTP/1.1\r\nhost: taxiway\r\n{headers}content-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    send(port, format!("{head}{body}").as_bytes())
}

const TOKEN: &str = "authorization: Bearer s3cret\r\n";

fn post(port: u16, hook: &str, body: &Value) -> (u16, Value) {
    post_with(port, hook, TOKEN, &body.to_string())
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}

/// What Alertmanager sends of one alert.
fn alertmanager(status: &str, labels: &Value, starts_at: &str) -> Value {
    json!({
        "version": "4", "groupKey": "{}:{alertname=\"HighErrors\"}", "truncatedAlerts": 0, "status": status,
        "receiver": "taxiway", "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
        "externalURL": "http://alertmanager", "alerts": [{
            "status": status, "labels": labels, "annotations": {"summary": "errors\u{1b}[2J at 20%"},
            "startsAt": starts_at, "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://prometheus",
            "fingerprint": "e1f2"
        }]
    })
}

fn high_errors(service: &str) -> Value {
    json!({"alertname": "HighErrors", "severity": "page", "service": service, "environment": "production"})
}

fn done(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["results"][0]["done"].as_str().unwrap_or_default())
}

#[test]
fn an_alert_rolls_back_only_when_it_is_proven() {
    let port = free_port();
    let bed = with_hooks(port);
    let before = now();
    let firing = |at: &str| post(port, "alertmanager", &alertmanager("firing", &high_errors("shop"), at));
    assert_eq!(done(&firing(&before)), (200, "nothing"), "nothing is in flight");
    in_flight(&bed, "v2");

    // What is not understood says what is missing, and what is not proven does nothing.
    let (code, told) =
        post(port, "alertmanager", &alertmanager("firing", &json!({"alertname": "X"}), &now()));
    assert!(code == 422 && told["why"].as_str().unwrap().contains("no label `service`"), "{told:#}");
    let stranger = high_errors("cart");
    let (code, told) = post(port, "alertmanager", &alertmanager("firing", &stranger, &now()));
    assert!(code == 422 && told["why"].as_str().unwrap().contains("service cart"), "{told:#}");
    let unruled = json!({"alertname": "DiskFull", "service": "shop"});
    let (code, told) = post(port, "alertmanager", &alertmanager("firing", &unruled, &now()));
    assert!(code == 422 && told["why"].as_str().unwrap().contains("signals: {alerts:"), "{told:#}");
    let mistyped = json!({"alertname": "A", "service": "shop", "signal": "catastrophe"});
    let (code, told) = post(port, "alertmanager", &alertmanager("firing", &mistyped, &now()));
    assert!(code == 422 && told["why"].as_str().unwrap().contains("data-integrity"), "{told:#}");
    let resolved = alertmanager("resolved", &high_errors("shop"), &now());
    assert_eq!(done(&post(port, "alertmanager", &resolved)), (200, "nothing"));
    assert_eq!(done(&firing(&before)), (200, "nothing"), "it began before the release did");
    let mut of_v1 = high_errors("shop");
    of_v1["version"] = json!("v1");
    let of_v1 = alertmanager("firing", &of_v1, &now());
    assert_eq!(done(&post(port, "alertmanager", &of_v1)), (200, "nothing"), "it is about the baseline");
    let explained = bed.ok(&["explain", "--json"]).json();
    assert!(
        explained["unproven"].as_array().unwrap().iter().any(|one| one["what"] == "DiskFull"),
        "{explained:#}"
    );
    assert!(bed.ok(&["explain"]).out.contains("DiskFull by alertmanager did nothing"));
    // Also those of no service are shown, and all of them after a crash too.
    crate::bed::kill(bed.pid("resident").unwrap(), "KILL");
    eventually("webhooks are taken again", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let told = bed.ok(&["explain"]).out;
    for kept in ["DiskFull by alertmanager did nothing", "X by alertmanager did nothing: it has no label"] {
        assert!(told.contains(kept), "{kept} in {told}");
    }
    bed.until("it waits for its approval again", |status| status["release"]["state"] == "held");

    // Proven: back at once, and the same alert again does nothing, also not to the next release.
    let began = now();
    let answer = firing(&began);
    assert_eq!(done(&answer), (200, "rolls_back"), "{answer:?}");
    let last = gone(&bed);
    assert_eq!(last["outcome"], "rolled_back");
    assert_eq!(last["sentence"], "a critical bug: alert HighErrors: errors[2J at 20%", "{last:#}");
    assert_eq!(done(&firing(&began)), (200, "nothing"));
    in_flight(&bed, "v3");
    assert_eq!(done(&firing(&began)), (200, "nothing"), "it goes on firing, and v3 is not its cause");

    bed.ok(&["replay"]);
}

#[test]
fn grafana_and_scripts_roll_back_too() {
    let port = free_port();
    let bed = with_hooks(port);
    in_flight(&bed, "v2");
    // Grafana's shape, at its own path only.
    let grafana =
        include_str!("data/grafana.json").replace("<service>", "shop").replace("<starts_at>", &now());
    let (code, told) = post_with(port, "alertmanager", TOKEN, &grafana);
    assert!(code == 422 && told["why"].as_str().unwrap().contains("version"), "{told:#}");
    // A rule without data has all its labels, also one that says what it means; so does a test none.
    let mut other: Value = serde_json::from_str(&grafana).unwrap();
    other["alerts"].as_array_mut().unwrap().truncate(1);
    other["alerts"][0]["annotations"] = Value::Null;
    let labels = other["alerts"][0]["labels"].as_object_mut().unwrap();
    labels.extend([("signal".to_owned(), json!("security")), ("rulename".to_owned(), json!("Orders"))]);
    labels.insert("alertname".to_owned(), json!("DatasourceNoData"));
    let answer = post(port, "grafana", &other);
    assert_eq!(done(&answer), (200, "nothing"), "{answer:?}");
    assert!(answer.1["results"][0]["said"].as_str().unwrap().contains("has no value now"), "{answer:?}");
    other["alerts"][0]["labels"] = json!({"alertname": "TestAlert", "instance": "Grafana"});
    assert_eq!(done(&post(port, "grafana", &other)), (200, "nothing"), "the button Test");
    assert!(bed.status()["release"].is_object(), "nothing of it did anything");
    let answer = post_with(port, "grafana", TOKEN, &grafana);
    assert_eq!(done(&answer), (200, "rolls_back"), "{answer:?}");
    assert_eq!(answer.1["results"][1]["done"], "nothing", "the resolved one");
    let last = gone(&bed);
    assert!(
        last["sentence"].as_str().unwrap().starts_with("damaged data: alert Orders without payment: 12"),
        "{last:#}"
    );

    // A signal of one's own.
    in_flight(&bed, "v3");
    let of_another = json!({"release": "shop-production-2", "signal": "security", "detail": "late"});
    assert_eq!(done(&post(port, "signal", &of_another)), (200, "nothing"));
    let wrong = json!({"service": "shop", "signal": "boredom"});
    assert_eq!(post(port, "signal", &wrong).0, 422);
    let signal =
        json!({"service": "shop", "environment": "production", "signal": "security", "detail": "a leak"});
    assert_eq!(done(&post(port, "signal", &signal)), (200, "rolls_back"));
    assert_eq!(gone(&bed)["sentence"], "a security finding: a leak");
    bed.ok(&["replay"]);
}

#[test]
fn strangers_and_floods_are_kept_out() {
    let port = free_port();
    let bed = with_hooks(port);
    in_flight(&bed, "v2");
    let signal = json!({"service": "shop", "signal": "security"}).to_string();
    for headers in [
        "",
        "authorization: Bearer s3cre\r\n",
        "authorization: Bearer \r\n",
        "authorization: Basic czNjcmV0\r\n",
    ] {
        let (code, told) = post_with(port, "signal", headers, &signal);
        assert!(code == 401 && told["code"] == "unauthorized", "{headers}: {told:#}");
    }
    let (code, _) = post_with(port, "signal", &format!("{TOKEN}origin: http://evil.example\r\n"), &signal);
    assert_eq!(code, 403, "a page in a browser");
    let (code, told) = post_with(port, "signal", TOKEN, "{\"service\": ");
    assert!(code == 400 && told["why"].as_str().unwrap().contains("line 1"), "{told:#}");
    let (code, _) =
        post_with(port, "signal", TOKEN, "{\"service\": \"shop\", \"signal\": \"security\", \"x\": 1}");
    assert_eq!(code, 400, "an unknown key is a mistake");
    assert_eq!(post_with(port, "alertmanager", TOKEN, "[]").0, 400);
    assert_eq!(post_with(port, "nothing", TOKEN, &signal).0, 404);
    assert_eq!(
        send(port, format!("GET /v1/hooks/signal HTTP/1.1\r\nhost: x\r\n{TOKEN}\r\n").as_bytes()).0,
        405
    );
    assert_eq!(send(port, format!("GET /v1/status HTTP/1.1\r\nhost: x\r\n{TOKEN}\r\n").as_bytes()).0, 404);
    let huge =
        format!("POST /v1/hooks/signal HTTP/1.1\r\nhost: x\r\n{TOKEN}content-length: 900000000\r\n\r\n");
    assert_eq!(send(port, huge.as_bytes()).0, 413);
    let large = "x".repeat(1_100_000);
    assert!(
        matches!(post_with(port, "signal", TOKEN, &large).0, 413 | 0),
        "refused, or cut off while sending"
    );
    let long_head = format!("POST /v1/hooks/signal HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(100_000));
    assert!(matches!(send(port, long_head.as_bytes()).0, 431 | 0));

    // Slow senders are cut off, and keep nobody else out.
    let began = Instant::now();
    let mut slow: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.write_all(b"POST /v1/hooks/signal HTTP/1.1\r\nhost:").unwrap();
            stream
        })
        .collect();
    assert_eq!(post_with(port, "signal", "", &signal).0, 401, "others are served meanwhile");
    let mut half = TcpStream::connect(("127.0.0.1", port)).unwrap();
    half.write_all(
        format!("POST /v1/hooks/signal HTTP/1.1\r\nhost: x\r\n{TOKEN}content-length: 9\r\n\r\n{{").as_bytes(),
    )
    .unwrap();
    for stream in slow.iter_mut().chain([&mut half]) {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer);
        assert!(ended.is_ok() || !answer.is_empty(), "cut off: {ended:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(25));
    assert_eq!(bed.status()["release"]["state"], "held", "nothing of it did anything");
    let told = std::fs::read_to_string(bed.data().join("resident.log")).unwrap();
    assert!(!told.contains("s3cret") && !bed.ok(&["log"]).out.contains("s3cret"), "no token in any log");
}

/// A real Alertmanager with one receiver, ended with the test.
struct Alertmanager {
    port: u16,
    child: Child,
}

impl Alertmanager {
    /// None, and a line among the skips, where there is none.
    fn start(test: &str, folder: &Path, hooks: u16) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = std::env::split_paths(&path)
            .flat_map(|folder| ["prometheus-alertmanager", "alertmanager"].map(|name| folder.join(name)))
            .find(|file| file.is_file());
        let Some(program) = program else {
            if let Some(file) = std::env::var_os("TAXIWAY_SKIPS") {
                let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
                writeln!(
                    file,
                    "{test}: no `prometheus-alertmanager` on this machine (Debian's package has it)"
                )
                .unwrap();
            }
            return None;
        };
        // The receiver of docs/webhooks.md, at this test's port.
        let config = format!(
            "route: {{receiver: taxiway, group_by: [alertname, service], group_wait: 0s, group_interval: 1s}}\n\
             receivers:\n- name: taxiway\n  webhook_configs:\n  - url: http://127.0.0.1:{hooks}/v1/hooks/alertmanager\n    \
             send_resolved: false\n    max_alerts: 100\n    http_config:\n      authorization: {{credentials_file: '{}'}}\n",
            folder.join("token").display()
        );
        std::fs::write(folder.join("alertmanager.yml"), config).unwrap();
        let port = free_port();
        let child = Command::new(program)
            .arg(format!("--config.file={}", folder.join("alertmanager.yml").display()))
            .arg(format!("--storage.path={}", folder.join("alertmanager").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("alertmanager.log")).unwrap())
            .spawn()
            .unwrap();
        eventually("Alertmanager listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(Self { port, child })
    }

    /// An alert fires, as Prometheus would say it.
    fn fire(&self, labels: &Value) -> u16 {
        let alert = json!([{"labels": labels, "annotations": {"summary": "20% of requests fail"}, "startsAt": now()}]);
        let body = alert.to_string();
        let head = format!(
            "POST /api/v2/alerts HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        send(self.port, format!("{head}{body}").as_bytes()).0
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_real_alertmanager_rolls_back() {
    let port = free_port();
    let bed = with_hooks(port);
    let test = "cli::hooks::a_real_alertmanager_rolls_back";
    let Some(alertmanager) = Alertmanager::start(test, bed.folder(), port) else { return };
    in_flight(&bed, "v2");
    assert_eq!(
        alertmanager.fire(&json!({"alertname": "DiskFull", "service": "shop", "environment": "production"})),
        200
    );
    eventually("the unknown alert is told", || {
        bed.ok(&["explain", "--json"]).json()["unproven"].as_array().is_some_and(|all| !all.is_empty())
    });
    assert!(bed.status()["release"].is_object(), "and does nothing");
    assert_eq!(alertmanager.fire(&high_errors("shop")), 200);
    let last = gone(&bed);
    let why = last["sentence"].as_str().unwrap();
    let told = std::fs::read_to_string(bed.folder().join("alertmanager.log")).unwrap();
    assert_eq!(why, "a critical bug: alert HighErrors: 20% of requests fail", "{told}");
    let log = bed.ok(&["log"]).out;
    assert!(log.contains("by alertmanager"), "the record names who reported: {log}");
}

#[test]
fn feedback_is_kept_and_a_spike_rolls_back() {
    let port = free_port();
    let bed = with_hooks(port);
    let said = bed.ok(&["feedback", "shop", "--rating", "5", "--text", "I like v1\u{1b}]0;x\u{7}"]).out;
    assert!(said.contains("praised it (5 of 5)"), "{said}");
    assert_eq!(bed.run(&["feedback", "shop", "--rating", "6"]).code, 2);
    assert_eq!(bed.run(&["feedback", "shop"]).code, 2, "nothing was said");
    assert_eq!(bed.run(&["feedback", "cart", "--rating", "1"]).code, 2);
    // What is usual is known from the time in which nothing was in flight.
    bed.until("v1 has rested for a while", |status| {
        let time = |key: &str| status[key].as_i64().unwrap_or(0);
        time("at") - time("stable_since") >= 4_000_000
    });
    in_flight(&bed, "v2");
    bed.ok(&[
        "feedback",
        "shop-production-2",
        "--rating",
        "1",
        "--text",
        "checkout does not load",
        "--user",
        "ada",
    ]);
    assert_eq!(bed.run(&["feedback", "shop-production-7", "--rating", "1"]).code, 2);
    let explained = bed.ok(&["explain", "--json"]).json();
    let heard = &explained["feedback"];
    assert_eq!(
        (heard["problems"].as_u64(), heard["rating_centi"].as_u64()),
        (Some(1), Some(100)),
        "{heard:#}"
    );
    assert_eq!(heard["latest"][0]["step"], "tenth");
    assert!(bed.ok(&["explain"]).out.contains("checkout does not load"));
    assert!(!bed.ok(&["log", "--json"]).out.contains("\"ada\"") || !bed.ok(&["log"]).out.contains("ada:"));
    assert!(bed.status()["release"]["returning"].is_null(), "one report is no spike");

    // Many users within seconds, one of them again and again.
    let say = |user: &str| {
        post(
            port,
            "feedback",
            &json!({"service": "shop", "kind": "problem", "user": user, "key": format!("k-{user}")}),
        )
    };
    assert_eq!(post(port, "feedback", &json!({"service": "shop", "rating": 9})).0, 422);
    assert_eq!(post(port, "feedback", &json!({"service": "shop"})).0, 422);
    assert_eq!(done(&say("bob")), (200, "recorded"));
    assert_eq!(done(&say("bob")), (200, "nothing"), "the same key");
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut user = 0;
    while done(&say(&format!("u{user}"))).1 == "recorded" {
        user += 1;
        assert!(Instant::now() < deadline && user < 500, "no spike after {user}");
    }
    assert!(user >= 3, "five problems at least: {user}");
    let last = gone(&bed);
    let why = last["sentence"].as_str().unwrap();
    assert!(why.starts_with("a spike of user reports: ") && why.contains("times the usual rate"), "{why}");
    assert!(last["feedback"]["problems"].as_u64() >= Some(5), "{last:#}");
    assert!(bed.ok(&["history"]).out.contains("problems"), "{}", bed.ok(&["history"]).out);
    bed.ok(&["replay"]);
}

#[test]
fn an_address_is_opened_and_closed_by_hand() {
    let bed = Bed::new(Bed::ASKS).with_v1();
    let refused = bed.run(&["start", "--listen", "0.0.0.0:0"]);
    assert!(refused.code == 2 && refused.err.contains("--token-file"), "{refused:?}");
    let refused = bed.run(&["start", "--listen", "127.0.0.1:0", "--token-file", "missing"]);
    assert!(refused.code == 2 && refused.err.contains("missing"), "{refused:?}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = bed.run(&["start", "--listen", &taken.local_addr().unwrap().to_string()]);
    assert!(refused.code == 2 && refused.err.contains("cannot listen"), "{refused:?}");

    let port = free_port();
    let told = bed.ok(&["start", "--listen", &format!("127.0.0.1:{port}"), "--json"]).json();
    assert_eq!(told["webhooks"][0], format!("127.0.0.1:{port}"));
    in_flight(&bed, "v2");
    // Killed and started again, it listens again.
    let killed = bed.pid("resident").unwrap();
    crate::bed::kill(killed, "KILL");
    eventually("it is back", || bed.pid("resident").is_some_and(|pid| pid != killed));
    eventually("it listens again", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let signal = json!({"signal": "user-reports", "detail": "the phones ring"}).to_string();
    assert_eq!(
        done(&post_with(port, "signal", "", &signal)),
        (200, "rolls_back"),
        "there is one service only"
    );
    gone(&bed);
    assert_eq!(bed.ok(&["start", "--no-listen", "--json"]).json()["webhooks"], json!([]));
    eventually("it is closed", || TcpStream::connect(("127.0.0.1", port)).is_err());
}
