//! What is said before a release starts.

use crate::bed::{Bed, eventually, kill};

const JUDGED: &str = "
strategy:
  steps:
    - {name: tenth, weight: 10%, bake: 500ms}
    - {name: all, weight: 100%, bake: 0s, analysis: false}
";

#[test]
fn before_there_is_traffic_a_person_says_what_to_expect() {
    let bed = Bed::new(JUDGED);
    let said = bed.run(&["preflight"]);
    assert!(said.code == 3 && said.err.contains("[no_traffic]") && said.err.contains("--rps"), "{said:?}");
    let said = bed.ok(&["preflight", "--rps", "100", "--errors", "1%", "--detect", "2x", "--json"]).json();
    let step = &said["forecast"]["steps"][0];
    assert_eq!(said["forecast"]["wanted_bp"], 20_000, "{said:#}");
    // Five requests show hardly less than total failure.
    assert_eq!(step["canary_requests"], 5);
    assert!(step["detectable_ppm"].as_u64().is_none_or(|ppm| ppm > 800_000), "{step}");
    // By hand, from the brief of the tests: a tenth of 100 requests/s, 1 % failing, twice as many.
    let wanted_s = step["wanted_ms"].as_u64().unwrap() / 1_000;
    assert!((300..900).contains(&wanted_s), "{step}");
    let seen = bed.ok(&["preflight", "--rps", "20", "--errors", "1%"]).out;
    for wanted in ["as you say: 20 requests/s, 1.00% failed", "tenth", "never", "is blind"] {
        assert!(seen.contains(wanted), "{wanted} is missing in\n{seen}");
    }
    for (flag, wrong) in [("--rps", "many"), ("--errors", "0.1"), ("--detect", "2")] {
        let given = ["preflight", flag, wrong, "--rps", "1"];
        let said = bed.run(&given[..if flag == "--rps" { 3 } else { 5 }]);
        assert!(said.code == 2 && said.err.contains("such as"), "{said:?}");
    }
}

#[test]
fn what_the_proxy_has_counted_survives_the_resident_process() {
    let bed = Bed::new(JUDGED).with_v1();
    for _ in 0..250 {
        assert_eq!(bed.ask().unwrap().0, 200);
    }
    kill(bed.pid("resident").unwrap(), "KILL");
    eventually("a forecast from what the proxy holds", || bed.run(&["preflight"]).code == 0);
    let said = bed.ok(&["preflight", "--json"]).json();
    assert!(said["forecast"]["traffic"]["rps_milli"].as_u64() > Some(1_000), "{said:#}");
    assert_eq!(said["baseline"], "v1");

    bed.version("v2", "healthy");
    let plan = bed.ok(&["release", "--version", "v2", "--dry-run", "--detect", "3x", "--json"]).json();
    assert_eq!(plan["forecast"]["wanted_bp"], 30_000, "{plan:#}");
    let shown = bed.ok(&["release", "--version", "v2", "--dry-run"]);
    assert!(shown.out.contains("requests/s") && shown.err.contains("no normal profile: v1 was seen for"));

    let yaml = std::fs::read_to_string(bed.file()).unwrap();
    std::fs::write(bed.file(), format!("{yaml}analysis: {{preflight: refuse}}\n")).unwrap();
    let said = bed.run(&["release", "--version", "v2"]);
    assert!(said.code == 3 && said.err.contains("[preflight]"), "{said:?}");
    assert!(said.err.contains("no normal profile") && said.err.contains("preflight: warn"), "{said:?}");
    assert_eq!(bed.ok(&["history", "--json"]).json().as_array().unwrap().len(), 1, "nothing was started");
    assert_eq!(bed.run(&["preflight"]).code, 3);

    std::fs::write(bed.file(), yaml).unwrap();
    let said = bed.ok(&["release", "--version", "v2", "--detach"]);
    assert!(said.err.contains("warning: no normal profile"), "{said:?}");
    eventually("the warning is on record", || {
        bed.ok(&["explain", "--json"]).json()["warnings"].to_string().contains("no normal profile")
    });
}
