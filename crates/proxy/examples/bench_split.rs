//! One million requests at 1, 5 and 50 %, each on its own and by user: share of the canary, distance in sigma, cost.
//!
//! Seeds are fixed: the counts are the same on every machine, only the time is not.

use http::{HeaderMap, HeaderValue};
use serde_json::json;
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::time::Instant;
use taxiway_proxy::split::Dice;
use taxiway_proxy::table::{Asked, Table};

const REQUESTS: u32 = 1_000_000;
/// A correct split is farther off in one of 370 trials; none of the nine trials here is.
const SIGMA_MAX: f64 = 3.0;

fn main() -> ExitCode {
    match measure() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("a share lies outside of {SIGMA_MAX} sigma");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<bool, Box<dyn Error>> {
    println!("{:<8}{:<12}{:>6}{:>10}{:>9}{:>14}", "share", "by", "seed", "canary", "sigma", "ns/request");
    let mut all_within = true;
    for percent in [1_u16, 5, 50] {
        for (by, seed) in [("request", 1), ("request", 2), ("user", 1)] {
            let table = table(percent, by == "user")?;
            let started = Instant::now();
            let canary = f64::from(canary_of(&table, by == "user", seed));
            let nanoseconds = started.elapsed().as_nanos() as f64 / f64::from(REQUESTS);
            let (n, p) = (f64::from(REQUESTS), f64::from(percent) / 100.0);
            let sigma = (canary - n * p) / (n * p * (1.0 - p)).sqrt();
            all_within &= sigma.abs() <= SIGMA_MAX;
            println!(
                "{:<8}{by:<12}{seed:>6}{canary:>10}{sigma:>9.2}{nanoseconds:>14.0}",
                format!("{percent} %")
            );
        }
    }
    Ok(all_within)
}

fn canary_of(table: &Table, by_user: bool, seed: u64) -> u32 {
    let mut dice = Dice::new(seed);
    let canary = table.canary.as_ref().map(|canary| canary.version);
    let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut headers = HeaderMap::new();
    let mut count = 0;
    for user in 0..REQUESTS {
        if by_user {
            headers.insert("x-user", HeaderValue::from(user));
        }
        let decided = table.decide(Asked { headers: &headers, client }, true, &mut dice);
        count += u32::from(decided.map(|decided| decided.version) == canary);
    }
    count
}

fn table(percent: u16, by_user: bool) -> Result<Table, Box<dyn Error>> {
    let sticky = if by_user { json!({"by": "header", "name": "x-user"}) } else { json!({"by": "none"}) };
    let backend =
        |port: u16| json!([{"address": format!("127.0.0.1:{port}"), "protocol": "http1", "accepting": true}]);
    let table = json!({
        "stream": {"service": "bench", "environment": "local"},
        "generation": 1,
        "listen": {
            "addresses": ["127.0.0.1:1"], "tls": null, "sticky": sticky, "trusted_proxies": [], "limits": {},
            "endpoint_classes": [], "health": null
        },
        "baseline": "v1",
        "canary": {
            "version": "v2", "weight": percent * 100, "header": null, "mirror": 0, "lease_ms": 60_000, "drain_ms": 0
        },
        "backends": {"v1": backend(2), "v2": backend(3)}
    });
    Ok(Table::compile(serde_json::from_value(table)?)?)
}
