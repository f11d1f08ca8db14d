//! Many metrics, one verdict: e-values may be averaged under any dependence, and must never be multiplied over metrics that
//! saw the same requests.

use crate::math::{exp, ln, ln_sum};

/// Log of the weighted mean of e-values given as `(weight, ln e)`; weights are normalised, non-positive ones left out.
///
/// Roll back at `ln(1/alpha)`: never worse than Bonferroni, since one metric alone reaches it at `1/(alpha w)`. `-inf`
/// when no metric has weight.
pub fn average(evidences: &[(f64, f64)]) -> f64 {
    let sum: f64 = evidences.iter().map(|(weight, _)| weight.max(0.0)).sum();
    let parts: Vec<f64> = evidences
        .iter()
        .filter(|(weight, ln_e)| *weight > 0.0 && !ln_e.is_nan())
        .map(|(weight, ln_e)| ln(weight / sum) + ln_e)
        .collect();
    ln_sum(&parts)
}

/// Which metrics a rollback may be blamed on, with family-wise error `alpha` (e-Holm: the closure of plain averages): a
/// metric is named when every average that includes it reaches `1/alpha`. Same order as the input.
pub fn holm(ln_evidences: &[f64], alpha: f64) -> Vec<bool> {
    let threshold = ln(1.0 / alpha);
    adjusted(ln_evidences).into_iter().map(|ln_e| ln_e >= threshold).collect()
}

/// Log e-values adjusted for having looked at all of them: the smallest average of each with any set of the others.
pub fn adjusted(ln_evidences: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = ln_evidences.to_vec();
    sorted.sort_by(f64::total_cmp);
    ln_evidences
        .iter()
        .map(|own| {
            let mut smallest = *own;
            let mut skipped = false;
            let mut set = vec![*own];
            for other in &sorted {
                // The metric itself stands in the sorted list once.
                if !skipped && other.to_bits() == own.to_bits() {
                    skipped = true;
                    continue;
                }
                set.push(*other);
                smallest = smallest.min(ln_sum(&set) - ln(set.len() as f64));
            }
            smallest
        })
        .collect()
}

/// Which metrics to list in a report with false discovery rate `alpha` (e-BH): the `k` largest with
/// `e_(k) >= M / (k alpha)` for the largest such `k`. Same order as the input.
pub fn benjamini_hochberg(ln_evidences: &[f64], alpha: f64) -> Vec<bool> {
    let mut sorted: Vec<f64> = ln_evidences.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let count = ln_evidences.len() as f64;
    let cut = sorted
        .iter()
        .enumerate()
        .filter(|(index, ln_e)| **ln_e >= ln(count / ((*index as f64 + 1.0) * alpha)))
        .map(|(_, ln_e)| *ln_e)
        .next_back();
    ln_evidences.iter().map(|ln_e| cut.is_some_and(|cut| *ln_e >= cut)).collect()
}

/// An anytime-valid p-value for display: `min(1, 1/e)`.
pub fn p_value(ln_evidence: f64) -> f64 {
    exp(-ln_evidence.max(0.0))
}
