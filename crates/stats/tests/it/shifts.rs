use proptest::prelude::*;
use taxiway_stats::means::Moments;
use taxiway_stats::{Arm, Window, fewer, shift};

fn moments(values: &[f64]) -> Moments {
    let squares = values.iter().map(|value| value * value).sum();
    Moments { count: values.len() as u64, sum: values.iter().sum(), squares }
}

/// Twenty values of a window with a fixed spread around a mean.
fn window(mean: f64, spread: f64, number: u64) -> Moments {
    let values: Vec<f64> =
        (0..20).map(|i| mean + spread * f64::from(((i * 7 + number as i32 * 3) % 19) - 9) / 5.5).collect();
    moments(&values)
}

fn evidence(test: &shift::Test, canary: f64, baseline: f64, spread: f64, squares: bool) -> f64 {
    let mut state = test.start();
    for number in 0..200 {
        let sides = [window(canary, spread, number), window(baseline, spread, number + 5)];
        test.fold(&mut state, &sides[0], &sides[1], squares, 1.0);
    }
    test.ln_evidence(&state)
}

#[test]
fn a_shift_is_seen_in_its_direction_only_with_and_without_squares() {
    for squares in [true, false] {
        let upper = shift::Test::new(0.05, 0.0, false, 3_600.0).unwrap();
        assert!(evidence(&upper, 1.3, 1.0, 0.5, squares) > 100f64.ln());
        assert!(evidence(&upper, 1.0, 1.0, 0.5, squares) < 0.7);
        let lower = shift::Test::new(0.05, 0.0, true, 3_600.0).unwrap();
        assert!(evidence(&lower, 0.7, 1.0, 0.5, squares) > 100f64.ln());
        assert!(evidence(&lower, 1.3, 1.0, 0.5, squares) < 0.7);
    }
}

/// "5 % lower" of a loss is 5 % more of it, and slack stands beside it.
#[test]
fn tolerance_lies_away_from_zero_and_slack_is_an_amount() {
    let lower = shift::Test::new(0.1, 0.0, true, 3_600.0).unwrap();
    assert!(evidence(&lower, -1.05, -1.0, 0.2, true) < 0.7, "within 10 %");
    assert!(evidence(&lower, -1.4, -1.0, 0.2, true) > 100f64.ln());
    let slack = shift::Test::new(0.0, 0.5, false, 3_600.0).unwrap();
    assert!(evidence(&slack, 1.4, 1.0, 0.2, true) < 0.7);
    assert!(evidence(&slack, 1.8, 1.0, 0.2, true) > 100f64.ln());
    assert!(evidence(&slack, 0.3, 0.0, 0.2, true) < 0.7, "a mean of zero leaves the slack");
}

#[test]
fn what_never_varies_is_compared_all_the_same() {
    let lower = shift::Test::new(0.0, 0.0, true, 3_600.0).unwrap();
    assert!(evidence(&lower, 9.0, 10.0, 0.0, true) > 100f64.ln());
    assert!(evidence(&lower, 10.0, 10.0, 0.0, true) < 0.7);
    assert!(evidence(&lower, 0.0, 0.0, 0.0, true).abs() < 1e-9, "nothing at all is no evidence");
}

#[test]
fn the_ratio_lies_in_its_sequence_which_narrows() {
    let test = shift::Test::new(0.0, 0.0, true, 3_600.0).unwrap();
    let mut state = test.start();
    let mut width = f64::INFINITY;
    for number in 0..2_000_u64 {
        test.fold(&mut state, &window(0.9, 0.5, number), &window(1.0, 0.5, number + 5), true, 1.0);
        if number % 500 == 499 {
            let [low, high] = state.ratio_range(0.05).unwrap();
            assert!(low < 0.9 && 0.9 < high, "{low} {high}");
            assert!(high - low < width);
            width = high - low;
        }
    }
    assert!(
        state.ln_beyond(0.8, true) > 3.0 && state.ln_beyond(0.95, true) < 0.0,
        "a drop of 20 % is excluded"
    );
    assert!(state.sides[0].ln_beyond(0.8, true) > 4.6 && state.sides[0].ln_beyond(1.0, true) < 0.0);
}

/// A drop that begins late is found sooner with start times than without.
#[test]
fn late_drops_of_a_share_are_found_sooner() {
    let found = |first: f64| {
        let test = fewer::Test::new(0.0, 3_600.0).unwrap().first(first);
        let mut state = test.start();
        (0..900_u64).find(|number| {
            let arm = |total, bad| Arm { total, bad };
            let orders = if *number < 450 { 3 } else { 2 };
            let window = Window { canary: arm(100, orders), baseline: arm(1_900, 57) };
            test.fold(&mut state, &window, 4.0);
            test.ln_evidence(&state) >= 100f64.ln()
        })
    };
    let (late, plain) = (found(0.7).unwrap(), found(1.0).unwrap());
    assert!(late >= 450 && late < plain, "{late} {plain}");
}

fn any_moments() -> impl Strategy<Value = Moments> {
    let number = prop_oneof![
        Just(0.0),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        -1e12..1e12_f64,
        -1e300..1e300_f64,
        Just(1e-300),
    ];
    let count = prop_oneof![Just(0), Just(1_u64), 0..100_u64, Just(1_000_000_000_000), Just(u64::MAX)];
    (count, number.clone(), number).prop_map(|(count, sum, squares)| Moments { count, sum, squares })
}

proptest! {
    #[test]
    fn means_are_numbers_whatever_comes(
        windows in prop::collection::vec((any_moments(), any_moments(), any::<bool>()), 1..60),
        tolerance in 0.0..2.0_f64,
        lower in any::<bool>(),
    ) {
        let test = shift::Test::new(tolerance, 0.0, lower, 3_600.0).unwrap();
        let mut state = test.start();
        for number in 0..8 {
            test.fold(&mut state, &window(1.0, 0.5, number), &window(1.0, 0.5, number), true, 1.0);
        }
        for (canary, baseline, squares) in windows {
            test.fold(&mut state, &canary, &baseline, squares, 1.0);
            let ln = test.ln_evidence(&state);
            prop_assert!(!ln.is_nan() && ln < f64::INFINITY, "{}", ln);
            prop_assert!(state.ratio().is_none_or(f64::is_finite));
            if let Some([low, high]) = state.ratio_range(0.05) {
                prop_assert!(low <= high && low.is_finite() && high.is_finite());
            }
            for above in [true, false] {
                prop_assert!(!state.ln_beyond(0.5, above).is_nan());
                prop_assert!(!state.sides[0].ln_beyond(0.5, above).is_nan());
            }
        }
    }

    /// Delyon's bound: the mean of the e-variable over two-point laws of any skew is at most one.
    #[test]
    fn the_increment_has_mean_at_most_one(p in 0.001..0.999_f64, bet in 0.001..30.0_f64) {
        let (low, high) = (-(p / (1.0 - p)).sqrt(), ((1.0 - p) / p).sqrt());
        let e = |x: f64| (bet * x - bet * bet * (x * x + 2.0) / 6.0).exp();
        prop_assert!(p * e(high) + (1.0 - p) * e(low) <= 1.0 + 1e-12);
    }
}
