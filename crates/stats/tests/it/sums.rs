use taxiway_stats::means::{Moments, Test, WARM_UP};
use taxiway_stats::{Arm, burn, combine, math};

use crate::close;

#[test]
fn an_average_is_never_worse_than_bonferroni() {
    let ln_e = 400f64.ln();
    let average = combine::average(&[(1.0, ln_e), (1.0, -50.0), (1.0, f64::NEG_INFINITY), (1.0, -3.0)]);
    assert!(average >= ln_e - 4f64.ln());
    close(combine::average(&[(3.0, 2f64.ln()), (1.0, 6f64.ln())]), 3f64.ln());
    assert_eq!(combine::average(&[]), f64::NEG_INFINITY);
    assert_eq!(combine::average(&[(0.0, 5.0)]), f64::NEG_INFINITY);
}

/// Closed testing by hand: with e = (500, 0, 0) the average over all three is 166.7, so the first is named at 1 %; with
/// e = (250, 0, 0) it is 83, so it is not. Two of 150 stand together, but not beside a third of 0.
#[test]
fn holm_names_what_every_average_confirms() {
    let ln = |values: [f64; 3]| values.map(f64::ln);
    assert_eq!(combine::holm(&ln([500.0, 0.0, 0.0]), 0.01), [true, false, false]);
    assert_eq!(combine::holm(&ln([250.0, 0.0, 0.0]), 0.01), [false, false, false]);
    assert_eq!(combine::holm(&ln([150.0, 150.0, 0.0]), 0.01), [false, false, false]);
    assert_eq!(combine::holm(&ln([400.0, 400.0, 1.0]), 0.01), [true, true, false]);
    close(combine::adjusted(&ln([500.0, 4.0, 3.0]))[0], (507.0f64 / 3.0).ln());
}

/// e-BH by hand at 5 % of four: thresholds 80, 40, 26.7, 20.
#[test]
fn benjamini_hochberg_lists_the_largest_set() {
    let ln_e = [30.0f64, 90.0, 30.0, 5.0].map(f64::ln);
    assert_eq!(combine::benjamini_hochberg(&ln_e, 0.05), [true, true, true, false]);
    let ln_e = [30.0f64, 70.0, 20.0, 5.0].map(f64::ln);
    assert_eq!(combine::benjamini_hochberg(&ln_e, 0.05), [false; 4]);
    assert!(combine::benjamini_hochberg(&[], 0.05).is_empty());
}

#[test]
fn p_values_stay_below_one() {
    close(combine::p_value(-7.0), 1.0);
    close(combine::p_value(100f64.ln()), 0.01);
}

/// A window of 50 values: mean and a fixed spread that cancels over even and odd windows.
fn window(mean: f64, number: u64) -> Moments {
    let noise = if number.is_multiple_of(2) { 0.1 } else { -0.1 };
    Moments { count: 50, sum: 50.0 * (mean + noise), squares: 0.0 }
}

fn evidence(test: &Test, canary_mean: f64) -> f64 {
    let mut state = taxiway_stats::means::State::default();
    for number in 0..WARM_UP + 100 {
        test.fold(&mut state, &window(canary_mean, number), &window(1.0, number / 2));
    }
    test.ln_evidence(&state)
}

#[test]
fn means_see_a_shift_in_their_direction_only() {
    let upper = Test::new(0.05, 0.01, 100).unwrap();
    assert!(evidence(&upper, 1.3) > 100f64.ln());
    assert!(evidence(&upper, 1.0) < 0.0 && evidence(&upper, 0.7) < 0.0);
    let lower = Test::new(-0.05, 0.01, 100).unwrap().lower();
    assert!(evidence(&lower, 0.7) > 100f64.ln());
    assert!(evidence(&lower, 1.0) < 0.0 && evidence(&lower, 1.3) < 0.0);
}

#[test]
fn means_ignore_what_is_not_a_number() {
    let test = Test::new(0.0, 0.01, 100).unwrap();
    let mut state = taxiway_stats::means::State::default();
    for sum in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
        test.fold(&mut state, &Moments { count: 3, sum, squares: sum }, &window(1.0, 0));
    }
    test.fold(&mut state, &Moments::default(), &window(1.0, 0));
    assert_eq!(state.windows, 0);
    assert_eq!(Moments { count: 1, sum: 2.0, squares: 4.0 }.variance(), None);
    let two =
        Moments { count: 1, sum: 2.0, squares: 4.0 }.merged(&Moments { count: 1, sum: 4.0, squares: 16.0 });
    assert_eq!((two.mean(), two.variance()), (Some(3.0), Some(2.0)));
}

/// SRE Workbook, table 5-8, and the brief's example of a 5 % weight at burn 100 for ten minutes.
#[test]
fn burn_rates_match_the_workbook() {
    close(burn::rate(Arm { total: 100_000, bad: 1_440 }, 0.999), 14.4);
    close(burn::budget_spent(0.05, 100.0, 600.0, 720.0 * 3_600.0), 0.001_157_407_407_407_407_4);
    let [page, _, ticket] = burn::RULES;
    let arm = |bad| Arm { total: 100_000, bad };
    assert!(page.fires(arm(1_500), arm(1_500), 0.999));
    assert!(!page.fires(arm(1_500), arm(1_400), 0.999), "the short window has recovered");
    assert_eq!((page.short_s(), ticket.short_s()), (300, 21_600));
    assert_eq!(burn::rate(arm(0), 1.0), 0.0);
    assert!(burn::rate(arm(1), 1.0).is_infinite());
    close(burn::excess(arm(300), arm(100), 1.0), 200.0);
}

#[test]
fn sums_of_logs_handle_nothing_and_infinity() {
    assert_eq!(math::ln_sum(&[]), f64::NEG_INFINITY);
    assert_eq!(math::ln_add(f64::NEG_INFINITY, f64::NEG_INFINITY), f64::NEG_INFINITY);
    close(math::ln_add(1_000.0, 1_000.0), 1_000.0 + 2f64.ln());
    close(math::ln_sum(&[-1e9, -1e9]), -1e9 + 2f64.ln());
}
