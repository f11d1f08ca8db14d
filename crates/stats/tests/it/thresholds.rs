use taxiway_stats::reject::MINIMAX;
use taxiway_stats::threshold::{self, Calibrated, Forecast, Plain};

/// Brief, 1.4: thresholds of the plain process at 1 % by exact dynamic program (given as whole numbers).
#[test]
fn calibrated_thresholds_match_the_brief() {
    let table = [
        (0.01, [15.0, 24.0, 29.0, 37.0]),
        (0.05, [26.0, 35.0, 41.0, 50.0]),
        (0.1, [31.0, 37.0, 47.0, 59.0]),
        (0.25, [42.0, 43.0, 48.0, 62.0]),
        (0.5, [39.0, 58.0, 67.0, 78.0]),
    ];
    for (share, row) in table {
        let plain = Plain::new(MINIMAX, share, 1.0).unwrap();
        for (errors_max, threshold) in [30, 100, 300, 1_000].into_iter().zip(row) {
            let ours = plain.calibrated(0.01, errors_max).exp();
            assert!((ours - threshold).abs() < 1.0, "{share} {errors_max}: {ours} is not {threshold}");
        }
    }
}

/// Brute force over all 2^12 orders of twelve bad requests.
#[test]
fn crossing_probability_is_exact() {
    let plain = Plain::new(MINIMAX, 0.25, 1.0).unwrap();
    let ln_threshold = 3.0;
    let mut brute = 0.0;
    for order in 0u32..1 << 12 {
        let mut crossed = false;
        for total in 1..=12u32 {
            let canary = (order & ((1 << total) - 1)).count_ones();
            crossed |= plain.ln_evidence(u64::from(total), u64::from(canary)) >= ln_threshold;
        }
        let ones = order.count_ones() as i32;
        brute += if crossed { 0.25f64.powi(ones) * 0.75f64.powi(12 - ones) } else { 0.0 };
    }
    let ours = plain.crossing(ln_threshold, 12);
    assert!((ours - brute).abs() < 1e-12 && brute > 0.0, "{ours} {brute}");
}

#[test]
fn a_calibrated_threshold_is_never_above_ville() {
    for share in [0.0001, 0.05, 0.9999] {
        let plain = Plain::new(MINIMAX, share, 1.5).unwrap();
        assert!(plain.calibrated(0.01, 200) <= threshold::ville(0.01));
        assert!(plain.crossing(threshold::ville(0.01), 200) <= 0.01);
    }
    assert!(Plain::new([0.0; 6], 0.5, 1.0).is_err());
}

fn calibrated(alpha: f64, shares: [f64; 2], errors: f64, windows: f64) -> Calibrated {
    Calibrated::new(alpha, 1.0, &Forecast { shares, errors, windows }).expect("proper numbers")
}

#[test]
fn calibration_lies_below_ville_and_ends_with_its_range() {
    let one = calibrated(0.01, [0.05, 0.05], 360.0, 3_600.0);
    let inside = one.ln_at(0.0).exp();
    assert!((51.0..66.0).contains(&inside), "{inside}");
    assert_eq!(one.ln_at(500.0), one.ln_at(0.0));
    assert!((one.ln_at(1_000.0) - 500f64.ln()).abs() < 1e-9, "what is left of alpha");
    // A window with many bad requests is looked at once, which needs less.
    assert!(calibrated(0.01, [0.05, 0.05], 180_000.0, 3_600.0).ln_at(0.0) < 50f64.ln());
    // A ramp takes the largest of its shares' thresholds.
    assert!(calibrated(0.01, [0.01, 0.5], 360.0, 3_600.0).ln_at(0.0) > one.ln_at(0.0));
}

#[test]
fn calibration_falls_back_to_ville() {
    for (alpha, shares, errors) in
        [(0.001, [0.05, 0.05], 360.0), (0.01, [0.05, 0.9], 360.0), (0.05, [0.5, 0.5], 1e5)]
    {
        let threshold = calibrated(alpha, shares, errors, 1e6);
        assert_eq!(threshold.ln_at(0.0), threshold::ville(alpha));
    }
    assert!(Calibrated::new(0.01, 1.0, &Forecast { shares: [0.0, 0.5], errors: 1.0, windows: 1.0 }).is_err());
    let unknown = Forecast { shares: [0.1, 0.5], errors: f64::NAN, windows: 1.0 };
    assert!(Calibrated::new(0.01, 1.0, &unknown).is_err());
}

/// More bad requests never need less.
#[test]
fn calibration_rises_with_the_expected_number() {
    let mut last = 0.0;
    for step in 20..100 {
        let errors = 10f64.powf(f64::from(step) / 20.0);
        let now = calibrated(0.01, [0.05, 0.05], errors, 1e9).ln_at(0.0);
        assert!(now >= last, "{errors}");
        last = now;
    }
}
