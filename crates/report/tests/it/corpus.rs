//! The corpus of recordings, judged by both profiles. What is written here is what each recording
//! deserves, argued from how it was made (`examples/make_corpus.rs`); a change of the judge that
//! changes a line has to argue for it.

use std::path::Path;

use taxiway_model::policy::{AnalysisPolicy, Profile};
use taxiway_model::verdict::Verdict;
use taxiway_report::compare::{Comparison, own_row};
use taxiway_report::recording::Truth;
use taxiway_report::{Recording, course, text};

pub(crate) fn corpus() -> Vec<Recording> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the corpus is there")
        .map(|entry| entry.expect("it can be listed").path())
        .collect();
    files.sort();
    let read = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).expect("a recording is text");
        Recording::read(&text).expect("a recording of the corpus is whole")
    };
    files.iter().flat_map(read).collect()
}

pub(crate) fn named(name: &str) -> Recording {
    corpus().into_iter().find(|recording| recording.head.name == name).expect("it is in the corpus")
}

/// What is right for each: under `standard`, then under `strict`.
const EXPECTED: [(&str, Verdict, Verdict); 12] = {
    use Verdict::{Hold, Proceed, Rollback};
    [
        ("errors-3x", Rollback, Rollback),
        ("errors-from-none", Rollback, Rollback),
        ("errors-late", Rollback, Rollback),
        // Between tolerance and red: a person decides, unless nothing is tolerated.
        ("errors-slight", Hold, Rollback),
        ("healthy-1000rps", Proceed, Proceed),
        ("healthy-100rps", Proceed, Proceed),
        ("healthy-10rps", Proceed, Proceed),
        ("latency-healthy", Proceed, Proceed),
        ("latency-slower", Rollback, Rollback),
        ("no-errors", Proceed, Proceed),
        // One event, however many requests it cost.
        ("one-burst", Proceed, Proceed),
        // `strict` has an absolute limit of 1 % as well, which asks for nobody's reasons (annex).
        ("outage-of-both", Proceed, Rollback),
    ]
};

#[test]
fn every_recording_gets_the_verdict_it_deserves() {
    let mut wrong = Vec::new();
    let corpus = corpus();
    assert_eq!(corpus.len(), EXPECTED.len());
    for (recording, (name, standard, strict)) in corpus.iter().zip(EXPECTED) {
        assert_eq!(recording.head.name, name);
        for (profile, expected) in [(Profile::Standard, standard), (Profile::Strict, strict)] {
            let decision = course::follow(recording, &AnalysisPolicy::of(profile)).decision;
            if decision.verdict != expected {
                wrong.push(format!("{name} {profile:?}: {} ({})", decision.verdict, decision.sentence));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_healthy_version_is_never_convicted_and_a_bad_one_always_shown() {
    for recording in corpus() {
        let course = course::follow(&recording, &AnalysisPolicy::of(Profile::Standard));
        let shown =
            course.looks.iter().any(|look| look.judgement.findings.iter().any(|finding| finding.shown));
        match recording.head.truth.unwrap() {
            Truth::Healthy => assert!(!shown, "{}", recording.head.name),
            Truth::Bad => assert!(shown, "{}", recording.head.name),
        }
    }
}

#[test]
fn the_comparison_adds_up() {
    let corpus = corpus();
    let profiles = [("standard", Profile::Standard), ("strict", Profile::Strict)];
    let rows: Vec<_> = corpus
        .iter()
        .flat_map(|recording| {
            profiles.map(|(name, profile)| {
                own_row(recording, name, &course::follow(recording, &AnalysisPolicy::of(profile)))
            })
        })
        .collect();
    let comparison = Comparison::of(rows, Vec::new());
    let [standard, strict] = &comparison.totals[..] else { panic!("two judges") };
    assert_eq!((standard.healthy, standard.bad), (7, 5));
    assert_eq!((standard.false_alarms, standard.caught), (0, 4), "the slight one is for a person to decide");
    assert_eq!((strict.false_alarms, strict.caught), (1, 5), "the outage of both breaks its absolute limit");
    assert!(strict.failed < standard.failed, "who goes back sooner exposes less");
    let text = text::comparison(&comparison);
    for wanted in ["outage-of-both (healthy)", "1 of 7", "5 of 5", "healthy sent back", "(same)"] {
        assert!(text.contains(wanted), "{wanted} is missing in\n{text}");
    }
}
