//! The public figures of Kayenta's scorer (ScorerSuite at a69573b), and its boundary rules.

use std::collections::BTreeMap;

use taxiway_peers::kayenta::Label::{self, High, Low, Nodata, NodataFailMetric, Pass};
use taxiway_peers::kayenta::score::{Errors, Grade, Score, Scored, Thresholds, score};

fn scored(metrics: &[(Label, bool, &str)], weights: &[(&str, f64)], errors: Errors) -> Score {
    let groups: Vec<Vec<String>> = metrics.iter().map(|(_, _, group)| vec![(*group).to_owned()]).collect();
    let metrics: Vec<Scored<'_>> = metrics
        .iter()
        .zip(&groups)
        .map(|((label, critical, _), groups)| Scored {
            label: *label,
            critical: *critical,
            groups,
            reason: None,
        })
        .collect();
    let weights: BTreeMap<String, f64> =
        weights.iter().map(|(group, weight)| ((*group).to_owned(), *weight)).collect();
    score(&metrics, &weights, errors)
}

fn summary(metrics: &[(Label, bool, &str)], weights: &[(&str, f64)]) -> f64 {
    scored(metrics, weights, Errors::Ignored).summary
}

#[test]
fn all_public_cases_of_the_scorer_pass() {
    let even = [("a", 50.0), ("b", 50.0)];
    type Case<'a> = (&'a [(Label, bool, &'a str)], &'a [(&'a str, f64)], f64);
    let cases: &[Case<'_>] = &[
        (&[(Pass, false, "a")], &[], 100.0),
        (&[(High, false, "a")], &[], 0.0),
        (&[(Nodata, false, "a")], &[], 0.0),
        (&[(Pass, false, "a"), (Pass, false, "a"), (Nodata, false, "b")], &[], 100.0),
        (&[(Pass, false, "a"), (High, false, "a")], &[], 50.0),
        (&[(Pass, false, "a"), (High, false, "a"), (Low, false, "a")], &[], 33.33),
        (&[(Pass, false, "a"), (Pass, false, "a"), (High, false, "b")], &[("a", 75.0), ("b", 25.0)], 75.0),
        (&[(Pass, false, "a"), (High, false, "a"), (High, false, "b")], &even, 25.0),
        (&[(Pass, false, "a"), (Nodata, false, "a"), (High, false, "b")], &even, 50.0),
        (&[(Pass, false, "a"), (High, true, "a")], &[], 0.0),
        (&[(Low, false, "a"), (Pass, true, "a")], &[], 50.0),
        (&[(Pass, false, "a"), (Nodata, true, "a")], &[], 0.0),
        (
            &[(High, false, "a"), (Low, false, "a"), (Pass, false, "a"), (High, false, "b")],
            &[("a", 15.0), ("b", 85.0)],
            5.0,
        ),
    ];
    for (metrics, weights, wanted) in cases {
        assert_eq!(summary(metrics, weights), *wanted, "{metrics:?} {weights:?}");
    }
    assert_eq!(cases.len(), 13);
}

#[test]
fn the_scores_of_groups() {
    let score = scored(&[(Pass, false, "a"), (Nodata, false, "b"), (Pass, false, "c")], &[], Errors::Ignored);
    let groups: Vec<(f64, bool)> = score.groups.iter().map(|group| (group.score, group.no_data)).collect();
    assert_eq!(groups, [(100.0, false), (0.0, true), (100.0, false)]);
}

/// Half of the metrics without data is too many, just below is not; a metric that must have some counts as failed.
#[test]
fn half_without_data_is_no_score() {
    let half = scored(&[(Pass, false, "a"), (Nodata, false, "a")], &[], Errors::Ignored);
    assert_eq!(half.summary, 0.0);
    assert!(half.reason.unwrap().contains("50%"));
    assert_eq!(summary(&[(Pass, false, "a"), (Pass, false, "a"), (Nodata, false, "a")], &[]), 100.0);
    assert_eq!(summary(&[(Pass, false, "a"), (NodataFailMetric, false, "a")], &[]), 50.0);
}

#[test]
fn an_error_does_not_count_or_counts_as_failed() {
    let metrics = [(Label::Error, false, "a")];
    assert_eq!(scored(&metrics, &[], Errors::Ignored).summary, 100.0);
    assert_eq!(scored(&metrics, &[], Errors::Fail).summary, 0.0);
    let metrics = [(Pass, false, "a"), (Label::Error, false, "a")];
    assert_eq!(scored(&metrics, &[], Errors::Ignored).summary, 100.0);
    assert_eq!(scored(&metrics, &[], Errors::Fail).summary, 50.0);
}

/// Groups without a weight share what the others leave, and a metric counts in each of its groups.
#[test]
fn what_is_left_is_shared() {
    let metrics = [(Pass, false, "a"), (High, false, "b"), (Pass, false, "c")];
    assert_eq!(summary(&metrics, &[("a", 40.0)]), 70.0);
    let groups = vec!["a".to_owned(), "b".to_owned()];
    let both = [Scored { label: High, critical: false, groups: &groups, reason: None }];
    assert_eq!(score(&both, &BTreeMap::new(), Errors::Ignored).summary, 0.0);
}

/// A score that equals the marginal threshold is marginal to the judge and stops the pipeline.
#[test]
fn a_score_at_the_marginal_threshold_stops_the_pipeline() {
    let thresholds = Thresholds::default();
    assert_eq!(thresholds.grade(75.0), Grade::Pass);
    assert_eq!(thresholds.grade(74.99), Grade::Marginal);
    assert_eq!(thresholds.grade(50.0), Grade::Marginal);
    assert_eq!(thresholds.grade(49.99), Grade::Fail);
    assert!(thresholds.stops(50.0, false));
    assert!(!thresholds.stops(50.01, false));
    assert!(thresholds.stops(74.99, true));
    assert!(!thresholds.stops(75.0, true));
}
