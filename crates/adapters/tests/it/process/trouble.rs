//! What goes wrong is named, with what to do about it.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use taxiway_adapters::workload::process::{Error, Supervisor};
use taxiway_model::ids::Digest;
use taxiway_model::observation::InstancePhase;
use taxiway_model::service::ArtifactRef;

use super::supervised::{Place, get};

#[test]
fn a_version_that_cannot_be_started_is_broken_with_its_reason() {
    let place = Place::new();
    let file = place.control("not-executable");
    std::fs::write(&file, "#!/bin/sh\n").unwrap();
    let command = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let cases = [
        (
            "v1",
            command(&["./no-such-binary-{version}"]),
            "there is no program ./no-such-binary-v1; build it or correct",
        ),
        ("v2", command(&["no-such-binary"]), "looked in PATH="),
        ("v3", command(&[file.to_str().unwrap()]), "is not executable; run chmod +x"),
        ("v4", command(&[]), "the command is empty"),
    ];
    let mut versions = Vec::new();
    for (name, words, _) in &cases {
        let mut version = place.version(name, 1);
        version.version.target.command.clone_from(words);
        versions.push(version);
    }
    let mut nowhere = place.version("v5", 1);
    nowhere.version.target.directory = "/no/such/place".to_owned();
    versions.push(nowhere);
    place.apply(1, versions).unwrap();
    let status = place.wait("five broken versions", |status| status.broken.len() == 5);
    let why =
        |name: &str| status.broken.iter().find(|(version, _)| version.as_str() == name).unwrap().1.clone();
    for (name, _, expected) in cases {
        assert!(why(name).contains(expected), "{name}: {}", why(name));
    }
    assert!(why("v5").contains("/no/such/place does not exist"), "{}", why("v5"));
    assert!(status.instances.iter().all(|one| one.phase == InstancePhase::Backoff && one.pid.is_none()));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    place.wait("what was put right is no longer broken", |status| status.broken.len() == 4);
}

#[test]
fn a_health_check_that_never_passes_says_what_it_was_answered() {
    let place = Place::new();
    place.set("unready");
    place.apply(1, vec![place.version("v1", 1)]).unwrap();
    let starting = place.wait_why("GET /readyz was answered 503");
    assert_eq!(starting.phase, InstancePhase::Starting);
    assert!(starting.why.starts_with("not ready after "), "{}", starting.why);
    place.set("do-not-listen");
    let mut silent = place.version("v2", 1);
    silent.version.target.readiness.timeout_ms = 100;
    place.apply(2, vec![silent]).unwrap();
    let deaf = place.wait_why("nothing listens on 127.0.0.1:");
    assert!(deaf.why.contains("does the command listen on {port} or $PORT?"), "{}", deaf.why);
    place.unset("unready");
    place.set("hang");
    place.unset("do-not-listen");
    place.wait_why("GET /readyz had no answer within 100ms");
}

#[test]
fn ports_in_use_are_passed_over() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().min(64_000);
    let mut version = place.version("v1", 2);
    version.version.target.port_from = port;
    place.apply(1, vec![version]).unwrap();
    for instance in place.wait_ready(2).instances {
        let got: u16 = instance.address.rsplit(':').next().unwrap().parse().unwrap();
        assert!(got > port && got < port + 1_000, "{got} from {port}");
    }
}

#[test]
fn a_port_that_is_taken_from_under_an_instance_is_named_and_another_one_given() {
    let place = Place::new();
    place.set("do-not-listen");
    place.apply(1, vec![place.version("v1", 1)]).unwrap();
    let first = place.wait("a process", |status| status.instances[0].pid.is_some()).instances.remove(0);
    let thief = TcpListener::bind(&first.address).unwrap();
    place.unset("do-not-listen");
    let refused = place.wait_why("was taken by another process before the instance could listen");
    assert!(refused.why.contains("exited with code 4"), "{}", refused.why);
    let second = place.wait_ready(1).instances.remove(0);
    assert_ne!(first.address, second.address);
    drop(thief);
}

