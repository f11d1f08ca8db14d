//! Whatever comes, nothing panics, hangs or answers NaN where a number is due.

use std::collections::BTreeMap;

use proptest::prelude::*;
use taxiway_model::document::plain::documents;
use taxiway_peers::argo::{Condition, Value, template};
use taxiway_peers::import::import;
use taxiway_peers::kayenta::prepare::{Fences, NanStrategy, prepare};
use taxiway_peers::kayenta::{Faith, Label, Pair, Thresholds, config, judge};
use taxiway_peers::named::Named;
use taxiway_peers::{Signal, span};

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => -1e3..1e3f64,
        2 => Just(0.0),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(f64::NEG_INFINITY),
        1 => Just(f64::MAX),
        1 => Just(-f64::MIN_POSITIVE),
        1 => Just(1e12),
    ]
}

const CONFIG: &str = r#"{"metrics": [
    {"name": "a", "groups": ["g", "h"], "analysisConfigurations": {"canary": {"critical": true}}},
    {"name": "b", "groups": ["h"], "analysisConfigurations": {"canary": {"nanStrategy": "replace",
     "outliers": {"strategy": "remove"}, "effectSize": {"measure": "cles"}}}}],
    "classifier": {"groupWeights": {"g": 50}}}"#;

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_score_is_a_number_from_0_to_100(series in prop::collection::vec(prop::collection::vec(value(), 0..12), 4)) {
        let config = config::read(&documents(CONFIG.as_bytes()).unwrap()[0]).unwrap();
        let pair = |name: &str, at: usize| Pair {
            name: name.to_owned(),
            canary: series[at].clone(),
            baseline: series[at + 1].clone(),
        };
        let pairs = [pair("a", 0), pair("b", 2)];
        for faith in [Faith::Faithful, Faith::Mended] {
            let judged = judge(&config, Thresholds::default(), &pairs, faith).unwrap();
            prop_assert!((0.0..=100.0).contains(&judged.score.summary), "{judged:?}");
            // The same data, the same answer.
            let again = judge(&config, Thresholds::default(), &pairs, faith).unwrap();
            prop_assert_eq!(format!("{judged:?}"), format!("{again:?}"));
        }
    }

    /// Exchanging the sides exchanges High and Low; only what the search leaves within its tolerance may differ.
    #[test]
    fn sides_mirror_each_other(shift in 5.0..50.0f64, spread in 0.1..2.0f64, count in 8usize..30) {
        let side = |shift: f64| (0..count).map(|at| shift + spread * (at as f64 * 0.77).sin()).collect::<Vec<_>>();
        let json = CONFIG.replace("\"critical\": true", "");
        let config = config::read(&documents(json.as_bytes()).unwrap()[0]).unwrap();
        let label = |canary: &[f64], baseline: &[f64]| {
            let pair = Pair { name: "a".into(), canary: canary.to_vec(), baseline: baseline.to_vec() };
            judge(&config, Thresholds::default(), &[pair], Faith::Mended).unwrap().metrics[0].classification.label
        };
        let (low, high) = (side(10.0), side(10.0 + shift));
        prop_assert_eq!((label(&high, &low), label(&low, &high)), (Label::High, Label::Low));
    }

    #[test]
    fn prepared_series_hold_no_gap(values in prop::collection::vec(value(), 0..40), factor in 0.01..5.0f64) {
        for nan in [NanStrategy::Remove, NanStrategy::Replace] {
            let kept = prepare(&values, nan, Some(Fences { factor, reduced: true }));
            prop_assert!(kept.len() <= values.len() && kept.iter().all(|value| !value.is_nan()));
        }
    }

    #[test]
    fn any_text_is_a_condition_or_a_fault(text in ".{0,60}", number in value()) {
        if let Ok(condition) = Condition::parse(&text) {
            _ = condition.holds(&Value::Float(number));
            _ = condition.holds(&Value::List(vec![Value::Float(number)]));
        }
        _ = Signal::of_query(&text);
        _ = span::parse_ms(&text);
        _ = Named::parse(&text);
    }

    #[test]
    fn words_of_conditions_in_any_order(
        words in prop::collection::vec(prop::sample::select(vec![
            "result", "[", "]", "(", ")", "0", "1.5", "-", "+", "**", "%", "/", "<", ">=", "==", "in", "not", "!", "&&", "or",
            "?", ":", "??", "len", "all", "#", ",", "nil", "asInt", "'a'", "max", "default", "{", "}",
        ]), 0..24),
        number in value(),
    ) {
        if let Ok(condition) = Condition::parse(&words.join(" ")) {
            _ = condition.holds(&Value::List(vec![Value::Float(number), Value::Int(3)]));
            _ = condition.holds(&Value::Nil);
        }
    }

    /// A file of a peer with bytes changed is read, or a misfit with its place.
    #[test]
    fn a_damaged_file_has_a_place(at in 0usize..1_000, byte in any::<u8>(), cut in 0usize..1_200) {
        for good in [CONFIG, super::flagger::CANARY] {
            let mut bytes = good.as_bytes().to_vec();
            let index = at % bytes.len();
            bytes[index] = byte;
            bytes.truncate(cut.max(1));
            let Ok(documents) = documents(&bytes) else { continue };
            for document in &documents {
                _ = template::read(document, &BTreeMap::new());
            }
            match import(&documents, "analysis.yaml") {
                Ok(imported) => prop_assert!(imported.fragment.contains("analysis:")),
                Err((index, misfit)) => prop_assert!(index < documents.len() && misfit.line > 0),
            }
        }
    }
}

#[test]
fn a_chain_is_not_a_program() {
    let long = format!("result{} > 0", "[0]".repeat(100_000));
    assert!(Condition::parse(&long).unwrap_err().to_string().contains("more than 500 words"));
    assert!(Condition::parse(&vec!["1"; 100_000].join(" + ")).is_err());
}
