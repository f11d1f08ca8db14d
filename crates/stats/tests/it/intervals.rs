use taxiway_stats::math::{beta_regularized, ln_beta, ln_normal_cdf, normal_quantile};
use taxiway_stats::{Arm, histogram, interval, means, sequence};

use crate::{close, within};

/// `scipy.stats.binomtest(x, n).proportion_ci(0.95, method="wilson" | "exact")`, SciPy 1.17.1.
#[test]
fn proportion_intervals_match_scipy() {
    let cases = [
        (0, 10, [0.0, 0.277_532_799_862_889], [0.0, 0.308_497_107_818_763]),
        (
            3,
            50,
            [0.020_614_970_348_974, 0.162_170_916_888_382],
            [0.012_548_587_835_334_1, 0.165_481_946_603_773],
        ),
        (7, 7, [0.645_669_564_933_313, 1.0], [0.590_383_602_774_951, 1.0]),
        (
            9,
            950,
            [0.004_992_031_308_074_45, 0.017_906_385_004_945_1],
            [0.004_340_862_660_347_36, 0.017_907_529_261_137_6],
        ),
        (
            120,
            100_000,
            [0.001_003_736_359_151_16, 0.001_434_584_561_961_68],
            [0.000_995_016_337_472_357, 0.001_434_737_283_849_84],
        ),
    ];
    for (bad, total, wilson, exact) in cases {
        let arm = Arm { total, bad };
        for (ours, theirs) in interval::wilson(arm, 0.95).into_iter().zip(wilson) {
            close(ours, theirs);
        }
        for (ours, theirs) in interval::clopper_pearson(arm, 0.95).into_iter().zip(exact) {
            close(ours, theirs);
        }
    }
}

/// `scipy.stats.norm.ppf` and `.logcdf`.
#[test]
fn normal_functions_match_scipy() {
    let quantiles = [
        (1e-10, -6.361_340_902_404_06),
        (0.001, -3.090_232_306_167_81),
        (0.01, -2.326_347_874_040_84),
        (0.1, -1.281_551_565_544_6),
        (0.3, -0.524_400_512_708_041),
        (0.9, 1.281_551_565_544_6),
        (0.999, 3.090_232_306_167_81),
    ];
    for (p, z) in quantiles {
        close(normal_quantile(p), z);
    }
    let tails = [
        (-60.0, -1_805.013_560_680_57),
        (-25.0, -316.639_408_008_02),
        (-20.5, -214.066_728_963_264),
        (-10.0, -53.231_285_150_512_5),
        (-3.0, -6.607_726_221_510_35),
        (-1.0, -1.841_021_645_009_26),
        (0.0, -std::f64::consts::LN_2),
        (1.0, -0.172_753_779_023_45),
        (5.0, -2.866_516_129_637_63e-7),
    ];
    for (z, ln_p) in tails {
        close(ln_normal_cdf(z), ln_p);
    }
}

/// `scipy.special.betainc`; `ln B` from mpmath with 50 digits.
#[test]
fn beta_functions_match_scipy_and_mpmath() {
    let incomplete = [
        (0.5, 0.5, 0.3, 0.369_010_119_565_545),
        (2.0, 3.0, 0.4, 0.5248),
        (4.0, 1e6, 4e-6, 0.566_532_614_771_279),
        (100.0, 900.0, 0.11, 0.853_670_631_220_79),
        (5_000.0, 5_000.0, 0.495, 0.158_655_253_628_963),
        (1.0, 1.0, 0.25, 0.25),
    ];
    for (a, b, x, value) in incomplete {
        close(beta_regularized(a, b, x), value);
    }
    let logs = [
        (0.5, 0.5, 1.144_729_885_849_400_2),
        (3.0, 1e12, -82.199_916_167_228_7),
        (12.0, 30.0, -25.274_864_968_419_81),
        (1e6, 1e9, -7_908_261.100_715_666),
        (250.5, 3.25, -17.029_982_239_551_99),
        (9.5, 11.0, -14.037_754_980_658_014),
    ];
    for (a, b, value) in logs {
        within(ln_beta(a, b), value, 1e-12);
    }
}

/// confseq, `test/uniform_boundaries_unittest.cpp` ("values from a reference implementation in R", 7 digits given).
#[test]
fn mixtures_match_confseq() {
    within(means::normal_mixture(10.0, 100.0, means::rho(100.0, 0.05)), -0.065_023_91, 1e-7);
    // bound(v = 100, alpha = 0.05) = 27.66071: there the evidence is ln 20.
    within(means::normal_mixture(27.660_71, 100.0, means::rho(100.0, 0.05)), 20f64.ln(), 1e-5);
    // bernoulli_confidence_interval(700, 1000, 0.05, t_opt = 100): 0.651629 to 0.745949.
    let [low, high] = sequence::rate(Arm { total: 1_000, bad: 700 }, 0.05, 100.0);
    within(low, 0.651_629_813_87, 1e-9);
    within(high, 0.745_949_500_785, 1e-9);
    // empirical_process_lil_bound(1000, 0.05, 100, 0.85); the minimum over eta is searched on a grid.
    within(sequence::band(1_000.0, 100.0, 0.05), 0.082_047_69, 1e-6);
}

#[test]
fn quantile_sequence_encloses_the_quantile_and_shrinks() {
    // One value in each of 1000 buckets: the true p95 lies in bucket 949 or 950.
    let flat = |count: u64| -> Vec<(i32, u64)> { (0..1_000).map(|index| (index, count)).collect() };
    let width = |count: u64| {
        let [low, high] = sequence::quantile(&flat(count), 0.95, 0.05, 10_000.0, 6);
        let (low, high) = (low.unwrap(), high.unwrap());
        assert!(low < histogram::upper_edge(949, 6) && high > histogram::upper_edge(949, 6));
        (high / low).ln()
    };
    assert!(width(100) < width(10) / 2.0);
    assert_eq!(sequence::quantile(&[], 0.5, 0.05, 100.0, 6), [None, None]);
    // Five values cannot bound their p95 from above.
    let [_, high] = sequence::quantile(&[(3, 5)], 0.95, 0.05, 100.0, 6);
    assert_eq!(high, None);
}
