use proptest::prelude::*;
use taxiway_stats::increment::{Boundary, bernoulli, poisson};
use taxiway_stats::{
    Arm, Window, burn, dispersion, exclude, histogram, interval, latency, ordered, profile, reject, sequence,
    softrank, split,
};

/// Counts from nothing to 10^12, more bad than total included.
fn count() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), 0..100u64, 0..1_000_000_000_000u64, Just(1_000_000_000_000)]
}

fn window() -> impl Strategy<Value = Window> {
    (count(), count(), count(), count()).prop_map(|(n_c, n_b, x_c, x_b)| Window::new(n_c, n_b, x_c, x_b))
}

/// A bad number for a rate or a time.
fn hostile() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(0.0),
        Just(1.0),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(-1.0),
        Just(1e-300),
        0.0..1.0,
        0.0..1e6
    ]
}

fn buckets() -> impl Strategy<Value = Vec<(i32, u64)>> {
    proptest::collection::btree_map(-200..2_000i32, count(), 0..20).prop_map(|map| map.into_iter().collect())
}

/// Mean of `e^ln_e` over both sides' outcomes, requests independent with the given probabilities.
fn mean_e(n_c: u64, n_b: u64, p_c: f64, p_b: f64, ln_e: impl Fn(&Window) -> f64) -> f64 {
    let mass = |n: u64, p: f64| -> Vec<f64> {
        let mut mass = vec![1.0];
        for _ in 0..n {
            mass.push(0.0);
            for index in (1..mass.len()).rev() {
                mass[index] = mass[index] * (1.0 - p) + mass[index - 1] * p;
            }
            mass[0] *= 1.0 - p;
        }
        mass
    };
    let (canary, baseline) = (mass(n_c, p_c), mass(n_b, p_b));
    let mut mean = 0.0;
    for (x_c, mass_c) in canary.iter().enumerate() {
        for (x_b, mass_b) in baseline.iter().enumerate() {
            mean += mass_c * mass_b * ln_e(&Window::new(n_c, n_b, x_c as u64, x_b as u64)).exp();
        }
    }
    mean
}

/// All ways in which so many values fall into four stretches, with their chances.
fn outcomes(parts: [f64; 4], total: u32) -> Vec<([u64; 4], f64)> {
    let mut all = vec![([0u64; 4], 1.0)];
    for _ in 0..total {
        let more = |(counts, chance): &([u64; 4], f64)| {
            let (counts, chance) = (*counts, *chance);
            (0..4).map(move |stretch| {
                let mut counts = counts;
                counts[stretch] += 1;
                (counts, chance * parts[stretch])
            })
        };
        all = all.iter().flat_map(more).collect();
    }
    all
}

