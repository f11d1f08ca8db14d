//! The judges that are compared: ours and faithful simulations of the field's.
//!
//! The field's come from [`taxiway_peers`], the same that the product compares releases with; where a setting is free, the
//! one their documentation shows is taken, or one that is kinder to them (said at the judge). All see the same runs.

mod kayenta;
mod netflix;
mod rules;
mod taxiway;

pub use kayenta::Kayenta;
pub use netflix::Netflix;
pub use rules::{Played, argo, flagger, ratio};
pub(crate) use rules::{argo_policy, flagger_policy};
pub use taxiway::{CLASS, SoftRank, Strict, Textbook, put, strict};

use crate::traffic::{Cell, Run, Scenario};

/// Looks at a canary as it goes and says when it would have rolled back.
pub trait Judge: Sync {
    /// Its name in the output.
    fn name(&self) -> &'static str;

    /// The second (from the start, whole seconds passed) at which it rolls back; `None` if it lets the canary pass.
    fn alarm_s(&self, run: &Run) -> Option<usize>;
}

/// All judges that a cell's scenario is defined for.
pub fn all(cell: &Cell) -> Vec<Box<dyn Judge>> {
    let mut judges: Vec<Box<dyn Judge>> = vec![Box::new(Strict::new(cell))];
    if cell.scenario == Scenario::Bursts {
        judges.push(Box::new(SoftRank));
    }
    judges.push(Box::new(Textbook::plain()));
    judges.push(Box::new(Textbook::late()));
    // Its prior is the share, so a ramp is outside of its model.
    if !matches!(cell.scenario, Scenario::Ramp | Scenario::Drift) {
        judges.push(Box::new(Netflix { share: crate::traffic::SHARE }));
    }
    judges.push(Box::new(Kayenta::EVERY_MINUTE));
    judges.push(Box::new(Kayenta::ONCE));
    judges.push(Box::new(argo("argo-2p", 2.0 * cell.base)));
    judges.push(Box::new(argo("argo-doc", 0.05)));
    judges.push(Box::new(flagger()));
    judges.push(Box::new(ratio("rule", None)));
    judges.push(Box::new(ratio("rule-5m", Some(5))));
    judges
}
