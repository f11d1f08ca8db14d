//! Other tools' analyses: imported, and played beside ours on the same recordings; shared templates.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::bed::Bed;

fn given(file: &str) -> String {
    format!("{}/tests/it/peers/{file}", env!("CARGO_MANIFEST_DIR"))
}

fn recording(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../report/tests/corpus/{name}.ndjson"))
}

/// Each peer's file becomes a CanaryConfig and a part of taxiway.yaml that `taxiway check` takes as they are.
#[test]
fn what_is_imported_is_right() {
    for file in ["kayenta.json", "argo.yaml", "flagger.yaml"] {
        // The steps come from the analysis where it has some.
        let bed = Bed::new("");
        let said = bed.ok(&["import", &given(file), "--output", "analysis.yaml"]);
        let config = std::fs::read_to_string(bed.folder().join("analysis.yaml")).unwrap();
        assert!(config.contains("kind: CanaryConfig"), "{config}");
        // What is not carried over is named; a webhook of Flagger is a check.
        assert_eq!(config.contains("# Left out:"), file != "flagger.yaml", "{config}");
        assert_eq!(said.out.contains("checks:\n"), file == "flagger.yaml", "{}", said.out);
        let description = std::fs::read_to_string(bed.file()).unwrap();
        std::fs::write(bed.file(), format!("{description}{}", said.out)).unwrap();
        let checked = bed.ok(&["check"]);
        assert!(checked.out.contains("is right"), "{file}: {checked:?}");
        // A share of requests became counts, turned around where it was one of good requests.
        assert!(checked.out.contains("judged by counts of bad and all"), "{file}: {}", checked.out);
        assert_eq!(
            bed.run(&["import", &given(file), "--output", "analysis.yaml"]).code,
            2,
            "it is not written over"
        );
        let json = bed.ok(&["import", &given(file), "--json"]).json();
        assert_eq!(json["canary_config"], config);
    }
}

#[test]
fn check_says_when_a_metric_counts() {
    let bed = Bed::new("");
    let said = bed.ok(&["import", &given("argo.yaml"), "--output", "analysis.yaml"]);
    let config = std::fs::read_to_string(bed.folder().join("analysis.yaml")).unwrap();
    let more = "      from_step: 2\n      for: 1m\n      good_for: 5m\n";
    std::fs::write(bed.folder().join("analysis.yaml"), config.trim_end().to_owned() + "\n" + more).unwrap();
    let description = std::fs::read_to_string(bed.file()).unwrap();
    std::fs::write(bed.file(), format!("{description}{}", said.out)).unwrap();
    let told = bed.ok(&["check"]).out;
    assert!(told.contains("on, fails after 1m, passes after 5m"), "{told}");
}

#[test]
fn an_argument_without_a_value_is_told_where_it_is_seen() {
    let bed = Bed::new("");
    let query = "sum(rate(requests{app=\"{{args.app}}\",code!~\"5..\"}[1m])) / sum(rate(requests{app=\"{{args.app}}\"}[1m]))";
    let template = format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nmetadata: {{name: rate}}\nspec:\n  args: [{{name: app}}]\n  metrics:\n  - name: rate\n    successCondition: result[0] >= 0.95\n    provider:\n      prometheus:\n        address: http://prometheus:9090\n        query: '{query}'\n"
    );
    std::fs::write(bed.folder().join("argo.yaml"), template).unwrap();
    let said = bed.ok(&["import", "argo.yaml"]);
    assert!(said.err.contains("warning: without a value: args.app;"), "{said:?}");
    let said = bed.ok(&["import", "argo.yaml", "--with", "app=shop"]);
    assert!(!said.err.contains("without a value") && said.out.contains("shop"), "{said:?}");
}

#[test]
fn what_cannot_be_imported_says_where() {
    let bed = Bed::new("");
    let refused = |name: &str, text: &str, part: &str| {
        std::fs::write(bed.folder().join(name), text).unwrap();
        let said = bed.run(&["import", name]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains(part), "{part}: {}", said.err);
        said.err
    };
    let other = refused("a.yaml", "kind: Deployment\n", "neither a canary configuration of Kayenta");
    assert!(other.contains("a.yaml:1:1"), "{other}");
    refused("b.json", "{\"metrics\": [{\"name\": 3,}", "this is not YAML");
    let template = std::fs::read_to_string(given("flagger.yaml")).unwrap();
    let (canary, template) = template.split_once("---\n").unwrap();
    let missing = refused("c.yaml", canary, "MetricTemplate `errors` is not among the files");
    assert!(missing.contains("c.yaml:17:"), "{missing}");
    refused("d.yaml", template, "give the Canary that uses it too");
    let said = bed.ok(&["import", "c.yaml", "d.yaml"]);
    assert!(said.out.contains("max_absolute: 2"), "{}", said.out);
    let argo = std::fs::read_to_string(given("argo.yaml")).unwrap();
    refused("e.yaml", &argo.replace("result[0] > 0.5", "result[0] >> 0.5"), "e.yaml:26:");
    refused(
        "f.yaml",
        &argo.replace("provider:\n        prometheus", "provider:\n        web"),
        "no metric can be carried over",
    );
}

