//! Start, readiness, change of what is desired, crash and restart.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use taxiway_adapters::workload::process::{Config, Supervisor};
use taxiway_engine::ports::workload::{Error, Workload};
use taxiway_model::ids::Generation;
use taxiway_model::observation::InstancePhase;
use taxiway_model::service::{Probe, ProbeAsk};

use super::supervised::{Place, eventually, get, kill_hard, runs};

#[test]
fn instances_become_ready_on_their_own_ports_and_know_who_they_are() {
    let place = Place::new();
    place.apply(1, vec![place.version("v1", 3)]).unwrap();
    assert_eq!(place.observe().instances.len(), 3, "they are to be seen from the order on");
    let status = place.wait_ready(3);
    assert_eq!(status.generation, Generation(1));
    let addresses: BTreeSet<_> = status.instances.iter().map(|one| one.address.clone()).collect();
    assert_eq!(addresses.len(), 3);
    for instance in &status.instances {
        let answer = get(instance, "/");
        for expected in [
            format!("pid={}\n", instance.pid.unwrap()),
            format!("TAXIWAY_INSTANCE=v1-{}\n", instance.number),
            "TAXIWAY_RELEASE=shop-production-1\n".to_owned(),
            "TAXIWAY_VERSION=v1\n".to_owned(),
            "TAXIWAY_GROUP=main\n".to_owned(),
            "TAXIWAY_SERVICE=shop\n".to_owned(),
            "TAXIWAY_ENVIRONMENT=production\n".to_owned(),
        ] {
            assert!(answer.contains(&expected), "{expected} is not in {answer}");
        }
        assert!(
            !answer.contains("CARGO_"),
            "what happened to be in our environment is not passed on: {answer}"
        );
        assert_eq!((instance.why.as_str(), instance.restarts), ("", 0));
        assert!(instance.ready_since.is_some());
        let output = std::fs::read_to_string(&instance.output).unwrap();
        assert!(instance.output.contains("shop-production-1"), "{}", instance.output);
        assert!(output.starts_with("taxiway: release shop-production-1 starts v1-"), "{output}");
        assert!(output.contains("listening on"), "{output}");
    }
    place.wait("memory is measured", |status| status.instances.iter().all(|one| one.memory_bytes > 100_000));
}

#[test]
fn a_fresh_group_runs_beside_its_version_and_is_the_same_version() {
    let place = Place::new();
    let old = place.version("v1", 1);
    let mut fresh = place.version("v1", 1);
    fresh.version.name = fresh.version.name.fresh();
    place.apply(1, vec![old.clone()]).unwrap();
    let first = place.wait_ready(1);
    place.apply(2, vec![old.clone(), fresh]).unwrap();
    let both = place.wait_ready(2);
    let kept = both.instances.iter().find(|one| !one.version.is_fresh()).unwrap();
    assert_eq!(kept.pid, first.instances[0].pid, "whoever ran goes on");
    let young = both.instances.iter().find(|one| one.version.is_fresh()).unwrap();
    let answer = get(young, "/");
    for expected in ["TAXIWAY_VERSION=v1\n", "TAXIWAY_GROUP=fresh\n", "TAXIWAY_INSTANCE=v1+fresh-0\n"] {
        assert!(answer.contains(expected), "{expected} is not in {answer}");
    }
    assert_ne!(young.output, kept.output);
    place.apply(3, vec![old]).unwrap();
    let after = place.wait("the fresh one is gone", |status| status.instances.len() == 1);
    assert_eq!(after.instances[0].pid, first.instances[0].pid);
}

#[test]
fn orders_are_complete_idempotent_and_never_older() {
    let place = Place::new();
    place.apply(4, vec![place.version("v1", 2)]).unwrap();
    let first = place.wait_ready(2);
    place.apply(4, vec![place.version("v1", 2)]).unwrap();
    let stale = place.apply(3, vec![]).unwrap_err();
    assert_eq!(stale, Error::Stale { given: Generation(3), current: Generation(4) });
    place.apply(5, vec![place.version("v1", 1), place.version("v2", 1)]).unwrap();
    let both = place.wait("one of each", |status| {
        status.instances.len() == 2 && status.instances.iter().all(|one| one.phase == InstancePhase::Ready)
    });
    let of = |name: &str| both.instances.iter().find(|one| one.version.as_str() == name).unwrap().clone();
    assert_eq!(
        of("v1").pid,
        first.instances.iter().find(|one| one.number == 0).unwrap().pid,
        "it was left alone"
    );
    assert!(!runs(first.instances.iter().find(|one| one.number == 1).unwrap().pid.unwrap()));
    place.apply(6, vec![]).unwrap();
    place.wait("nothing", |status| status.instances.is_empty());
    assert!(!runs(of("v1").pid.unwrap()) && !runs(of("v2").pid.unwrap()));
}

