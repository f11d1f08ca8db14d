//! A fresh baseline beside a canary, on real processes and real traffic.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::Arc;

use serde_json::Value;

use crate::bed::{Bed, Traffic, kill};

/// A first step that only a person ends, its canary compared with fresh instances.
const ASKS: &str = "
strategy:
  steps:
    - {name: third, weight: 30%, bake: 0s, analysis: false, approval: true}
    - {name: all, weight: 100%, bake: 0s, analysis: false}
analysis: {baseline: fresh}
";

/// The judge as shipped.
const JUDGED: &str = "
strategy:
  steps:
    - {name: half, weight: 40%, bake: 3s}
    - {name: all, weight: 100%, bake: 0s}
analysis: {baseline: fresh}
";

/// Which instances answer so many requests.
fn answering(bed: &Bed, requests: u32) -> BTreeMap<String, u32> {
    let mut answered = BTreeMap::new();
    for _ in 0..requests {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", bed.port)).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        let instance = text.lines().find_map(|line| line.strip_prefix("x-instance: ")).unwrap_or_default();
        *answered.entry(instance.trim().to_owned()).or_default() += 1;
    }
    answered
}

fn of(answered: &BTreeMap<String, u32>, group: &str) -> u32 {
    answered.iter().filter(|(name, _)| name.starts_with(group)).map(|(_, count)| count).sum()
}

fn fresh(status: &Value) -> Vec<&Value> {
    let instances = status["instances"].as_array().unwrap();
    instances.iter().filter(|one| one["version"] == "v1+fresh").collect()
}

#[test]
fn fresh_instances_serve_beside_the_canary_and_are_gone_with_it() {
    let bed = Arc::new(Bed::new(ASKS).with_v1());
    let traffic = Traffic::on(&bed);
    bed.version("v2", "healthy");
    bed.ok(&["release", "--version", "v2", "--until", "step:third", "--timeout", "40s"]);
    let status = bed.until("both have their share", |status| status["release"]["fresh"] == 3_000);
    assert_eq!(fresh(&status).len(), 1, "as many as the canary's: {status:#}");
    assert_eq!(status["release"]["side_baseline"]["version"], "v1+fresh", "{status:#}");
    let answered = answering(&bed, 400);
    let (canary, beside, rest) = (of(&answered, "v2-"), of(&answered, "v1+fresh-"), of(&answered, "v1-"));
    // 30 % each of 400 is 120 with a deviation of 9, the rest 160.
    assert!((70..170).contains(&canary) && (70..170).contains(&beside) && rest > 100, "{answered:?}");
    let shown = bed.ok(&["status"]).out;
    assert!(shown.contains("30% v2, 30% fresh v1, 40% v1"), "{shown}");
    assert!(shown.contains("30% +30% fresh"), "{shown}");

    // The resident process dies: whoever follows finds all three groups as they are.
    kill(bed.pid("resident").unwrap(), "KILL");
    bed.until("it is back", |status| status["release"]["fresh"] == 3_000 && fresh(status).len() == 1);

    // A fresh instance dies: its share is served, and the release goes on.
    let status = bed.status();
    kill(i32::try_from(fresh(&status)[0]["pid"].as_i64().unwrap()).unwrap(), "KILL");
    bed.until("it is there again", |status| {
        fresh(status).iter().any(|one| one["phase"] == "ready" && one["restarts"] == 1)
    });
    assert_eq!(bed.status()["release"]["returning"], Value::Null);

    bed.ok(&["abort"]);
    bed.until("v2 is gone", |status| status["release"].is_null());
    let answered = answering(&bed, 50);
    assert_eq!(of(&answered, "v1-"), 50, "at once everything is as before: {answered:?}");
    bed.until("nothing is left of it", |status| {
        status["instances"].as_array().is_some_and(|all| all.len() == 2 && fresh(status).is_empty())
    });
    let counted = traffic.end();
    // The requests that a killed process held are all that may be lost.
    assert!(counted.failed.len() <= 5, "{:?}", counted.failed);

    bed.version("v3", "healthy");
    bed.ok(&["release", "--version", "v3", "--until", "step:third", "--timeout", "40s"]);
    bed.ok(&["promote", "--full"]);
    bed.until("v3 is sealed and alone", |status| {
        status["stable"] == "v3"
            && status["instances"].as_array().is_some_and(|all| all.iter().all(|one| one["version"] == "v3"))
    });
    bed.ok(&["replay"]);
}

#[test]
fn a_failing_canary_is_caught_beside_a_fresh_baseline() {
    let bed = Arc::new(Bed::new(JUDGED).with_v1());
    let traffic: Vec<Traffic> = (0..6).map(|_| Traffic::on(&bed)).collect();
    bed.version("v2", "errors --error-percent 30");
    let said = bed.run(&["release", "--version", "v2", "--timeout", "60s"]);
    assert_eq!(said.code, 5, "{said:?}");
    bed.until("nothing is left of it", |status| {
        status["release"].is_null() && status["instances"].as_array().is_some_and(|all| all.len() == 2)
    });
    assert_eq!(of(&answering(&bed, 20), "v1-"), 20);
    bed.ok(&["replay"]);
    drop(traffic);
}

#[test]
fn the_price_is_shown_before_the_start_and_nonsense_is_refused() {
    let bed = Bed::new(JUDGED);
    let given = ["preflight", "--rps", "100", "--errors", "1%", "--detect", "2x"];
    let seen = bed.ok(&given).out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(seen.contains("half: 1 more instance with 40% of the traffic"), "{seen}");
    let json: Value = serde_json::from_str(&bed.ok(&[&given[..], &["--json"]].concat()).out).unwrap();
    let wanted = &json["forecast"]["fresh"][0]["wanted_ms"];
    let [fresh, all] = [0, 1].map(|at| wanted[at].as_u64().unwrap());
    assert_eq!(json["forecast"]["steps"][0]["wanted_ms"], fresh, "the table is of what will happen");
    // Information a second: 1/(1/w + 1/w) of two fifths against 1/(1/w + 1/(1 - w)).
    let ratio = fresh as f64 / all as f64;
    assert!((1.05..1.5).contains(&ratio), "{fresh} against {all}");

    let yaml = std::fs::read_to_string(bed.file()).unwrap();
    let steps = yaml.find("strategy:").unwrap();
    let wrong = format!("{}strategy: blue-green\nanalysis: {{baseline: fresh}}\n", &yaml[..steps]);
    std::fs::write(bed.file(), wrong).unwrap();
    let said = bed.run(&["check"]);
    assert!(said.code == 2 && said.err.contains("runs beside a canary"), "{said:?}");
}