/// The same bad and the same healthy release under every judge, ours first.
#[test]
fn the_same_releases_under_every_judge() {
    let bed = Bed::new("");
    let (bad, healthy) = (recording("errors-3x"), recording("healthy-100rps"));
    let [kayenta, argo, flagger] = ["kayenta.json", "argo.yaml", "flagger.yaml"].map(given);
    let said = bed.ok(&[
        "backtest",
        "--recording",
        &bad.display().to_string(),
        "--recording",
        &healthy.display().to_string(),
        "--profile",
        "standard",
        "--as",
        &format!("kayenta:{kayenta}"),
        "--as",
        &format!("argo:{argo}"),
        "--as",
        &format!("flagger:{flagger}"),
        "--as",
        "ratio:2",
        "--format",
        "json",
    ]);
    let comparison = said.json();
    let rows = comparison["rows"].as_array().unwrap();
    let verdict = |name: &str, judge: &str| -> (String, u64) {
        let row = rows
            .iter()
            .find(|row| row["recording"] == name && row["judge"].as_str().unwrap().contains(judge));
        let row: &Value = row.unwrap_or_else(|| panic!("{name} has no row of {judge}"));
        (row["verdict"].as_str().unwrap().to_lowercase(), row["at_ms"].as_u64().unwrap_or_default())
    };
    for judge in ["standard", "kayenta", "argo", "flagger", "ratio"] {
        let (said, at_ms) = verdict("errors-3x", judge);
        assert_eq!(said, "rollback", "{judge}");
        assert!((1..=720_000).contains(&at_ms), "{judge}: {at_ms}");
        assert_eq!(verdict("healthy-100rps", judge).0, "proceed", "{judge}");
    }
    // Kayenta looks first after five minutes, Argo fails on the fourth minute's measurement, Flagger a tick after the fifth.
    assert_eq!(verdict("errors-3x", "kayenta").1, 300_000);
    assert!(verdict("errors-3x", "argo").1 >= 240_000);
    assert_eq!(verdict("errors-3x", "flagger").1, 360_000);
    let notes = comparison["notes"].to_string();
    assert!(notes.contains("`orders` is not known on a recording"), "{notes}");
}

/// All twelve recordings under every judge come to what docs/compatibility.md says, to the digit.
#[test]
fn the_corpus_under_every_judge_is_as_written_down() {
    let bed = Bed::new("");
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../report/tests/corpus");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "ndjson"));
    files.sort();
    assert_eq!(files.len(), 12);
    let mut words: Vec<String> = vec!["backtest".to_owned()];
    for file in &files {
        words.extend(["--recording".to_owned(), file.display().to_string()]);
    }
    for profile in ["standard", "strict"] {
        words.extend(["--profile".to_owned(), profile.to_owned()]);
    }
    for peer in ["kayenta.json", "argo.yaml", "flagger.yaml"] {
        let name = peer.split('.').next().unwrap_or_default();
        words.extend(["--as".to_owned(), format!("{name}:{}", given(peer))]);
    }
    words.extend(["--as", "ratio:2", "--format", "json"].map(str::to_owned));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let comparison = bed.ok(&words).json();
    let document = include_str!("../../../../docs/compatibility.md");
    let totals = comparison["totals"].as_array().unwrap();
    let count = |total: &Value, key: &str| total[key].as_u64().unwrap();
    let line = |total: &Value| {
        let verdicts = format!(
            "| `{}` | {} of {} | {} of {} | {} of {} |",
            total["judge"].as_str().unwrap(),
            count(total, "false_alarms"),
            count(total, "healthy"),
            count(total, "passed"),
            count(total, "healthy"),
            count(total, "caught"),
            count(total, "bad"),
        );
        if verdicts.contains("profile") {
            return verdicts;
        }
        let median =
            total["median_ms"].as_u64().map_or_else(|| "-".to_owned(), |ms| format!("{} s", ms / 1_000));
        format!("{verdicts} {median} | {} | {} |", count(total, "requests"), count(total, "failed"))
    };
    let lines: Vec<String> = totals.iter().map(line).collect();
    let missing: Vec<&String> = lines.iter().filter(|line| !document.contains(line.as_str())).collect();
    assert!(missing.is_empty(), "docs/compatibility.md should have\n{}", lines.join("\n"));
}