#[test]
fn instances_start_and_stop_also_when_nothing_can_be_written() {
    let place = Place::new();
    // Files where directories have to be: every write of state and output fails, as on a full disk.
    let data = place.directory.path().join("data");
    std::fs::write(data.join("processes/shop~production"), "").unwrap();
    std::fs::write(data.join("output"), "").unwrap();
    place.apply(1, vec![place.version("v1", 2)]).unwrap();
    let status = place.wait_ready(2);
    get(&status.instances[0], "/crash");
    place.wait("a restart", |status| status.instances.iter().any(|one| one.restarts == 1));
    place.wait_ready(2);
    place.apply(2, vec![]).unwrap();
    place.wait("nothing", |status| status.instances.is_empty());
}

#[test]
fn a_new_instance_does_not_get_the_port_of_one_that_waits_or_has_gone() {
    let place = Place::new();
    let mut crashing = place.script("v1", "exit 1");
    crashing.version.target.port_from = 41_000;
    place.apply(1, vec![crashing.clone()]).unwrap();
    let waiting = place.wait_why("exited with code 1");
    let mut good = place.version("v2", 1);
    good.version.target.port_from = 41_000;
    place.apply(2, vec![crashing, good.clone()]).unwrap();
    let beside =
        place.wait("v2", |status| status.instances.iter().any(|one| one.phase == InstancePhase::Ready));
    assert!(
        beside.instances.iter().all(|one| one.version.as_str() == "v1" || one.address != waiting.address)
    );
    let mut next = good.clone();
    next.version.name = taxiway_model::ids::VersionName::new("v3").unwrap();
    place.apply(3, vec![good, next]).unwrap();
    let after = place.wait_ready(2);
    assert!(after.instances.iter().all(|one| one.address != waiting.address), "{after:#?}");
}

#[test]
fn two_supervisors_on_one_directory_are_one_too_many() {
    let place = Place::new();
    let error = Supervisor::open(place.config()).err().expect("the second one is refused");
    assert!(matches!(error, Error::Taken(_)), "{error}");
    assert!(error.to_string().contains("another supervisor works on"), "{error}");
}

#[test]
fn an_artifact_runs_as_it_was_released_whatever_becomes_of_its_file() {
    let place = Place::new();
    let built = place.control("server-v1");
    let script = |colour: &str| {
        let command = place.version("v1", 1).version.target.command.join(" ");
        format!("#!/bin/sh\nexport COLOUR={colour}\nexec {command}\n")
    };
    let write = |text: &str| {
        std::fs::write(&built, text).unwrap();
        std::fs::set_permissions(&built, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    write(&script("green"));
    let artifact = |name: &str, digest| {
        let mut version = place.version(name, 1);
        let from = place.control("server-v1").display().to_string();
        version.version.target.artifact = Some(ArtifactRef { from, digest });
        version.version.target.command = vec!["{artifact}".to_owned()];
        version
    };
    let digest = Some(Digest::of(script("green").as_bytes()));
    place.apply(1, vec![artifact("v1", digest)]).unwrap();
    let first = place.wait_ready(1).instances.remove(0);
    assert!(get(&first, "/").contains("COLOUR=green\n"));
    write(&script("red"));
    get(&first, "/crash");
    let again = place.wait("a restart", |status| {
        status.instances[0].restarts == 1 && status.instances[0].phase == InstancePhase::Ready
    });
    assert!(get(&again.instances[0], "/").contains("COLOUR=green\n"), "the kept copy runs");
    let other = Some(Digest::of(b"something else"));
    place.apply(2, vec![artifact("v1", digest), artifact("v2", other)]).unwrap();
    let status = place.wait("a broken version", |status| !status.broken.is_empty());
    let why = status.broken.values().next().unwrap();
    assert!(why.contains("a version never changes: release it under a new name"), "{why}");
    let mut gone = artifact("v3", None);
    gone.version.target.artifact.as_mut().unwrap().from = "/no/such/artifact".to_owned();
    place.apply(3, vec![gone]).unwrap();
    place.wait_why("the artifact /no/such/artifact cannot be read");
}
