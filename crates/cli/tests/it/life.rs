//! The processes: killed, started twice, stopped, damaged.

use std::sync::Arc;
use std::time::Instant;

use crate::bed::{Bed, Traffic, ended, eventually, kill};

#[test]
fn whoever_is_killed_is_back_and_nobody_notices() {
    let bed = Arc::new(Bed::new(Bed::QUICK).with_v1());
    let traffic = Traffic::on(&bed);
    for role in ["resident", "keeper", "resident"] {
        let pid = bed.pid(role).unwrap_or_else(|| panic!("{role} runs\n{}", bed.output()));
        let killed = Instant::now();
        kill(pid, "KILL");
        eventually(&format!("{role} is back"), || bed.pid(role).is_some_and(|new| new != pid));
        assert!(killed.elapsed().as_secs() < 5, "{role} was away for {:?}", killed.elapsed());
        bed.status();
    }
    let counted = traffic.end();
    assert!(
        counted.failed.is_empty(),
        "while only the engine is dead nothing is refused: {:?}",
        counted.failed
    );

    let proxy = bed.pid("proxy").unwrap();
    kill(proxy, "KILL");
    eventually("the proxy is back and serves", || {
        bed.pid("proxy").is_some_and(|new| new != proxy) && bed.ask().is_ok_and(|(code, _)| code == 200)
    });
    // An instance, too.
    let instance = bed.status()["instances"][0]["pid"].as_i64().unwrap();
    kill(i32::try_from(instance).unwrap(), "KILL");
    bed.until("the instance is back", |status| {
        let ready = status["instances"].as_array().unwrap().iter().filter(|i| i["phase"] == "ready");
        ready.count() == 2 && status["instances"].as_array().unwrap().iter().all(|i| i["pid"] != instance)
    });
}

#[test]
fn a_release_goes_on_when_the_resident_process_is_killed() {
    let bed = Arc::new(Bed::new(Bed::QUICK).with_v1());
    let traffic = Traffic::on(&bed);
    bed.version("v2", "healthy");
    let child = bed.start(&["release", "--version", "v2", "--json", "--timeout", "60s"]);
    bed.until("it is under way", |status| status["release"]["version"] == "v2");
    kill(bed.pid("resident").unwrap(), "KILL");
    let said = ended(child);
    assert_eq!(said.code, 0, "the verb follows on: {said:?}\n{}", bed.output());
    let counted = traffic.end();
    assert!(counted.failed.is_empty(), "{:?}", counted.failed);
    bed.ok(&["log", "verify"]);
    bed.ok(&["replay"]);
}

#[test]
fn two_starts_at_once_are_one_resident_process() {
    let bed = Bed::new(Bed::QUICK);
    bed.version("v1", "healthy");
    bed.version("v2", "healthy");
    let starts = ["v1", "v2"].map(|version| bed.start(&["release", "--version", version, "--detach"]));
    for start in starts {
        let said = ended(start);
        assert_eq!(said.code, 0, "{said:?}\n{}", bed.output());
    }
    let residents = bed.processes().into_iter().filter(|(_, command)| command.contains(" resident "));
    eventually("one of them is left", {
        let _ = residents.count();
        || bed.processes().iter().filter(|(_, command)| command.contains(" resident ")).count() == 1
    });
}

#[test]
fn stop_leaves_nothing_and_start_brings_it_back() {
    let bed = Bed::new(Bed::QUICK).with_v1();
    assert!(bed.processes().len() >= 5, "three of ours, two instances: {:?}", bed.processes());
    bed.ok(&["stop"]);
    assert!(bed.processes().is_empty(), "{:?}", bed.processes());
    assert_eq!(bed.ok(&["stop"]).out, "nothing was running\n");

    // Reading starts a reader and nothing else.
    assert_eq!(bed.ok(&["history", "--json"]).json()[0]["version"], "v1");
    assert!(bed.pid("proxy").is_none() && bed.pid("keeper").is_none());
    assert!(bed.status()["unreachable"][0].as_str().unwrap().contains("taxiway start"));
    bed.ok(&["start"]);
    eventually("v1 serves again", || bed.ask().is_ok_and(|(code, version)| code == 200 && version == "v1"));
}

