//! Kayenta over a release: points, judgements as it grows, the pipeline's boundary rules.

use taxiway_peers::named::Named;
use taxiway_peers::{Act, Outcome, Policy};

use crate::release::{Release, minutes};

const CONFIG: &str = r#"{"judge": {"name": "NetflixACAJudge-v1.0"},
    "metrics": [{"name": "error_rate", "groups": ["errors"], "query": {"type": "prometheus"},
        "analysisConfigurations": {"canary": {"direction": "increase", "critical": true}}},
      {"name": "orders", "groups": ["business"], "query": {"type": "datadog"}}],
    "classifier": {"groupWeights": {"errors": 40, "business": 60}}}"#;

fn stage(words: &str) -> Policy {
    let named = Named::parse(&format!("kayenta:config.json{words}")).unwrap();
    let (policy, unknown) = named.policy(&[CONFIG.as_bytes().to_vec()]).unwrap();
    assert_eq!(unknown, if words.contains("orders") { vec![] } else { vec!["orders".to_owned()] });
    policy
}

fn play(words: &str, release: &Release) -> Outcome {
    stage(words).judge(release)
}

/// Minutes whose errors wobble, so that neither side is constant.
fn wobbling(count: u64, bad: u64) -> Release {
    (0..count)
        .flat_map(|minute| {
            let mut one = minutes(1, 1_000, bad + minute % 3, minute);
            one[0].baseline.bad += minute % 2;
            one
        })
        .collect()
}

#[test]
fn a_bad_release_stops_at_the_first_judgement() {
    let bad = play("", &wobbling(30, 60));
    assert_eq!((bad.act, bad.at_ms), (Act::Rollback, 300_000), "{}", bad.reason);
    assert!(bad.reason.contains("error_rate was classified as High (critical)"), "{}", bad.reason);
    assert_eq!(play(",every=8m", &wobbling(30, 60)).at_ms, 480_000);
    let good = play("", &wobbling(30, 9));
    assert_eq!((good.act, good.at_ms), (Act::Promote, 1_800_000), "{}", good.reason);
    assert!(good.reason.contains("score 100 (Pass)"), "weights are scaled: {}", good.reason);
}

/// Two groups of equal weight, one of them failing: 50 is marginal to the judge, and stops the pipeline at once; with a
/// lower marginal threshold it goes on, and stops at the end for being below the pass threshold.
#[test]
fn a_marginal_score_stops_now_or_at_the_end() {
    let text =
        CONFIG.replace("\"critical\": true", "\"critical\": false").replace("40", "50").replace("60}", "50}");
    let play = |words: &str| {
        let named = Named::parse(&format!("kayenta:c,orders=latency_p99{words}")).unwrap();
        named.policy(&[text.clone().into_bytes()]).unwrap().0.judge(&wobbling(30, 60))
    };
    let now = play("");
    assert_eq!((now.act, now.at_ms), (Act::Rollback, 300_000), "{}", now.reason);
    assert!(now.reason.starts_with("score 50 (Marginal): error_rate is High (shift"), "{}", now.reason);
    let end = play(",marginal=49");
    assert_eq!((end.act, end.at_ms), (Act::Rollback, 1_800_000), "{}", end.reason);
    assert_eq!(play(",marginal=49,pass=50").act, Act::Promote);
}

/// A single minute is one point a side: the comparison fails, theirs passes it.
#[test]
fn a_release_of_a_minute_shows_the_fault_that_is_kept_on_request() {
    let mut minute = minutes(1, 1_000, 500, 0);
    minute[0].baseline.bad = 0;
    let theirs = play(",faithful=true", &minute);
    assert_eq!(theirs.act, Act::Promote, "{}", theirs.reason);
    let ours = play("", &minute);
    assert_eq!(ours.act, Act::Rollback, "{}", ours.reason);
}

#[test]
fn settings_that_are_none_are_told() {
    let told = |words: &str| {
        let named = Named::parse(&format!("kayenta:c{words}")).unwrap();
        named.policy(&[CONFIG.as_bytes().to_vec()]).map(|_| ()).unwrap_err().to_string()
    };
    assert!(told(",evry=5m").contains("`evry` is neither a metric nor one of every"));
    assert!(told(",every=0s").contains("not a time"));
    assert!(told(",pass=much").contains("not a number"));
    assert!(told(",faithful=very").contains("neither true nor false"));
}
