use taxiway_stats::reject::MINIMAX;
use taxiway_stats::threshold::{self, Plain};

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
