//! Random kills of everything, while releases go on. `TAXIWAY_CHAOS_KILLS` for more of them,
//! `TAXIWAY_CHAOS_SEED` for the same ones again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::bed::{Bed, eventually, kill};

/// Kills in the suite.
const KILLS: u64 = 30;

/// Releases that are accepted at least: on a machine so slow that the kills are over before, they go on after them.
const RELEASES: usize = 2;

/// The numbers of splitmix64: enough to choose by, and the same for the same seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn random_kills_lose_nothing() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let seed = number("TAXIWAY_CHAOS_SEED", now);
    let kills = number("TAXIWAY_CHAOS_KILLS", KILLS);
    println!("again with TAXIWAY_CHAOS_SEED={seed} TAXIWAY_CHAOS_KILLS={kills}");
    let bed = Arc::new(Bed::new(Bed::QUICK).with_v1());
    let over = Arc::new(AtomicBool::new(false));
    let releases = std::thread::spawn({
        let (bed, over) = (Arc::clone(&bed), Arc::clone(&over));
        move || release_on_and_on(&bed, &over)
    });
    let mut dice = Dice(seed);
    for kills_made in 1..=kills {
        std::thread::sleep(Duration::from_millis(100 + dice.next(700)));
        strike(&bed, &mut dice, seed);
        if kills_made % 10 == 0 {
            serves_within(&bed, Duration::from_secs(5), seed);
        }
    }
    over.store(true, Ordering::SeqCst);
    let accepted = releases.join().unwrap();
    all_is_well(&bed, &accepted, seed);
}

/// Kills one process of ours or one instance.
fn strike(bed: &Bed, dice: &mut Dice, seed: u64) {
    let all: Vec<_> = bed
        .processes()
        .into_iter()
        .filter(|(_, command)| {
            [" resident ", " keep ", " proxy "].iter().any(|role| command.contains(role))
                || command.contains("--behaviour")
        })
        .collect();
    if all.is_empty() {
        return;
    }
    let (pid, command) = &all[usize::try_from(dice.next(all.len() as u64)).unwrap()];
    println!("seed {seed}: kill -9 {pid}: {}", &command[..command.len().min(120)]);
    kill(*pid, "KILL");
}

/// Releases one version after the other, [`RELEASES`] of them and until it is `over`; gives back those that were accepted.
fn release_on_and_on(bed: &Bed, over: &AtomicBool) -> Vec<String> {
    let mut accepted = Vec::new();
    for number in 2.. {
        if over.load(Ordering::SeqCst) && accepted.len() >= RELEASES {
            break;
        }
        let version = format!("v{number}");
        bed.version(&version, "healthy");
        let said = bed.run(&["release", "--version", &version, "--detach"]);
        if said.code == 0 {
            accepted.push(version.clone());
        } else {
            assert!([1, 8].contains(&said.code), "{said:?}\n{}", bed.output());
        }
        // Whatever became of it: the next one begins when nothing is in flight.
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let said = bed.run(&["status", "--json"]);
            let idle = said.code == 0
                && said.json()[0]["release"].is_null()
                && said.json()[0]["queued"] == serde_json::json!([]);
            if idle || over.load(Ordering::SeqCst) && accepted.len() >= RELEASES {
                break;
            }
            // A release without traffic never gets its evidence.
            let _ = bed.ask();
            assert!(Instant::now() < deadline, "{version} hangs: {said:?}\n{}", bed.output());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    accepted
}

fn serves_within(bed: &Bed, time: Duration, seed: u64) {
    let began = Instant::now();
    while !bed.ask().is_ok_and(|(code, _)| code == 200) {
        assert!(began.elapsed() < time, "seed {seed}: no service within {time:?}\n{}", bed.output());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn all_is_well(bed: &Bed, accepted: &[String], seed: u64) {
    serves_within(bed, Duration::from_secs(5), seed);
    eventually(&format!("seed {seed}: the last release ends"), || {
        let _ = bed.ask();
        let status = bed.status();
        status["release"].is_null() && status["queued"] == serde_json::json!([])
    });
    for role in ["resident", "keeper", "proxy"] {
        eventually(&format!("seed {seed}: {role} runs"), || bed.pid(role).is_some());
    }
    bed.ok(&["log", "verify"]);
    bed.ok(&["replay"]);
    let history = bed.ok(&["history", "--json", "--limit", "1000"]).json();
    let known: Vec<&str> =
        history.as_array().unwrap().iter().map(|entry| entry["version"].as_str().unwrap()).collect();
    for version in accepted {
        let times = known.iter().filter(|name| *name == version).count();
        assert_eq!(times, 1, "seed {seed}: {version} was accepted and is in the history {times} times");
    }
    // What serves is what the log says.
    let (_, version) = bed.ask().unwrap();
    assert_eq!(bed.status()["stable"], version.as_str(), "seed {seed}");
    bed.ok(&["stop"]);
    assert!(bed.processes().is_empty(), "seed {seed}: left behind: {:?}", bed.processes());
}
