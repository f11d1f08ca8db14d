//! The charts, drawn by hand as SVG. Colours are classes of the page's style sheet, so that one
//! drawing serves light, dark and paper; every chart has a title that says the finding, a
//! description for those who do not see it, and its figures in a table beneath.

mod evidence;
mod exposure;
mod frame;
mod sides;
mod slower;

use crate::figures::span;
use crate::report::Report;
use crate::words;
use taxiway_model::verdict::Verdict;

pub(crate) use evidence::evidence;
pub(crate) use exposure::exposure;
pub(crate) use sides::sides;
pub(crate) use slower::slower;

/// A chart with the table of its figures.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chart {
    /// The finding, in words.
    pub title: String,
    /// What is drawn, and in which unit.
    pub subtitle: String,
    /// The drawing.
    pub svg: String,
    /// Names of the table's columns.
    pub columns: Vec<String>,
    /// Its rows.
    pub rows: Vec<Vec<String>>,
    /// Class and words of each kind of mark.
    pub legend: Vec<(&'static str, String)>,
}

/// Which line is which side.
fn sides_legend(report: &Report) -> Vec<(&'static str, String)> {
    let named =
        |side: &str, name: &str| if name == side { name.to_owned() } else { format!("{side} {name}") };
    let mut legend = vec![("canary", named("canary", &report.subject.canary))];
    if let Some(name) = &report.subject.baseline {
        legend.push(("baseline", named("baseline", name)));
    }
    legend
}

/// Marks the moment of the verdict, where it is one to act on. What was recorded after a ROLLBACK
/// pales.
fn verdict(drawing: &mut frame::Drawing, report: &Report, x: &frame::Scale) {
    let Some(at_ms) = report.at_ms else { return };
    let place = x.at(at_ms as f64);
    let word = words::verdict(report.verdict);
    match report.verdict {
        Verdict::Rollback => {
            drawing.veil(place);
            drawing.upright("verdict", place, &format!("{word} after {}", span(at_ms)));
        }
        Verdict::Hold => drawing.upright("held", place, &format!("{word} from {} on", span(at_ms))),
        Verdict::Proceed | Verdict::InsufficientData => {}
    }
}
