//! Does the canary get the same kind of requests as the baseline?

use std::collections::BTreeMap;

/// Requests of either side below which a mix is not compared.
const REQUESTS_MIN: u64 = 500;

/// Share of the requests that must lie in other endpoint classes to be worth a word, in percent.
const APART_PERCENT: u64 = 10;

/// Standard errors beyond which the largest difference is not chance, at whichever look: one in
/// ten thousand over an hour of looks, each second anew.
const SURE: f64 = 6.0;

/// How every warning of a mix begins.
const BEGINS: &str = "the canary's mix of endpoints";

/// Whether one of these warnings is of a mix.
pub fn is_told(warnings: &[String]) -> bool {
    warnings.iter().any(|warning| warning.starts_with(BEGINS))
}

/// Says how the mix of endpoints differs, once it does beyond chance and beyond what matters: the
/// share of requests that lie elsewhere (total variation).
///
/// `requests`: of canary and baseline by class.
pub fn differs<'a>(requests: impl Iterator<Item = (&'a str, [u64; 2])>) -> Option<String> {
    let classes: BTreeMap<&str, [u64; 2]> = requests.collect();
    let all = |side: usize| classes.values().map(|counts| counts[side]).sum::<u64>();
    let (of_canary, of_baseline) = (all(0), all(1));
    if of_canary < REQUESTS_MIN || of_baseline < REQUESTS_MIN {
        return None;
    }
    let share = |count: u64, all: u64| count as f64 / all as f64;
    let shares: Vec<(&str, f64, f64)> = classes
        .iter()
        .map(|(name, [canary, baseline])| (*name, share(*canary, of_canary), share(*baseline, of_baseline)))
        .collect();
    let apart: f64 = shares.iter().map(|(_, a, b)| (a - b).abs()).sum::<f64>() / 2.0;
    // The endpoint of which the canary gets too little matters most.
    let (name, a, b) = shares.into_iter().max_by(|x, y| (x.2 - x.1).total_cmp(&(y.2 - y.1)))?;
    let pooled = (a * of_canary as f64 + b * of_baseline as f64) / (of_canary + of_baseline) as f64;
    let error = (pooled * (1.0 - pooled) * (1.0 / of_canary as f64 + 1.0 / of_baseline as f64)).sqrt();
    let sure = error > 0.0 && (a - b).abs() > SURE * error;
    (sure && apart * 100.0 >= APART_PERCENT as f64).then(|| {
        format!(
            "{BEGINS} is not the baseline's: {name} is {:.0}% of its requests and {:.0}% of the baseline's; endpoints are compared one by one, and what the canary hardly gets is hardly judged",
            a * 100.0,
            b * 100.0
        )
    })
}

#[cfg(test)]
mod tests {
    use super::differs;

    fn classes(api: [u64; 2], other: [u64; 2]) -> Option<String> {
        differs([("api", api), ("other", other)].into_iter())
    }

    #[test]
    fn only_a_mix_that_differs_surely_and_much_is_worth_a_word() {
        assert_eq!(classes([700, 70_000], [300, 30_000]), None);
        assert_eq!(classes([40, 70_000], [60, 30_000]), None, "too few to say");
        assert_eq!(classes([68_000, 700_000], [32_000, 300_000]), None, "too little to matter");
        let said = classes([400, 70_000], [600, 30_000]).unwrap();
        assert!(said.contains("api is 40% of its requests and 70% of the baseline's"), "{said}");
    }
}
