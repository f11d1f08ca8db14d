//! Metrics beside failures and latencies through the binary: an objective, memory, cost, OpenSLO.

use std::sync::Arc;

use crate::bed::{Bed, Traffic};

const STEPS: &str = "
strategy:
  steps:
    - {name: half, weight: 50%, bake: 60s}
    - {name: all, weight: 100%, bake: 0s}
";

/// What is built in decides nothing here.
const SHOWN: &str = "error_rate: {required: false}\n    latency_p95: {required: false}";

/// A bed whose analysis has this beside it.
fn bed(analysis: &str, metrics: &str) -> Bed {
    let bed = Bed::new(STEPS);
    let yaml = std::fs::read_to_string(bed.file()).unwrap();
    let analysis = format!("analysis:\n{analysis}  metrics:\n    {SHOWN}\n{metrics}");
    std::fs::write(bed.file(), yaml + &analysis).unwrap();
    bed.with_v1()
}

fn went_back(bed: &Bed, version: &str, why: &str) {
    let said = bed.run(&["release", "--version", version, "--timeout", "90s"]);
    assert_eq!(said.code, 5, "{said:?}\n{}", bed.output());
    let last = bed.ok(&["history", "--json"]).json()[0].clone();
    let sentence = last["sentence"].as_str().unwrap();
    assert!(sentence.contains(why), "{last:#}");
    bed.ok(&["replay"]);
}

#[test]
fn an_objective_that_burns_sends_a_version_back() {
    let bed = Arc::new(bed("  slo: {objective: 99.9%, window: 30d}\n", "    throughput: {}\n"));
    bed.version("v2", "errors");
    let traffic: Vec<Traffic> = (0..4).map(|_| Traffic::on(&bed)).collect();
    went_back(&bed, "v2", "burn: ");
    for traffic in traffic {
        traffic.end();
    }
}

#[test]
fn memory_beyond_its_band_sends_a_version_back_and_its_cost_is_shown() {
    let analysis = "  cost: {cpu_hour: 0.04, memory_gib_hour: 0.005}\n";
    let bed = Arc::new(bed(
        analysis,
        "    memory: {rollback_above: 64MiB}\n    restarts: {}\n    cpu: {hold_above: 4}\n",
    ));
    bed.version("v2", "leak --leak-kib 64");
    let traffic: Vec<Traffic> = (0..4).map(|_| Traffic::on(&bed)).collect();
    let release = bed.start(&["release", "--version", "v2", "--timeout", "90s"]);
    let judged = bed.until("memory and cost are judged", |status| {
        let findings = status["release"]["judgement"]["findings"].as_array();
        findings.is_some_and(|all| all.iter().any(|found| found["metric"] == "cost"))
    });
    let findings = judged["release"]["judgement"]["findings"].as_array().expect("it is judged").clone();
    let names: Vec<&str> = findings.iter().map(|found| found["metric"].as_str().unwrap()).collect();
    assert_eq!(names, ["error_rate", "latency_p95", "memory", "restarts", "cpu", "cost"]);
    let said = crate::bed::ended(release);
    assert_eq!(said.code, 5, "{said:?}\n{}", bed.output());
    let last = bed.ok(&["history", "--json"]).json()[0].clone();
    assert!(last["sentence"].as_str().unwrap().contains("memory: above 64 MiB"), "{last:#}");
    let log = bed.ok(&["log", "--json", "--last", "400"]).out;
    assert!(log.contains("EUR per 1,000 requests") || log.contains("nothing to compare yet"), "{log}");
    bed.ok(&["replay"]);
    for traffic in traffic {
        traffic.end();
    }
}

#[test]
fn open_slo_documents_are_read_and_their_mistakes_have_a_place() {
    let bed = Bed::new(STEPS);
    let yaml = std::fs::read_to_string(bed.file()).unwrap();
    std::fs::write(bed.file(), yaml + "analysis: {slo: [slo/all.yaml]}\n").unwrap();
    let said = bed.run(&["check"]);
    assert!(said.code != 0 && said.err.contains("the description names it as `analysis.slo`"), "{said:?}");
    let given = include_str!("../../../model/tests/it/openslo.yaml");
    std::fs::create_dir(bed.folder().join("slo")).unwrap();
    let file = bed.folder().join("slo/all.yaml");
    std::fs::write(&file, given).unwrap();
    let told = bed.ok(&["check"]).out;
    let good = "canary   http_requests_total{version=\"<version>\",code!~\"5..\"}";
    assert!(told.contains(good) && told.contains("availability: judged by counts"), "{told}");
    assert!(told.contains("speed: judged by its values"), "{told}");
    std::fs::write(&file, given.replacen("Occurrences", "Timeslices", 1)).unwrap();
    let said = bed.run(&["check"]);
    assert!(said.err.contains("slo/all.yaml:46:20"), "{said:?}");
    assert!(said.err.contains("only `Occurrences` is judged"), "{said:?}");
}