#[test]
fn a_flipped_byte_is_found_and_said() {
    let bed = Bed::new(Bed::QUICK).with_v1();
    bed.ok(&["stop"]);
    // A process that ends in a hurry leaves its write-ahead log to whoever opens the log next; a reader that
    // `with_v1` has asked may still be on its way out.
    eventually("the log is free", || {
        let options = taxiway_store::sqlite::Options::default();
        taxiway_store::sqlite::Store::open(&bed.data(), options).map(drop).is_ok()
    });
    let found: Vec<_> = std::fs::read_dir(bed.data()).unwrap().flatten().map(|entry| entry.path()).collect();
    let database = found.iter().find(|path| path.extension().is_some_and(|e| e == "db" || e == "sqlite"));
    let database = database.unwrap_or_else(|| panic!("{found:?}"));
    let mut bytes = std::fs::read(database).unwrap();
    // In a payload: the owner's name stands there as the plan was written. A page that was split
    // keeps a copy in space nobody reads any more, so every copy is changed.
    let mut places = Vec::new();
    places.extend((0..bytes.len() - 9).filter(|place| bytes[*place..].starts_with(b"team-shop")));
    assert!(!places.is_empty());
    for place in places {
        bytes[place] = b'T';
    }
    std::fs::write(database, bytes).unwrap();
    let said = bed.run(&["log", "verify"]);
    assert_eq!(said.code, 11, "{said:?}\n{}", bed.output());
}

#[test]
fn a_read_only_directory_is_a_clear_message() {
    use std::os::unix::fs::PermissionsExt;
    if nix::unistd::Uid::effective().is_root() {
        // Root writes where it likes; a file in the directory's place cannot be written by anybody.
        let bed = Bed::new(Bed::QUICK);
        bed.version("v1", "healthy");
        std::fs::write(bed.folder().join("taken"), "").unwrap();
        let said = bed.run(&["release", "--version", "v1", "--data", "taken"]);
        assert!(said.code == 2 && said.err.contains("[data_unusable]"), "{said:?}");
        return;
    }
    let bed = Bed::new(Bed::QUICK);
    bed.version("v1", "healthy");
    std::fs::create_dir(bed.data()).unwrap();
    std::fs::set_permissions(bed.data(), std::fs::Permissions::from_mode(0o500)).unwrap();
    let said = bed.run(&["release", "--version", "v1"]);
    std::fs::set_permissions(bed.data(), std::fs::Permissions::from_mode(0o700)).unwrap();
    assert!(said.code == 2 && said.err.contains("[data_unusable]"), "{said:?}");
}

/// Changes the description.
fn change(bed: &Bed, from: &str, to: &str) {
    let yaml = std::fs::read_to_string(bed.file()).unwrap();
    assert!(yaml.contains(from), "{from} is in {yaml}");
    std::fs::write(bed.file(), yaml.replace(from, to)).unwrap();
}

#[test]
fn a_taken_port_is_said_and_nothing_is_left_half_done() {
    let bed = Bed::new(Bed::QUICK);
    bed.version("v1", "healthy");
    let taken = std::net::TcpListener::bind(("127.0.0.1", bed.port)).unwrap();
    change(&bed, "ready: 20s", "ready: 20s\n  routed: 2s");
    let said = bed.run(&["release", "--version", "v1", "--timeout", "40s"]);
    assert_eq!(said.code, 10, "{said:?}");
    assert!(said.err.contains("in use"), "{said:?}");
    assert!(bed.status()["release"].is_null());
    // With the port free the same version goes all the way.
    drop(taken);
    bed.ok(&["retry"]);
    eventually("v1 serves", || bed.ask().is_ok_and(|(code, version)| code == 200 && version == "v1"));
}

#[test]
fn a_missing_program_is_said_at_once_and_the_baseline_serves_on() {
    let bed = Bed::new(Bed::QUICK).with_v1();
    change(&bed, "[sh, ", "[no-such-program, ");
    bed.version("v2", "healthy");
    let said = bed.run(&["release", "--version", "v2", "--timeout", "40s"]);
    assert!([5, 10].contains(&said.code), "{said:?}");
    assert!(said.out.contains("no-such-program"), "{said:?}");
    assert_eq!(bed.ask().unwrap(), (200, "v1".to_owned()));
}

#[test]
fn an_instance_that_ignores_sigterm_is_killed_by_stop() {
    let bed = Bed::new(Bed::QUICK);
    // The shell takes the signal and stays; what it started ends, and is started again by it.
    let shop = crate::bed::shop().display();
    let text = format!("trap '' TERM\nwhile :; do '{shop}' --behaviour healthy \"$@\"; done\n");
    std::fs::write(bed.folder().join("versions/v1"), text).unwrap();
    bed.ok(&["release", "--version", "v1", "--timeout", "40s"]);
    bed.ok(&["stop"]);
    assert!(bed.processes().is_empty(), "{:?}", bed.processes());
}
