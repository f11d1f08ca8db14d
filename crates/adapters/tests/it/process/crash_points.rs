//! The supervisor dies at each of its named places; its successor ends up with exactly what is desired.

use std::process::{Child, Command, Stdio};

use taxiway_adapters::workload::process::{Config, Supervisor};
use taxiway_engine::ports::workload::Workload;
use taxiway_model::decision::DesiredWorkload;
use taxiway_model::ids::Generation;
use taxiway_model::observation::{InstancePhase, WorkloadStatus};

use super::adoption::instances_of;
use super::role::{self, ROLE};
use super::supervised::{Place, eventually, kill_hard, stream};

const POINTS: [&str; 15] = [
    "workload.apply.before_keep",
    "workload.apply.after_keep",
    "workload.start.before_record",
    "workload.start.before_spawn",
    "workload.start.after_spawn",
    "workload.start.after_record",
    "workload.ready.before_record",
    "workload.crash.seen",
    "workload.stop.before_term",
    "workload.stop.after_term",
    "workload.stop.before_kill",
    "workload.gone.before_forget",
    "workload.gone.after_forget",
    "workload.adopt.before",
    "workload.adopt.after",
];

/// In a process of its own: a life in which every place is passed, ended at the one that is named.
pub(crate) fn live_and_die() {
    if let Ok(point) = std::env::var("TEST_CRASH_AT") {
        fail::cfg_callback(point, || std::process::abort()).unwrap();
    }
    let data_dir = std::env::var("TEST_DATA").unwrap().into();
    let supervisor = Supervisor::open(Config { data_dir, cgroup: None, on_change: None }).unwrap();
    let desired = std::fs::read(std::env::var("TEST_DESIRED").unwrap()).unwrap();
    let mut desired: DesiredWorkload = serde_json::from_slice(&desired).unwrap();
    supervisor.apply(&desired).unwrap();
    let wait = |holds: &dyn Fn(&WorkloadStatus) -> bool| {
        eventually("the next scene", || holds(&supervisor.observe(&stream()).unwrap()));
    };
    let ready = |status: &WorkloadStatus, count: usize| {
        status.instances.len() == count
            && status.instances.iter().all(|one| one.phase == InstancePhase::Ready)
    };
    wait(&|status| ready(status, 2));
    kill_hard(supervisor.observe(&stream()).unwrap().instances[0].pid.unwrap());
    wait(&|status| status.instances.iter().any(|one| one.restarts == 1) && ready(status, 2));
    desired.generation = Generation(2);
    desired.versions[0].replicas = 1;
    supervisor.apply(&desired).unwrap();
    wait(&|status| ready(status, 1));
    println!("lived to the end");
    loop {
        std::thread::park();
    }
}

fn start(place: &Place, point: Option<&str>) -> Child {
    let words = role::command();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env(ROLE, "doomed").env("TEST_DATA", place.directory.path().join("data"));
    command.env("TEST_DESIRED", place.control("desired.json"));
    if let Some(point) = point {
        command.env("TEST_CRASH_AT", point);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn die_at(point: &str) {
    let mut place = Place::new();
    place.close();
    let mut version = place.version("v1", 2);
    // Deaf to SIGTERM, so that the kill is reached too.
    let command = version.version.target.command.join(" ");
    let deaf = format!("trap '' TERM; exec {command}");
    version.version.target.command = ["/bin/sh", "-c", &deaf].map(str::to_owned).into();
    version.version.target.stop_grace_ms = 50;
    let desired = DesiredWorkload { stream: stream(), generation: Generation(1), versions: vec![version] };
    std::fs::write(place.control("desired.json"), serde_json::to_vec(&desired).unwrap()).unwrap();
    if point.contains("adopt") {
        let mut before = start(&place, None);
        eventually("instances to be adopted", || instances_of(&place).len() >= 2);
        before.kill().unwrap();
        before.wait().unwrap();
    }
    let status = start(&place, Some(point)).wait().unwrap();
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    assert_eq!(signal, Some(6), "{point} was not passed: {status}");
    place.open();
    // What the engine does after a crash: its last intent again.
    place.apply(2, desired.versions.clone()).unwrap();
    let known: Vec<u32> = place.wait_ready(2).instances.iter().filter_map(|one| one.pid).collect();
    let mut running = instances_of(&place);
    running.retain(|pid| !known.contains(pid));
    assert_eq!(running, Vec::<u32>::new(), "{point}: left over beside {known:?}");
}

#[test]
fn a_death_at_any_place_leaves_exactly_what_is_desired() {
    // Beside each other: most of the time is waiting.
    for points in POINTS.chunks(5) {
        std::thread::scope(|scope| {
            for point in points {
                scope.spawn(|| die_at(point));
            }
        });
    }
}