#[test]
fn two_files_are_judged_as_another_tool_would() {
    let bed = Bed::new("");
    let side = |name: &str, errors: u64| {
        let rows: Vec<String> = (1..=20).map(|minute| format!("{},1000,{errors}", minute * 60)).collect();
        std::fs::write(bed.folder().join(name), format!("time,requests,errors\n{}\n", rows.join("\n")))
            .unwrap();
    };
    side("baseline.csv", 10);
    side("canary.csv", 60);
    let peer = format!("flagger:{}", given("flagger.yaml"));
    let said = bed.run(&["judge", "baseline.csv", "canary.csv", "--as", &peer, "--as", "ratio:3"]);
    assert_eq!(said.code, 5, "{said:?}");
    let row = |judge: &str| said.out.lines().find(|line| line.contains(judge)).unwrap_or_default().to_owned();
    assert!(row("flagger:flagger.yaml").contains("ROLLBACK  6m"), "{}", said.out);
    assert!(row("ratio:3").contains("ROLLBACK"), "{}", said.out);
    let page = bed.run(&["judge", "baseline.csv", "canary.csv", "--as", "ratio:3", "--format", "html"]).out;
    assert!(page.contains("Other judges on the same evidence") && page.contains("ratio:3"), "{page}");
    for (words, part) in [
        ("kayenta", "names no file"),
        ("spinnaker:a", "`spinnaker` is not known here"),
        ("ratio:much", "is not a factor"),
        ("argo:nowhere.yaml", "nowhere.yaml"),
        ("ratio:2,window=soon", "is not a time"),
    ] {
        let said = bed.run(&["judge", "baseline.csv", "canary.csv", "--as", words]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains(part), "{words}: {}", said.err);
    }
}

const TEMPLATE: &str = include_str!("../../../model/tests/it/template.yaml");

/// A shared template is used with values, warned of while it is not pinned, pinned by `check --pin`, and refused once
/// it is another one.
#[test]
fn a_template_is_shared_and_pinned() {
    let bed = Bed::new("");
    std::fs::write(bed.folder().join("http.yaml"), TEMPLATE).unwrap();
    let description = std::fs::read_to_string(bed.file()).unwrap();
    let uses = "analysis:\n  template:\n    file: http.yaml\n    with: {service: shop}\n  source: {prometheus: {url: 'http://127.0.0.1:9'}}\n";
    std::fs::write(bed.file(), format!("{description}{uses}")).unwrap();
    let unpinned = bed.ok(&["check"]);
    assert!(unpinned.out.contains("service=\"shop\""), "{}", unpinned.out);
    assert!(
        unpinned.err.contains("is not pinned") && unpinned.err.contains("digest: sha256:"),
        "{}",
        unpinned.err
    );
    std::fs::write(bed.file(), format!("stage: development\n{description}{uses}")).unwrap();
    assert_eq!(bed.ok(&["check"]).err, "", "a developer's own environment needs no pin");
    std::fs::write(bed.file(), format!("{description}{uses}")).unwrap();
    assert!(bed.ok(&["check", "--pin"]).err.contains("is pinned to sha256:"));
    assert_eq!(bed.ok(&["check"]).err, "");

    std::fs::write(bed.folder().join("http.yaml"), TEMPLATE.replace("default: 2.0", "default: 20")).unwrap();
    let changed = bed.run(&["release", "--version", "v1"]);
    assert_eq!(changed.code, 2, "{changed:?}");
    assert_eq!(changed.err.matches("sha256:").count(), 3, "both digests, and the line: {}", changed.err);
    assert!(changed.err.contains("check --pin"), "{}", changed.err);
    assert!(!bed.data().exists(), "nothing was started");
    bed.ok(&["check", "--pin"]);
    assert_eq!(bed.ok(&["check"]).err, "");

    let wrong = uses.replace("service: shop", "servce: shop");
    std::fs::write(bed.file(), format!("{description}{wrong}")).unwrap();
    let said = bed.run(&["check"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(
        said.err.contains("did you mean `service`?") && said.err.contains("has no value"),
        "{}",
        said.err
    );
}
