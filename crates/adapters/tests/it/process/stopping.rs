//! Nothing is left after a stop, whatever an instance does about it.

use std::time::{Duration, Instant};

use taxiway_engine::ports::workload::Workload;
use taxiway_model::observation::InstancePhase;

use super::supervised::{Place, eventually, runs, stream};

fn pid_in(place: &Place, name: &str) -> u32 {
    let read = || std::fs::read_to_string(place.control(name)).ok()?.trim().parse::<u32>().ok();
    eventually(name, || read().is_some());
    read().unwrap()
}

#[test]
fn stop_returns_when_nothing_is_left() {
    let place = Place::new();
    place.apply(1, vec![place.version("v1", 2)]).unwrap();
    let status = place.wait_ready(2);
    place.supervisor().stop(&stream()).unwrap();
    assert!(status.instances.iter().all(|one| !runs(one.pid.unwrap())));
    assert!(place.observe().instances.is_empty());
    assert!(place.supervisor().streams().is_empty());
    place.apply(1, vec![place.version("v1", 1)]).unwrap();
    place.wait_ready(1);
}

#[test]
fn an_instance_that_ignores_sigterm_is_killed_after_its_grace() {
    let place = Place::new();
    let mut stubborn = place.version("v1", 1);
    let command = stubborn.version.target.command.join(" ");
    let script = format!("trap '' TERM; exec {command}");
    stubborn.version.target.command = ["/bin/sh", "-c", &script].map(str::to_owned).into();
    stubborn.version.target.stop_grace_ms = 600;
    place.apply(1, vec![stubborn]).unwrap();
    let pid = place.wait_ready(1).instances[0].pid.unwrap();
    let began = Instant::now();
    place.apply(2, vec![]).unwrap();
    let asked = place.wait_why("asked to stop");
    assert_eq!(asked.phase, InstancePhase::Stopping);
    place.wait("nothing", |status| status.instances.is_empty());
    assert!(began.elapsed() >= Duration::from_millis(600), "it had its grace");
    assert!(!runs(pid));
    let output = std::fs::read_to_string(&asked.output).unwrap();
    assert!(output.contains("ignored SIGTERM for 600ms and was killed"), "{output}");
}

#[test]
fn what_an_instance_has_started_goes_with_it_also_what_left_its_group() {
    let place = Place::new();
    let control = place.control("").display().to_string();
    let command = place.version("v1", 1).version.target.command.join(" ");
    let script = format!(
        "sleep 1000 & echo $! > {control}/child; setsid sh -c 'echo $$ > {control}/left; exec sleep 1000' & exec {command}"
    );
    place.apply(1, vec![place.script("v1", &script)]).unwrap();
    place.wait_ready(1);
    let (child, left) = (pid_in(&place, "child"), pid_in(&place, "left"));
    assert!(runs(child) && runs(left));
    place.supervisor().stop(&stream()).unwrap();
    assert!(!runs(child) && !runs(left));
}

#[test]
fn what_a_crashed_instance_has_started_does_not_outlive_it() {
    let place = Place::new();
    let control = place.control("").display().to_string();
    let script = format!("sleep 1000 & echo $! > {control}/child; sleep 0.2; exit 1");
    place.apply(1, vec![place.script("v1", &script)]).unwrap();
    let child = pid_in(&place, "child");
    eventually("the end of the child", || !runs(child));
}
