//! Instances outlive their supervisor, and the next one takes them over.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

use taxiway_adapters::workload::process::{Config, Supervisor};
use taxiway_engine::ports::workload::{Error, Workload};
use taxiway_model::decision::DesiredWorkload;
use taxiway_model::ids::Generation;
use taxiway_model::observation::{InstancePhase, WorkloadStatus};

use super::role::{self, ROLE};
use super::supervised::{Place, eventually, kill_hard, runs, stream};

fn pids(status: &WorkloadStatus) -> BTreeMap<String, Option<u32>> {
    status.instances.iter().map(|one| (format!("{}-{}", one.version, one.number), one.pid)).collect()
}

/// A supervisor in a process of its own that can be killed: it applies what the file says and says that it has.
pub(crate) fn supervise() {
    let path = std::env::var("TEST_DATA").unwrap();
    let supervisor =
        Supervisor::open(Config { data_dir: path.into(), cgroup: None, on_change: None }).unwrap();
    let desired = std::fs::read(std::env::var("TEST_DESIRED").unwrap()).unwrap();
    supervisor.apply(&serde_json::from_slice::<DesiredWorkload>(&desired).unwrap()).unwrap();
    loop {
        std::thread::park();
    }
}

fn start_supervisor(place: &Place, desired: &DesiredWorkload) -> Child {
    let file = place.control("desired.json");
    std::fs::write(&file, serde_json::to_vec(desired).unwrap()).unwrap();
    let words = role::command();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env(ROLE, "supervisor").env("TEST_DATA", place.directory.path().join("data"));
    command.env("TEST_DESIRED", file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

#[test]
fn a_successor_takes_running_instances_over_without_touching_them() {
    let mut place = Place::new();
    place.apply(7, vec![place.version("v1", 2), place.version("v2", 1)]).unwrap();
    let before = place.wait_ready(3);
    place.close();
    place.open();
    let after = place.observe();
    assert!(
        after.instances.iter().all(|one| one.phase == InstancePhase::Ready),
        "no gap in readiness: {after:#?}"
    );
    assert_eq!(pids(&before), pids(&after));
    assert_eq!(after.generation, Generation(7));
    let stale = place.apply(6, vec![]).unwrap_err();
    assert!(matches!(stale, Error::Stale { .. }), "the generation is remembered too");
    place.apply(8, vec![place.version("v1", 1)]).unwrap();
    place.wait_ready(1);
    let gone = before.instances.iter().filter(|one| one.version.as_str() == "v2" || one.number == 1);
    for instance in gone {
        assert!(!runs(instance.pid.unwrap()), "an adopted instance is stopped like any other");
    }
}

#[test]
fn what_ended_meanwhile_is_started_again() {
    let mut place = Place::new();
    place.apply(1, vec![place.version("v1", 2)]).unwrap();
    let before = place.wait_ready(2);
    place.close();
    let lost = before.instances.iter().find(|one| one.number == 1).unwrap();
    kill_hard(lost.pid.unwrap());
    eventually("its end", || !runs(lost.pid.unwrap()));
    place.open();
    let after = place.wait_ready(2);
    let one = after.instances.iter().find(|one| one.number == 1).unwrap();
    assert_eq!((one.restarts, &one.address), (1, &lost.address));
    assert!(one.why.contains("it ended while no supervisor ran"), "{}", one.why);
    let adopted = after.instances.iter().find(|one| one.number == 0).unwrap();
    kill_hard(adopted.pid.unwrap());
    let ended = place.wait_why("started by an earlier supervisor");
    assert_eq!(ended.number, 0);
    place.wait_ready(2);
}

#[test]
fn instances_survive_a_supervisor_that_is_killed_at_any_moment() {
    let mut place = Place::new();
    place.close();
    let version = place.version("v1", 3);
    let mut desired =
        DesiredWorkload { stream: stream(), generation: Generation(1), versions: vec![version] };
    // Killed after ever longer times: before the first start, between starts, after all of them.
    for (round, after_ms) in [1_u64, 20, 40, 60, 80, 120, 200, 400].into_iter().enumerate() {
        desired.generation = Generation(round as u64 + 1);
        let mut child = start_supervisor(&place, &desired);
        std::thread::sleep(std::time::Duration::from_millis(after_ms));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    place.open();
    place.apply(100, desired.versions.clone()).unwrap();
    let status = place.wait_ready(3);
    let known: Vec<u32> = status.instances.iter().filter_map(|one| one.pid).collect();
    let mine: Vec<u32> = instances_of(&place);
    assert_eq!(mine.len(), 3, "each instance once: {mine:?} are running, {known:?} are known");
    place.supervisor().stop_all().unwrap();
    assert_eq!(instances_of(&place), Vec::<u32>::new());
}

/// Processes that were started as instances in this place.
pub(crate) fn instances_of(place: &Place) -> Vec<u32> {
    let control = format!("TEST_CONTROL={}", place.directory.path().join("control").display());
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let this_program = std::env::current_exe().unwrap();
    let is_of_place = |pid: &u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == control.as_bytes())
    };
    let of_this_program =
        |pid: &u32| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == this_program);
    pids.filter(of_this_program).filter(is_of_place).filter(|pid| runs(*pid)).collect()
}

#[test]
fn an_instance_that_nobody_remembers_is_ended() {
    let mut place = Place::new();
    place.apply(1, vec![place.version("v1", 1)]).unwrap();
    let pid = place.wait_ready(1).instances[0].pid.unwrap();
    place.close();
    std::fs::remove_dir_all(place.directory.path().join("data/processes/shop~production")).unwrap();
    assert!(runs(pid));
    place.open();
    eventually("its end", || !runs(pid));
    assert!(place.observe().instances.is_empty());
}

#[test]
fn a_record_without_its_process_id_still_finds_its_process() {
    let mut place = Place::new();
    place.apply(1, vec![place.version("v1", 1)]).unwrap();
    let pid = place.wait_ready(1).instances[0].pid;
    place.close();
    let file = place.directory.path().join("data/processes/shop~production/instances/v1.0.json");
    let mut record: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    record["identity"] = serde_json::Value::Null;
    std::fs::write(&file, record.to_string()).unwrap();
    place.open();
    assert_eq!(place.wait_ready(1).instances[0].pid, pid);
}