proptest! {
    /// The heart of the matter, exactly: under the null (on its boundary and inside) the mean e-value is at most 1, for
    /// both forms, both directions, any guess of the base rate.
    #[test]
    fn e_variables_have_mean_at_most_one(
        n_c in 1..12u64, n_b in 1..20u64, p_b in 0.0..1.0f64, inside in 0.0..1.0f64,
        theta in 0.3..4.0f64, delta in 0.0..0.2f64, step in 1.05..12.0f64, guess in 0.0..1.0f64,
    ) {
        let null = Boundary { theta, delta };
        // REJECT: p_c at most theta p_b + delta.
        let p_c = (theta * p_b + delta).min(1.0) * inside;
        for boundary in [(theta * p_b + delta).min(1.0), p_c] {
            let worse = mean_e(n_c, n_b, boundary, p_b, |window| bernoulli(window, null, theta * step, guess));
            prop_assert!(worse <= 1.0 + 1e-9, "bernoulli {}", worse);
            let worse = mean_e(n_c, n_b, boundary, p_b, |window| poisson(window, null, theta * step));
            prop_assert!(worse <= 1.0 + 1e-9, "poisson {}", worse);
        }
        // ACCEPT: p_c at least theta p_b + delta.
        let least = theta * p_b + delta;
        if least <= 1.0 {
            for p_c in [least, least + (1.0 - least) * inside] {
                let bad = mean_e(n_c, n_b, p_c, p_b, |window| bernoulli(window, null, theta / step, guess));
                prop_assert!(bad <= 1.0 + 1e-9, "bernoulli exclude {}", bad);
                let bad = mean_e(n_c, n_b, p_c, p_b, |window| poisson(window, null, theta / step));
                prop_assert!(bad <= 1.0 + 1e-9, "poisson exclude {}", bad);
            }
        }
    }

    /// The same of the way that needs no baseline: the excluded rate is at least both boundaries, and a mixture of two
    /// e-variables is one.
    #[test]
    fn excluding_by_the_own_rate_has_mean_at_most_one(
        n_c in 1..12u64, n_b in 1..20u64, p_b in 0.0..0.3f64, inside in 0.0..1.0f64,
        theta in 1.1..3.0f64, rate in 0.001..0.9f64, weight in 0.05..0.95f64,
    ) {
        let test = exclude::Test::new(theta, 0.0).and_then(|test| test.or_below(rate, weight)).unwrap();
        let least = (theta * p_b).max(rate);
        for p_c in [least, least + (1.0 - least) * inside] {
            let mean = mean_e(n_c, n_b, p_c, p_b, |window| {
                let mut state = test.start();
                test.fold(&mut state, window, 1.0);
                test.ln_evidence(&state)
            });
            prop_assert!(mean <= 1.0 + 1e-9, "{}", mean);
        }
    }

    #[test]
    fn evidence_is_a_number_whatever_comes(
        windows in proptest::collection::vec((window(), hostile()), 0..30),
        theta in 0.5..10.0f64, delta in prop_oneof![Just(0.0), 0.0..0.1f64],
    ) {
        let worse = reject::Test::new(theta, delta, 3_600.0).unwrap();
        let bad = exclude::Test::new(theta, delta).and_then(|test| test.or_below(0.01, 0.25)).unwrap();
        let (mut worse_state, mut bad_state) = (worse.start(), bad.start());
        let mut profile = profile::Profile::default();
        for (window, elapsed_s) in &windows {
            worse.fold(&mut worse_state, window, *elapsed_s);
            bad.fold(&mut bad_state, window, *elapsed_s);
            profile.fold(window);
            prop_assert!(!worse.ln_evidence(&worse_state).is_nan());
            prop_assert!(!bad.ln_evidence(&bad_state).is_nan());
            let range = profile.interval(0.05);
            prop_assert!(range.low <= range.estimate && range.estimate <= range.high, "{:?}", range);
        }
        prop_assert_eq!(reject::State::from_bits(&worse_state.to_bits()), Some(worse_state));
        prop_assert_eq!(exclude::State::from_bits(&bad_state.to_bits()), Some(bad_state));
    }

    /// One-sided floods, and evidence of 10^12 requests that all fail: large, and finite.
    #[test]
    fn strata_and_single_windows_agree_on_one_stratum(windows in proptest::collection::vec(window(), 1..20)) {
        let test = reject::Test::new(1.0, 0.0, 600.0).unwrap();
        let (mut alone, mut split) = (test.start(), test.start());
        for window in &windows {
            test.fold(&mut alone, window, 1.0);
            test.fold_strata(&mut split, &[*window, Window::default()], 1.0);
        }
        prop_assert_eq!(test.ln_evidence(&alone).to_bits(), test.ln_evidence(&split).to_bits());
    }

    #[test]
    fn latency_is_a_number_whatever_comes(
        windows in proptest::collection::vec((buckets(), buckets(), hostile()), 0..12), tolerance in 0.0..2.0f64,
    ) {
        let test = latency::Test::new(tolerance, 600.0).unwrap();
        let (mut state, mut past) = (test.start(), latency::Past::default());
        for (canary, baseline, elapsed_s) in &windows {
            if let Some(expected) = past.expected() {
                let (canary, baseline) = (histogram::Ranked::new(canary), histogram::Ranked::new(baseline));
                test.fold(&mut state, &expected, &test.count(&expected, &canary, &baseline), 1.0, *elapsed_s);
            }
            past.remember(baseline, *elapsed_s);
            prop_assert!(!test.ln_evidence(&state).is_nan());
        }
    }

    /// Under the null, whatever the parts of the stretches are and whatever they were guessed to be: the mean of the
    /// e-variable over one canary's and one baseline's request, by enumeration. The canary's values are the baseline's or
    /// smaller.
    #[test]
    fn ordered_stretches_have_a_mean_of_at_most_one(
        parts in proptest::array::uniform4(0.001..1.0f64), lower in proptest::array::uniform3(0.0..1.0f64),
        guessed in proptest::array::uniform4(0.001..1.0f64), odds in 1.01..20.0f64, from in 0..3usize,
        totals in (1..4u32, 1..4u32),
    ) {
        let sum: f64 = parts.iter().sum();
        let baseline = parts.map(|part| part / sum);
        let mut canary = baseline;
        for (stretch, moved) in lower.into_iter().enumerate() {
            let down = canary[stretch + 1] * moved;
            canary[stretch + 1] -= down;
            canary[stretch] += down;
        }
        let guess: f64 = guessed.iter().sum();
        let beyond = [3, 2, 1].map(|last| guessed[4 - last..].iter().sum::<f64>() / guess);
        let alternative = ordered::Alternative { from, odds };
        let mut mean = 0.0;
        for (canary_counts, canary_chance) in outcomes(canary, totals.0) {
            for (baseline_counts, baseline_chance) in outcomes(baseline, totals.1) {
                let window = ordered::Stretches { canary: canary_counts, baseline: baseline_counts };
                mean += canary_chance * baseline_chance * alternative.ln_evidence(&window, &beyond).exp();
            }
        }
        prop_assert!(mean <= 1.0 + 1e-9, "{}", mean);
    }

    #[test]
    fn intervals_hold_their_estimate(total in count(), bad in count(), confidence in hostile()) {
        let arm = Arm { total, bad };
        let estimate = arm.rate();
        let all = [
            interval::wilson(arm, confidence),
            interval::clopper_pearson(arm, confidence),
            sequence::rate(arm, 0.05, 1_000.0),
        ];
        for [low, high] in all {
            prop_assert!((0.0..=estimate + 1e-12).contains(&low), "{} {}", low, estimate);
            prop_assert!((estimate - 1e-12..=1.0).contains(&high), "{} {}", high, estimate);
        }
    }

    /// Running sums answer what counting afresh answers.
    #[test]
    fn ranked_histograms_agree(buckets in buckets(), q in 0.0..1.0f64, index in -300..2_100i32) {
        let ranked = histogram::Ranked::new(&buckets);
        prop_assert_eq!(ranked.total(), histogram::total(&buckets));
        prop_assert_eq!(ranked.above(index), histogram::above(&buckets, index));
        prop_assert_eq!(ranked.quantile_bucket(q), histogram::quantile_bucket(&buckets, q));
    }

    #[test]
    fn histograms_hold_their_quantiles(buckets in buckets(), q in 0.0..1.0f64) {
        if let Some(value) = histogram::quantile(&buckets, q, 6) {
            let index = histogram::quantile_bucket(&buckets, q).unwrap();
            prop_assert!(value >= histogram::lower_edge(index, 6) * (1.0 - 1e-12));
            prop_assert!(value <= histogram::upper_edge(index, 6) * (1.0 + 1e-12));
        }
        let [low, high] = sequence::quantile(&buckets, q, 0.05, 1_000.0, 6);
        prop_assert!(low.unwrap_or(0.0) <= high.unwrap_or(f64::INFINITY));
    }

    #[test]
    fn the_other_states_stay_numbers(
        counts in proptest::collection::vec(count(), 0..10), share in hostile(), phi in hostile(), own in count(),
    ) {
        let mut rank = softrank::State::default();
        rank.fold(own, &counts);
        prop_assert!(!rank.ln_evidence().is_nan());
        let mut mismatch = split::State::default();
        mismatch.fold(own, counts.iter().sum(), share, phi);
        prop_assert!(!mismatch.ln_evidence().is_nan());
        let test = burn::Test::new(0.01).unwrap();
        let mut state = test.start();
        for total in &counts {
            test.fold(&mut state, Arm { total: *total, bad: own });
        }
        prop_assert!(!test.ln_evidence(&state).is_nan());
        let pods: Vec<Arm> = counts.iter().map(|total| Arm { total: *total, bad: own }).collect();
        prop_assert!(dispersion::pearson(std::slice::from_ref(&pods)) >= 1.0);
        prop_assert!(dispersion::spread(&pods) >= 0.0);
    }
}
