//! Limits hold, by whatever this machine has; what holds them is said.

use taxiway_adapters::workload::process::Mechanism;
use taxiway_model::observation::InstancePhase;

use super::role::ROLE;
use super::supervised::Place;

#[test]
fn an_instance_over_its_memory_is_ended_and_says_so() {
    let place = Place::new();
    let mut eater = place.version("v1", 1);
    eater.version.target.env.insert(ROLE.to_owned(), "eater".to_owned());
    eater.version.target.limits.memory_bytes = Some(96 << 20);
    place.apply(1, vec![eater]).unwrap();
    let ended = place.wait_why("it was over its memory limit of 96 MiB");
    assert!(
        matches!(ended.phase, InstancePhase::Backoff | InstancePhase::Stopping | InstancePhase::Starting),
        "{ended:?}"
    );
    let memory = place.supervisor().limits_in_force().memory;
    assert!(ended.why.contains(&format!("held by {memory}")), "{}", ended.why);
    let output = std::fs::read_to_string(&ended.output).unwrap();
    assert!(output.contains(&format!("memory: 96 MiB held by {memory}")), "{output}");
}

#[test]
fn cpu_is_measured_and_held_where_the_machine_can() {
    let place = Place::new();
    let mut spinner = place.version("v1", 1);
    spinner.version.target.env.insert(ROLE.to_owned(), "spinner".to_owned());
    spinner.version.target.limits.cpu_milli = Some(200);
    place.apply(1, vec![spinner]).unwrap();
    let status = place.wait("a measurement", |status| status.instances.iter().any(|one| one.cpu_milli > 50));
    let (instance, cpu) = (&status.instances[0], place.supervisor().limits_in_force().cpu);
    let output = std::fs::read_to_string(&instance.output).unwrap();
    assert!(output.contains(&format!("cpu: 200/1000 of a core held by {cpu}")), "{output}");
    if cpu != Mechanism::None {
        // Ticks of 10 ms over two seconds, and a first period that may be shorter.
        assert!(instance.cpu_milli <= 300, "{} of 200", instance.cpu_milli);
    }
}

#[test]
fn open_files_are_bounded() {
    let place = Place::new();
    let mut version = place.script("v1", "ulimit -n; exit 9");
    version.version.target.limits.open_files = Some(77);
    place.apply(1, vec![version]).unwrap();
    place.wait_why("exited with code 9");
    assert!(place.wait_why("it last wrote: 77").restarts >= 1);
}
