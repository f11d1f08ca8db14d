//! The traffic bar: whose requests they are at this moment.

use super::Paper;
use super::figures::span;
use super::ink::{Ink, LABEL_COLUMNS, Line};
use taxiway_api::{Flight, StepState};
use taxiway_model::weight::WeightBp;

/// A share of `cells` in cells: nothing only for nothing, everything only for everything.
pub(super) fn filled(part: u64, whole: u64, cells: usize) -> usize {
    if part == 0 || whole == 0 {
        return 0;
    }
    if part >= whole {
        return cells;
    }
    let exact = (u128::from(part) * cells as u128 / u128::from(whole)) as usize;
    exact.clamp(1, cells.saturating_sub(1).max(1))
}

/// The bar with both shares in figures, and a line more where what is in force is not what was
/// asked for.
pub(super) fn traffic(flight: &Flight, paper: &Paper) -> Vec<Line> {
    let canary = flight.version.as_str();
    let baseline = flight.baseline.as_ref().map_or("nobody", |version| version.as_str());
    let label = Line::new().plain(" ").put(Ink::Faint, "traffic").to(LABEL_COLUMNS);
    let Some(weight) = flight.weight else {
        let text = format!("unknown: the router does not answer; last asked for {}", flight.weight_intended);
        return vec![label.put(Ink::Warn, &text)];
    };
    let fresh = flight.fresh;
    let rest = WeightBp::new(weight.rest().bp().saturating_sub(fresh.bp())).unwrap_or_default();
    let beside = if fresh.is_zero() { String::new() } else { format!("{fresh} fresh {baseline}, ") };
    let others = if rest.is_zero() && !fresh.is_zero() {
        format!(", {fresh} fresh {baseline}")
    } else {
        format!(", {beside}{rest} {baseline}")
    };
    let words = format!("{weight} {canary}{others}");
    let cells = paper.columns().saturating_sub(LABEL_COLUMNS + words.chars().count() + 3).clamp(10, 60);
    let new = filled(u64::from(weight.bp()), 10_000, cells);
    let young = filled(u64::from(fresh.bp()), 10_000, cells).min(cells - new);
    let bar = label
        .put(Ink::Active, &"█".repeat(new))
        .plain(&"▒".repeat(young))
        .put(Ink::Faint, &"░".repeat(cells - new - young))
        .plain("  ")
        .put(Ink::Active, &format!("{weight} {canary}"))
        .plain(&others);
    let mut lines = vec![bar];
    let mut notes = Vec::new();
    if weight != flight.weight_intended {
        notes.push(format!("{} asked for, {weight} in force", flight.weight_intended));
    }
    let current = flight.steps.iter().find(|step| step.state == StepState::Current);
    if let Some(step) = current.filter(|_| flight.returning.is_none()) {
        if step.header {
            notes.push(format!("requests of internal users go to {canary} as well"));
        }
        if step.mirror.bp() > 0 {
            notes.push(format!("{} copied to {canary}, answers thrown away", step.mirror));
        }
    }
    if weight.bp() > 0 && weight.bp() < 10_000 && flight.lease_left_ms < 20_000 {
        notes.push(format!("the share ends in {} unless it is renewed", span(flight.lease_left_ms)));
    }
    if !notes.is_empty() {
        lines.push(Line::new().to(LABEL_COLUMNS).put(Ink::Warn, &notes.join("; ")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::filled;

    #[test]
    fn a_bar_is_empty_only_at_nothing_and_full_only_at_everything() {
        for cells in [3, 10, 47] {
            assert_eq!((filled(0, 10_000, cells), filled(10_000, 10_000, cells)), (0, cells));
            assert_eq!((filled(1, 10_000, cells), filled(9_999, 10_000, cells)), (1, cells - 1));
        }
    }
}
