//! Arguments and output of the program.

use std::fmt::Write as _;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;
use serde_json::json;
use taxiway_example_load::{Mix, Plan, Report, Second};
use tokio::signal::unix::{SignalKind, signal};

/// Send requests at a fixed rate to a service on this machine and count what comes back.
#[derive(Debug, Parser)]
#[command(name = "load")]
pub(crate) struct Args {
    /// Where to, such as http://127.0.0.1:8080.
    url: String,
    /// Requests per second.
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// Connections, each with one request at a time.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Stop after this many seconds.
    #[arg(long, required_unless_present = "requests")]
    seconds: Option<u32>,
    /// Stop after this many requests.
    #[arg(long)]
    requests: Option<u64>,
    /// Paths with their weights.
    #[arg(long, default_value = "/=6,/search=3,/checkout=1")]
    mix: Mix,
    /// Send as this many users, each with a header x-user and its own cookies.
    #[arg(long, default_value_t = 0)]
    users: usize,
    /// HTTP/2 without TLS instead of HTTP/1.1.
    #[arg(long)]
    h2c: bool,
    /// Milliseconds that a request may take.
    #[arg(long, default_value_t = 5_000)]
    timeout_ms: u64,
    /// One JSON object per second, and one with the key "summary" at the end.
    #[arg(long)]
    json: bool,
}

/// Runs to its end, to SIGTERM, or until nobody reads the output; exit code 2 for a plan that cannot be run.
pub(crate) async fn run_to_end(args: Args, stop: Arc<AtomicBool>) -> ExitCode {
    let json = args.json;
    let plan = Plan {
        url: args.url,
        rate_per_s: args.rate,
        connections: args.connections,
        seconds_max: args.seconds,
        requests_max: args.requests,
        mix: args.mix,
        users: args.users,
        h2c: args.h2c,
        timeout: Duration::from_millis(args.timeout_ms),
    };
    let on_second = |second: &Second| print(&second_line(second, json)) && !stop.load(Ordering::Relaxed);
    match taxiway_example_load::run(plan, on_second).await {
        Ok(report) => {
            print(&summary(&report, json));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::from(2)
        }
    }
}

/// As [`run_to_end`], stopping early on SIGTERM and SIGINT.
pub(crate) async fn run(args: Args) -> ExitCode {
    let stop = Arc::new(AtomicBool::new(false));
    let signals =
        signal(SignalKind::terminate()).and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
    match signals {
        Ok((mut term, mut int)) => {
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                tokio::select! { _ = term.recv() => (), _ = int.recv() => () }
                stop.store(true, Ordering::Relaxed);
            });
        }
        Err(error) => eprintln!("load: cannot listen for signals, the run ends at its bound: {error}"),
    }
    run_to_end(args, stop).await
}

/// Whether somebody still reads.
fn print(line: &str) -> bool {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).is_ok()
}

fn second_line(second: &Second, json: bool) -> String {
    if json {
        return json!(second).to_string();
    }
    format!("{:>4} s  {}", second.second, text(&second.report))
}

fn summary(report: &Report, json: bool) -> String {
    if json { json!({ "summary": report }).to_string() } else { format!("all     {}", text(report)) }
}

fn text(report: &Report) -> String {
    let ms = |us: u64| us as f64 / 1_000.0;
    let mut line = format!(
        "{} requests, {} failed, {} timeouts, {} connection errors, p50 {:.1} ms, p99 {:.1} ms",
        report.requests,
        report.requests - report.ok,
        report.timeouts,
        report.connection_errors,
        ms(report.latency.p50_us),
        ms(report.latency.p99_us),
    );
    for (version, counts) in &report.by_version {
        write!(line, "; {version}: {} requests, {} errors", counts.requests, counts.errors)
            .expect("writing to a string cannot fail");
    }
    line
}