#[test]
fn the_same_version_with_another_command_is_replaced() {
    let place = Place::new();
    place.apply(1, vec![place.version("v1", 1)]).unwrap();
    let before = place.wait_ready(1).instances.remove(0);
    let mut changed = place.version("v1", 1);
    changed.version.target.env.insert("COLOUR".to_owned(), "{version} on {port}".to_owned());
    place.apply(2, vec![changed]).unwrap();
    let after = place.wait("another process", |status| {
        status.instances.iter().any(|one| one.phase == InstancePhase::Ready && one.pid != before.pid)
    });
    let port = after.instances[0].address.rsplit(':').next().unwrap().to_owned();
    assert!(get(&after.instances[0], "/").contains(&format!("COLOUR=v1 on {port}\n")));
    assert!(!runs(before.pid.unwrap()));
}

#[test]
fn a_crash_is_restarted_on_the_same_port_and_explained() {
    let place = Place::new();
    place.apply(1, vec![place.version("v1", 1)]).unwrap();
    let before = place.wait_ready(1).instances.remove(0);
    get(&before, "/crash");
    let down = place.wait_why("exited with code 3");
    assert_eq!(down.phase, InstancePhase::Backoff);
    assert!(
        down.why.contains("the last words of this instance") && down.why.contains("next start in"),
        "{}",
        down.why
    );
    let after = place.wait_ready(1).instances.remove(0);
    assert_eq!((after.restarts, &after.address), (1, &before.address));
    assert!(after.why.contains("exited with code 3"), "why it was restarted stays to be seen: {}", after.why);
    kill_hard(after.pid.unwrap());
    let killed = place.wait_why("was killed by signal 9 (SIGKILL)");
    assert_eq!(killed.restarts, 2);
    place.wait_ready(1);
}

#[test]
fn the_wait_before_a_restart_doubles() {
    let place = Place::new();
    let times = place.control("times");
    let script = format!("date +%s%N >> {}; echo no table; exit 7", times.display());
    place.apply(1, vec![place.script("v1", &script)]).unwrap();
    let status = place.wait("three restarts", |status| status.instances.iter().any(|one| one.restarts >= 3));
    let one = &status.instances[0];
    assert_eq!(one.phase, InstancePhase::Backoff);
    assert!(one.why.contains("exited with code 7") && one.why.contains("no table"), "{}", one.why);
    let text = std::fs::read_to_string(times).unwrap();
    let at: Vec<i64> = text.lines().map(|line| line.parse().unwrap()).collect();
    let waits: Vec<i64> = at.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000_000).collect();
    assert!(waits[0] >= 500 && waits[1] >= 1_000, "{waits:?} ms");
}

#[test]
fn an_instance_that_loses_its_readiness_or_health_is_unhealthy_until_it_is_back() {
    let place = Place::new();
    place.apply(1, vec![place.version("v1", 1)]).unwrap();
    let pid = place.wait_ready(1).instances[0].pid;
    for (file, why) in
        [("unready", "no longer ready: GET /readyz was answered 503"), ("sick", "its health check fails")]
    {
        place.set(file);
        let unwell = place.wait_why(why);
        assert_eq!((unwell.phase, unwell.pid), (InstancePhase::Unhealthy, pid));
        place.unset(file);
        place.wait_ready(1);
    }
    assert_eq!(place.observe().instances[0].pid, pid, "it was not restarted for that");
}

#[test]
fn readiness_by_connection_and_by_command() {
    let place = Place::new();
    let mut by_port = place.version("v1", 1);
    by_port.version.target.readiness.ask = ProbeAsk::Tcp;
    let mut by_command = place.version("v2", 1);
    let file = place.control("go").display().to_string();
    by_command.version.target.readiness = Probe {
        ask: ProbeAsk::Command {
            command: ["/bin/sh", "-c", "echo not yet {version}; test -e $0", &file].map(str::to_owned).into(),
        },
        ..by_command.version.target.readiness
    };
    place.apply(1, vec![by_port, by_command]).unwrap();
    let waiting = place.wait_why("exited with code 1 not yet v2");
    assert_eq!(waiting.phase, InstancePhase::Starting);
    place.set("go");
    place.wait_ready(2);
}

#[test]
fn changes_are_told_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let place = Place::new();
    let told = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&told);
    let on_change = move |stream: &taxiway_model::ids::StreamId| {
        assert_eq!(stream.to_string(), "shop/production");
        counter.fetch_add(1, Ordering::Relaxed);
    };
    let config =
        Config { data_dir: directory.path().to_owned(), cgroup: None, on_change: Some(Box::new(on_change)) };
    let supervisor = Supervisor::open(config).unwrap();
    let desired = taxiway_model::decision::DesiredWorkload {
        stream: super::supervised::stream(),
        generation: Generation(1),
        versions: vec![place.version("v1", 1)],
    };
    supervisor.apply(&desired).unwrap();
    eventually("a word of its readiness", || told.load(Ordering::Relaxed) >= 1);
    supervisor.stop_all().unwrap();
    assert!(supervisor.observe(&desired.stream).unwrap().instances.is_empty());
}
