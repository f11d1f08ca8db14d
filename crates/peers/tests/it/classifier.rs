//! The public figures of Kayenta's classifier and of its Mann-Whitney test (`data/kayenta.json`: series, settings and
//! expected labels of ClassifierSuite and MannWhitneySuite at a69573b).

use std::collections::BTreeMap;

use serde_json::Value;
use taxiway_peers::kayenta::classify::{
    Bounds, Direction, Effect, Label, Rigour, Settings, classify, is_high,
};
use taxiway_peers::kayenta::mann_whitney::{MannWhitney, Precision};
use taxiway_peers::kayenta::prepare::NanStrategy;

struct Figures {
    cases: Vec<Value>,
    series: BTreeMap<String, Vec<f64>>,
}

fn figures() -> Figures {
    let all: Value = serde_json::from_str(include_str!("data/kayenta.json")).unwrap();
    let numbers = |list: &Value| list.as_array().unwrap().iter().map(|it| it.as_f64().unwrap()).collect();
    Figures {
        cases: all["cases"].as_array().unwrap().clone(),
        series: all["series"].as_object().unwrap().iter().map(|(k, v)| (k.clone(), numbers(v))).collect(),
    }
}

fn settings(case: &Value) -> Settings {
    let flag = |key: &str| case[key].as_bool().unwrap_or(false);
    let bounds = |key: &str| Bounds {
        decrease: case[key][0].as_f64().unwrap_or(1.0),
        increase: case[key][1].as_f64().unwrap_or(1.0),
    };
    Settings {
        direction: match case["direction"].as_str().unwrap() {
            "increase" => Direction::Increase,
            "decrease" => Direction::Decrease,
            _ => Direction::Either,
        },
        nan: if flag("replace") { NanStrategy::Replace } else { NanStrategy::Remove },
        critical: flag("critical"),
        must_have_data: false,
        effect: if flag("cles") { Effect::Cles } else { Effect::MeanRatio },
        allowed: bounds("allowed"),
        critical_at: bounds("critical_at"),
    }
}

/// 34 cases; the suite's other three are of a classifier that the judge does not use.
#[test]
fn all_public_cases_of_the_classifier_pass() {
    let figures = figures();
    for case in &figures.cases {
        let about = case["about"].as_str().unwrap();
        let rigour = Rigour::new(
            case["tolerance"].as_f64().unwrap(),
            case["confidence"].as_f64().unwrap(),
            Precision::Absolute,
        );
        let series = |key: &str| figures.series[case[key].as_str().unwrap()].as_slice();
        let found = classify("m", series("baseline"), series("canary"), &settings(case), &rigour);
        if let Some(label) = case["label"].as_str() {
            assert_eq!(found.label.word(), label, "{about}");
        }
        if let Some(critical) = case["is_critical"].as_bool() {
            assert_eq!(found.critical, critical, "{about}");
        }
        match &case["ratio"] {
            Value::String(_) => assert!(found.ratio.is_nan(), "{about}"),
            Value::Number(ratio) => assert_eq!(found.ratio, ratio.as_f64().unwrap(), "{about}"),
            _ => {}
        }
        if case["reason"] == true {
            assert!(found.reason.is_some(), "{about}");
        }
    }
    assert_eq!(figures.cases.len(), 34);
}

/// The quick answer of the benchmark is the classification's.
#[test]
fn the_quick_answer_is_the_classification() {
    let figures = figures();
    let rigour = Rigour::judge(Precision::Absolute);
    let settings = Settings { direction: Direction::Increase, ..Settings::default() };
    let mut high = 0;
    for (_, canary) in figures.series.iter().filter(|(_, series)| series.len() <= 210) {
        for (_, baseline) in figures.series.iter().filter(|(_, series)| series.len() <= 210) {
            let label = classify("m", baseline, canary, &settings, &rigour).label;
            assert_eq!(is_high(baseline, canary, &rigour), label == Label::High);
            high += usize::from(label == Label::High);
        }
    }
    assert!(high > 100, "{high}");
}

fn close(found: f64, wanted: f64, by: f64) {
    assert!((found - wanted).abs() <= by, "{found} is not within {by} of {wanted}");
}

fn test(x: &str, y: &str) -> MannWhitney {
    let figures = figures();
    MannWhitney::new(&figures.series[x], &figures.series[y], Precision::Absolute)
}

#[test]
fn the_statistic_of_850_points_a_side() {
    let test = test("s31", "s32");
    close(test.statistic(0.0, 0.0).unwrap(), -1.229_416, 1e-6);
    close(test.statistic(5.0, 0.0).unwrap(), -35.806_06, 1e-5);
}

#[test]
fn the_normal_quantile_that_cuts_the_tails() {
    close(Rigour::new(0.25, 0.98, Precision::Absolute).z, 2.326_348, 1e-6);
    close(Rigour::judge(Precision::Absolute).z, Rigour::new(0.25, 0.98, Precision::Absolute).z, 1e-12);
}

#[test]
fn four_points_a_side() {
    let test = test("s33", "s34");
    let z = Rigour::new(0.25, 0.95, Precision::Absolute).z;
    close(test.low(z).unwrap(), 6.0, 1e-6);
    close(test.high(z).unwrap(), 39.0, 1e-6);
    close(test.estimate().unwrap(), 22.5, 1e-6);
}

