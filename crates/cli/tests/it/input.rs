//! Bad input: place, hint, exit code 2, nothing started.

use insta::assert_snapshot;

use crate::bed::Bed;

fn refused(bed: &Bed, yaml: &[u8]) -> String {
    std::fs::write(bed.file(), yaml).unwrap();
    let said = bed.run(&["release", "--version", "v1"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(!bed.data().exists(), "nothing was started");
    said.shown(bed)
}

#[test]
fn a_description_with_problems_is_refused_with_all_of_them() {
    let bed = Bed::new("");
    let yaml = b"name: shop\nowner: me\ntarget:\n  command: ./run\n  replica: 2\n  stop_grace: 5\ntraffic:\n  listen: 127.0.0.1:8080\nstrategy:\n  steps:\n    - {name: a, weight: 50%}\n    - {name: b, weight: 20%}\n    - {name: b, weight: 120%}\n";
    assert_snapshot!(refused(&bed, yaml));
}

#[test]
fn what_is_no_yaml_at_all_is_refused() {
    let bed = Bed::new("");
    refused(&bed, b"name: \xff\xfe\n");
    refused(&bed, "[".repeat(1_000_000).as_bytes());
    refused(&bed, b"a: &a [x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: [*b, *b, *b, *b, *b, *b]\n");
    refused(&bed, b"");
}

#[test]
fn a_missing_file_an_empty_place_and_a_bad_name_are_told() {
    let bed = Bed::new("");
    let texts = [
        bed.run(&["release", "nowhere.yaml", "--version", "v1"]),
        bed.run(&["release", "--version", "../v1"]),
        bed.run(&["release", "--version", "v1", "--until", "tenth"]),
        bed.run(&["release", "--version", "v1", "--commit-time", "yesterday"]),
        bed.run(&["status"]),
        bed.run(&["status", "--json"]),
        bed.run(&["init"]),
        bed.run(&["init", "other.yaml", "--name", "a b"]),
    ];
    for said in &texts {
        assert_eq!(said.code, 2, "{said:?}");
    }
    assert!(!bed.data().exists(), "nothing was started");
    assert_snapshot!(texts.iter().map(|said| said.shown(&bed)).collect::<Vec<_>>().join("\n"));
}

#[test]
fn what_init_writes_is_right() {
    let bed = Bed::new("");
    let flags = ["--name", "web", "--owner", "me", "--command", "./web --port {port}"];
    bed.ok(&[&["init", "other.yaml"][..], &flags].concat());
    let said = bed.ok(&["check", "other.yaml"]);
    assert_snapshot!(said.shown(&bed));
    assert_eq!(bed.run(&[&["init", "other.yaml"][..], &flags].concat()).code, 2, "it does not write over it");
}

#[test]
fn a_missing_artifact_is_told_before_anything_is_recorded() {
    let bed = Bed::new("");
    let said = bed.run(&["release", "--version", "v1"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert_snapshot!(said.shown(&bed));
    assert_eq!(bed.ok(&["log"]).out, "");
}

#[test]
fn a_prometheus_that_is_none_and_one_that_is_silent_are_told_apart() {
    let bed = Bed::new("");
    // A port that was just free: nothing listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let silent = format!("http://127.0.0.1:{port}");
    let ask = |url: &str, more: &[&str]| {
        let query = "sum(rate(http_requests_total{code=~\"5..\"}[1m])) / sum(rate(http_requests_total[1m]))";
        let sides = ["--canary", "v2", "--baseline", "v1", "--from", "-30m"];
        bed.run(&[&["judge", "--prometheus", url, "--query", query][..], &sides[..], more].concat())
    };
    let said = ask("localhost:9090", &[]);
    assert!(said.code == 2 && said.err.contains("not an http(s) URL"), "{said:?}");
    let said = ask(&silent, &[]);
    assert!(said.code == 8 && said.err.contains("[source_unusable]"), "{said:?}");
    assert!(said.err.contains("nothing listens on") && !said.err.contains("resident process"), "{said:?}");
    let said = ask(&silent, &["--credentials", "bearer:env:TAXIWAY_NO_SUCH_SECRET"]);
    assert!(said.code == 8 && said.err.contains("TAXIWAY_NO_SUCH_SECRET"), "{said:?}");
    assert!(said.err.contains("--credentials") && !said.err.contains("is it a Prometheus"), "{said:?}");
}
