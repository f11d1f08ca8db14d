//! Start and stop.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::shop::{command, start};

fn terminate(pid: u32) {
    assert!(Command::new("kill").args(["-TERM", &pid.to_string()]).status().unwrap().success());
}

#[test]
fn crash_exits_with_1_and_says_why() {
    let output = command(&["--behaviour", "crash"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("error: v1"), "{output:?}");
}

#[test]
fn slow_start_is_alive_but_not_ready() {
    let began = Instant::now();
    let shop = start(&["--behaviour", "slow-start", "--start-ms", "1500"]);
    assert_eq!(shop.load(100, 10, "/healthz").ok, 10);
    let unready = shop.load(100, 10, "/readyz,/");
    assert_eq!(unready.by_status.get(&503), Some(&10), "{unready:?}");
    let deadline = began + Duration::from_secs(10);
    while shop.load(100, 1, "/readyz").ok == 0 {
        assert!(Instant::now() < deadline, "never ready");
    }
    assert!(began.elapsed() >= Duration::from_millis(1_500));
    assert_eq!(shop.load(100, 10, "/").ok, 10);
}

#[test]
fn sigterm_lets_requests_finish() {
    let mut shop = start(&["--behaviour", "slow"]);
    let pid = shop.child.id();
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        terminate(pid);
    });
    // One request at a time per connection, always in progress when the signal comes.
    let report = shop.load(500, 400, "/");
    killer.join().unwrap();
    assert!(shop.child.wait().unwrap().success());
    let mut rest = String::new();
    shop.output.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("stop: v1"), "{rest}");
    assert!(report.ok > 50, "{report:?}");
    assert_eq!(report.ok + report.connection_errors, 400, "answered in full or not at all: {report:?}");
}

#[test]
fn bad_arguments_are_refused() {
    for arguments in
        [&["--behaviour", "outage"][..], &["--behaviour", "odd"], &["--dependency", "tcp:nowhere"]]
    {
        let output = command(arguments).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
    let without_port = Command::new(env!("CARGO_BIN_EXE_shop")).env_remove("PORT").output().unwrap();
    assert_eq!(without_port.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&without_port.stderr).contains("PORT"));
}

#[test]
fn a_taken_port_is_an_error_and_not_a_hang() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_shop")).env("PORT", &port).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("cannot listen"), "{output:?}");
}