/// Differences far below 1e-4: the estimate is where the search stopped, equal to an end of the interval. On the scale
/// of the data it lies inside.
#[test]
fn an_absolute_tolerance_is_blind_to_small_values() {
    let z = Rigour::judge(Precision::Absolute).z;
    let absolute = test("s31", "s32");
    close(absolute.low(z).unwrap(), -1.480_802_893_638_610_8e-5, 1e-12);
    close(absolute.high(z).unwrap(), 1.808_255_910_873_413e-5, 1e-12);
    close(absolute.estimate().unwrap(), 1.808_255_910_873_413e-5, 1e-12);

    let figures = figures();
    let scaled = MannWhitney::new(&figures.series["s31"], &figures.series["s32"], Precision::Scaled);
    let (low, high) = (scaled.low(z).unwrap(), scaled.high(z).unwrap());
    let estimate = scaled.estimate().unwrap();
    assert!(low < estimate && estimate < high, "{low} {estimate} {high}");
    assert!(high - low < 1e-6, "{low} {high}");
}

#[test]
fn two_tie_outs_with_r() {
    let ninety = test("s36", "s35");
    let z = Rigour::new(0.25, 0.95, Precision::Absolute).z;
    close(ninety.low(z).unwrap(), -0.500_002_521_696_696, 1e-9);
    close(ninety.high(z).unwrap(), -3.486_287_505_871_302e-5, 1e-9);
    close(ninety.estimate().unwrap(), -0.499_939_390_718_032_3, 1e-4);

    let hundred_eighty = test("s37", "s38");
    let z = Rigour::judge(Precision::Absolute).z;
    close(hundred_eighty.low(z).unwrap(), -0.499_917_325_054_908_7, 1e-9);
    close(hundred_eighty.high(z).unwrap(), -6.912_685_789_769_486e-6, 1e-9);
    close(hundred_eighty.estimate().unwrap(), -3.450_440_827_293_15e-5, 1e-4);
}

#[test]
fn every_intermediate_of_a_search() {
    let test = test("s06", "s05");
    let z = Rigour::new(0.25, 0.95, Precision::Absolute).z;
    close(z, 1.959_963_984_540_053_6, 1e-9);
    let [low, high] = test.range();
    close(low, -3.124_999_999_999_986, 1e-12);
    close(high, 5.555_555_555_555_557, 1e-12);
    close(test.statistic(low, z).unwrap(), 17.090_968_923_762_254, 1e-9);
    close(test.statistic(high, z).unwrap(), -20.997_687_930_433_106, 1e-9);
    close(test.statistic(low, -z).unwrap(), 21.010_896_892_842_36, 1e-9);
    close(test.statistic(high, -z).unwrap(), -17.077_759_961_353, 1e-9);
    close(test.low(z).unwrap(), 3.521_755_377_702_165e-5, 1e-9);
    close(test.high(z).unwrap(), 2.024_564_616_623_34e-5, 1e-9);
    close(test.estimate().unwrap(), 2.627_924_304_515_565_3e-5, 1e-6);
}

/// Two points that lie apart: everything is tied at the only difference there is, and the test has no answer.
#[test]
fn one_point_a_side_is_an_error() {
    let rigour = Rigour::judge(Precision::Absolute);
    // 5.25 - 3.5 is exact, but noise is added to constants first; 0 stays 0.
    let found = classify("m", &[0.0], &[4.0], &Settings::default(), &rigour);
    assert_eq!(found.label, Label::Error);
    assert!(found.reason.unwrap().contains("tied"));
}

/// spinnaker issue 6278: ten points each, the baseline all 1. With seven of the canary's at 100 it passes: the
/// interval begins at 6.825e-5, a step of the search, and the estimate is 98.99993.
#[test]
fn the_break_between_seven_and_eight_of_ten() {
    let rigour = Rigour::judge(Precision::Absolute);
    let canary = |high: usize| (0..10).map(|at| if at < high { 100.0 } else { 1.0 }).collect::<Vec<f64>>();
    let seven = classify("m", &[1.0; 10], &canary(7), &Settings::default(), &rigour);
    assert_eq!(seven.label, Label::Pass);
    close(seven.shift.unwrap().low, 6.825e-5, 1e-8);
    close(seven.shift.unwrap().estimate, 98.999_93, 1e-5);
    assert_eq!(classify("m", &[1.0; 10], &canary(8), &Settings::default(), &rigour).label, Label::High);
}

/// An effect size cannot be asked of means below zero: ten times as far down looks like ten times as much.
#[test]
fn negative_means_turn_the_effect_around() {
    let baseline: Vec<f64> = (0..20).map(|at| -1.0 - f64::from(at) * 1e-3).collect();
    let canary: Vec<f64> = baseline.iter().map(|value| value * 10.0).collect();
    let settings = Settings { direction: Direction::Decrease, ..Settings::default() };
    let found = classify("m", &baseline, &canary, &settings, &Rigour::judge(Precision::Absolute));
    assert_eq!(found.label, Label::Pass);
    close(found.ratio, 10.0, 1e-9);
}
