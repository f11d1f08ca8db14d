//! A running shop that is killed when the test ends.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use taxiway_example_load::{Plan, Report};

pub(crate) struct Shop {
    pub(crate) child: Child,
    pub(crate) output: BufReader<ChildStdout>,
    pub(crate) port: u16,
}

impl Drop for Shop {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shop"));
    command.args(["--port", "0"]).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// Starts a shop on a free port and waits for the line that names it.
pub(crate) fn start(arguments: &[&str]) -> Shop {
    let mut child = command(arguments).spawn().expect("the shop is built beside this test");
    let mut output = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let mut line = String::new();
    output.read_line(&mut line).expect("the shop says that it started");
    let address = line.split("listens on ").nth(1).unwrap_or_else(|| panic!("no address in '{line}'"));
    let address: std::net::SocketAddr = address.split(',').next().unwrap().parse().expect("an address");
    Shop { child, output, port: address.port() }
}

impl Shop {
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Sends `requests` requests at `rate` per second over paths as in `mix`.
    pub(crate) fn load(&self, rate: u32, requests: u64, mix: &str) -> Report {
        self.load_with(|plan| Plan {
            rate_per_s: rate,
            requests_max: Some(requests),
            mix: mix.parse().unwrap(),
            ..plan
        })
    }

    pub(crate) fn load_with(&self, change: impl FnOnce(Plan) -> Plan) -> Report {
        let plan = Plan {
            url: self.url(),
            rate_per_s: 500,
            connections: 32,
            seconds_max: None,
            requests_max: Some(500),
            mix: "/".parse().unwrap(),
            users: 0,
            h2c: false,
            timeout: Duration::from_secs(5),
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(taxiway_example_load::run(change(plan), |_| true)).expect("the plan is sound")
    }

    /// What it says at /metrics.
    pub(crate) fn metrics(&self) -> String {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.contains("text/plain; version=0.0.4"),
            "{answer}"
        );
        answer
    }

    pub(crate) fn rss_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches("kB").trim().parse().expect("a number of kB")
    }
}
