//! The proxy beside nginx and HAProxy: requests per second and core, and p99 at a fixed rate.
//!
//! Everything shares one machine, so plain requests per second would measure the load generator as much as the proxy.
//! CPU time is counted per process by the kernel: requests per CPU second do not depend on who else is running.

use std::path::Path;
use std::time::Instant;

use super::clients::{CONNECTIONS, Load, Wrk};
use super::options::Options;
use super::peers::{self, Addresses, Peer};
use super::process::{self, Process};
use super::{record, scratch};
use crate::needs::provide;
use crate::shell::Error;

/// Time before each run in which pools fill and branch predictors learn.
const WARM_UP_SECONDS: u64 = 2;

/// What a record says of the option of that name.
const REAL_TIME: &str = ", all programs with real-time priority because the machine had other work";

/// One run of one program.
#[derive(Clone, Copy, Debug)]
struct Sample {
    requests_per_s: f64,
    cores: f64,
    p50_ms: f64,
    p99_ms: f64,
    canary_share: f64,
    memory_mib: f64,
    failed: f64,
}

impl Sample {
    fn per_core(&self) -> f64 {
        self.requests_per_s / self.cores
    }
}

/// Measures, prints the table, and records it if it is the agreed run.
pub(super) fn run(root: &Path, words: &[String]) -> Result<(), Error> {
    let options = Options::parse(words)?;
    let provided = provide(root, peers::NEEDS)?;
    if !provided.missing.is_empty() {
        return Err(Error::new(provided.missing.join("\n")));
    }
    let find = |program: &str| provided.find(program).expect("nothing is missing");
    let folder = scratch(root, "bench-proxy")?;
    let clients = (Wrk::new(find("wrk"), &folder)?, Load::build(root)?);
    let compared = [Peer::nginx(find("nginx")), Peer::haproxy(find("haproxy")), Peer::taxiway(root)?];

    let mut samples: Vec<Vec<Sample>> = compared.iter().map(|_| Vec::new()).collect();
    for round in 1..=options.rounds {
        for (peer, samples) in compared.iter().zip(&mut samples) {
            let sample = measure(peer, &find("nginx"), &folder, &clients, options)?;
            println!(
                "round {round} {:<8} {:>7.0} requests/s on {:.2} cores = {:>6.0} per core; at a fixed rate p50 {:.2} ms, p99 {:.2} ms",
                peer.name,
                sample.requests_per_s,
                sample.cores,
                sample.per_core(),
                sample.p50_ms,
                sample.p99_ms
            );
            samples.push(sample);
        }
    }
    let body = format!("{}\n\n{}", method(&options, &compared), table(&compared, &samples));
    println!("\n{body}");
    if options.record { record::append(root, "proxy", &body) } else { Ok(()) }
}

fn measure(
    peer: &Peer,
    nginx: &Path,
    folder: &Path,
    clients: &(Wrk, Load),
    options: Options,
) -> Result<Sample, Error> {
    let free = process::free_addresses(3)?;
    let addresses = Addresses { v1: free[0], v2: free[1], front: free[2] };
    let upstream = peers::start_upstream(nginx, folder, addresses)?;
    let proxy: Process = peer.start(folder, addresses)?;
    let (wrk, load) = clients;
    wrk.run(addresses.front, WARM_UP_SECONDS)?;
    let (before, started) = (proxy.cpu_seconds(), Instant::now());
    let through = wrk.run(addresses.front, options.seconds)?;
    let (cpu, elapsed) = (proxy.cpu_seconds() - before, started.elapsed().as_secs_f64());
    let memory_mib = proxy.memory_mib();
    if options.real_time {
        upstream.real_time()?;
        proxy.real_time()?;
    }
    let latency = load.run(addresses.front, options.seconds, options.real_time)?;
    Ok(Sample {
        requests_per_s: through.requests / through.seconds,
        // The CPU was counted a little longer than wrk counted requests; both are seen as rates.
        cores: cpu / elapsed,
        p50_ms: latency.p50_ms,
        p99_ms: latency.p99_ms,
        canary_share: latency.canary_share,
        memory_mib,
        failed: through.errors + latency.failed as f64,
    })
}

fn method(options: &Options, compared: &[Peer]) -> String {
    let versions: Vec<String> = compared.iter().map(Peer::version).collect();
    format!(
        "{}. {CONNECTIONS} connections, 1 KiB answers, 90/10 split by user, one worker per core, client and servers on the same \
         machine. Throughput: wrk, closed loop, {} s. Latency: open loop at 5,000 requests/s, {} s, from the moment a request \
         was due{}. Median of {} interleaved runs, with the least and the greatest in brackets.",
        versions.join(", "),
        options.seconds,
        options.seconds,
        if options.real_time { REAL_TIME } else { "" },
        options.rounds
    )
}

fn table(compared: &[Peer], samples: &[Vec<Sample>]) -> String {
    let nginx = median(&samples[0], Sample::per_core);
    let nginx_p99 = median(&samples[0], |sample| sample.p99_ms);
    let mut lines = vec![
        "| | requests/s per core used | of nginx | requests/s | cores used | p50 ms | p99 ms | p99 over nginx | v2 share | MiB | failed |".to_owned(),
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|".to_owned(),
    ];
    for (peer, samples) in compared.iter().zip(samples) {
        let per_core = median(samples, Sample::per_core);
        let p99 = median(samples, |sample| sample.p99_ms);
        lines.push(format!(
            "| {} | {per_core:.0} {} | {:.2}× | {:.0} | {:.2} | {:.2} | {p99:.2} {} | {:+.2} | {:.1} % | {:.0} | {:.0} |",
            peer.name,
            spread(samples, Sample::per_core, 0),
            per_core / nginx,
            median(samples, |sample| sample.requests_per_s),
            median(samples, |sample| sample.cores),
            median(samples, |sample| sample.p50_ms),
            spread(samples, |sample| sample.p99_ms, 2),
            p99 - nginx_p99,
            median(samples, |sample| sample.canary_share * 100.0),
            median(samples, |sample| sample.memory_mib),
            samples.iter().map(|sample| sample.failed).sum::<f64>(),
        ));
    }
    lines.join("\n")
}

fn sorted(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> Vec<f64> {
    let mut figures: Vec<f64> = samples.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures
}

fn median(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> f64 {
    let figures = sorted(samples, figure);
    let middle = figures.len() / 2;
    if figures.len() % 2 == 1 { figures[middle] } else { f64::midpoint(figures[middle - 1], figures[middle]) }
}

fn spread(samples: &[Sample], figure: impl Fn(&Sample) -> f64, digits: usize) -> String {
    let figures = sorted(samples, figure);
    format!("[{:.digits$}–{:.digits$}]", figures[0], figures[figures.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(requests_per_s: f64, p99_ms: f64) -> Sample {
        Sample {
            requests_per_s,
            cores: 0.5,
            p50_ms: 0.1,
            p99_ms,
            canary_share: 0.1,
            memory_mib: 10.0,
            failed: 0.0,
        }
    }

    #[test]
    fn the_median_counts_and_the_extremes_are_shown() {
        let samples = [sample(100.0, 1.0), sample(300.0, 9.0), sample(200.0, 2.0)];
        assert_eq!(median(&samples, |sample| sample.p99_ms), 2.0);
        assert_eq!(median(&samples[..2], |sample| sample.p99_ms), 5.0);
        assert_eq!(spread(&samples, Sample::per_core, 0), "[200–600]");
    }

    #[test]
    fn the_table_compares_with_its_first_row() {
        let peers = [Peer::nginx("nginx".into()), Peer::haproxy("haproxy".into())];
        let text = table(&peers, &[vec![sample(100.0, 1.0)], vec![sample(90.0, 1.25)]]);
        let last = text.lines().last().expect("a row per program");
        assert!(last.starts_with("| HAProxy | 180 [180–180] | 0.90× | 90 | 0.50 |"), "{last}");
        assert!(last.contains("| +0.25 |"), "{last}");
    }
}
