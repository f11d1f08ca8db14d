//! A peer's configuration as Taxiway's: a `CanaryConfig`, and what belongs into `taxiway.yaml`.
//!
//! What cannot be carried over, and what means something else afterwards, is written above the place it concerns.

mod argo;
mod flagger;
mod kayenta;
mod write;

use std::collections::BTreeMap;

use taxiway_model::document::plain::{Misfit, Plain};

use crate::{argo as rollouts, flagger as loops, kayenta as judge};

/// What a configuration became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Which peer it was of.
    pub peer: &'static str,
    /// The `CanaryConfig`; none where only built-in metrics are left, which need none.
    pub config: Option<String>,
    /// What belongs into `taxiway.yaml`.
    pub fragment: String,
    /// Sentences about what was not carried over, for the terminal.
    pub left: Vec<String>,
}

/// A configuration before it is written.
#[derive(Debug, Default)]
struct Draft {
    peer: &'static str,
    name: String,
    /// Above everything: what means something else.
    notes: Vec<String>,
    /// Shares in percent with their time in milliseconds.
    steps: Vec<(u64, u64)>,
    metrics: Vec<DraftMetric>,
    built_in: Vec<BuiltIn>,
    checks: Vec<DraftCheck>,
    url: Option<String>,
    left: Vec<String>,
    /// Templates that were read, and those that are included somewhere.
    templates: Vec<String>,
    includes: Vec<String>,
}

/// A metric by query.
#[derive(Debug)]
struct DraftMetric {
    notes: Vec<String>,
    name: String,
    query: String,
    /// Key and value of its bounds.
    threshold: Vec<(&'static str, String)>,
    critical: bool,
    required: bool,
}

/// A check at fixed places of every release.
#[derive(Debug)]
struct DraftCheck {
    notes: Vec<String>,
    name: String,
    at: &'static str,
    on_failure: &'static str,
    url: String,
}

/// A metric that Taxiway measures itself.
#[derive(Debug)]
struct BuiltIn {
    notes: Vec<String>,
    name: &'static str,
    rollback_above: String,
}

/// Carries over what the documents of all files together say. `file` is the name under which the `CanaryConfig` will
/// lie beside `taxiway.yaml`. A misfit comes with the index of its document.
pub fn import(documents: &[Plain], file: &str) -> Result<Imported, (usize, Misfit)> {
    import_with(documents, file, &BTreeMap::new())
}

/// Whether a document is one that [`import`] knows.
pub fn is_known(document: &Plain) -> bool {
    kind(document).is_some()
}

/// As [`import`], with values for the arguments of Argo's templates and the variables of Kayenta's scope.
pub fn import_with(
    documents: &[Plain],
    file: &str,
    arguments: &BTreeMap<String, String>,
) -> Result<Imported, (usize, Misfit)> {
    let kinds: Vec<Option<Kind>> = documents.iter().map(kind).collect();
    if let Some(at) = kinds.iter().position(Option::is_none) {
        let message = "this is neither a canary configuration of Kayenta, nor an AnalysisTemplate of Argo Rollouts, nor a \
                       Canary or MetricTemplate of Flagger";
        return Err((at, documents[at].misfit(message)));
    }
    let of = |wanted: Kind| -> Vec<(usize, &Plain)> {
        documents.iter().enumerate().filter(|(at, _)| kinds[*at] == Some(wanted)).collect()
    };
    let (configs, templates) = (of(Kind::Config), of(Kind::Template));
    let (canaries, metric_templates) = (of(Kind::Canary), of(Kind::MetricTemplate));
    let (first, draft) = match (configs.as_slice(), templates.as_slice(), canaries.as_slice()) {
        ([(at, config)], [], []) if metric_templates.is_empty() => (*at, kayenta::draft(config, arguments)),
        ([], [(at, _), ..], []) if metric_templates.is_empty() => {
            let mut draft = argo::begin();
            for (at, template) in &templates {
                argo::add(&mut draft, template, arguments).map_err(|misfit| (*at, misfit))?;
            }
            for included in draft.includes.iter().filter(|name| !draft.templates.contains(name)) {
                draft
                    .left
                    .push(format!("The template `{included}` that is included was not read; import it too."));
            }
            (*at, Ok(draft))
        }
        ([], [], [(at, canary)]) => (*at, flagger::draft(canary, &metric_templates)?),
        ([], [], []) => {
            let message = "a MetricTemplate says nothing of bounds: give the Canary that uses it too";
            return Err((0, documents[0].misfit(message)));
        }
        _ => {
            let last = documents.len() - 1;
            let message = "these documents do not belong together: import one analysis at a time";
            return Err((last, documents[last].misfit(message)));
        }
    };
    let draft = draft.map_err(|misfit| (first, misfit))?;
    if draft.metrics.is_empty() && draft.built_in.is_empty() {
        let left = draft.left.join(" ");
        return Err((first, documents[first].misfit(format!("no metric can be carried over. {left}"))));
    }
    Ok(write::imported(&draft, file))
}

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Config,
    Template,
    Canary,
    MetricTemplate,
}

fn kind(document: &Plain) -> Option<Kind> {
    if judge::config::is_config(document) {
        Some(Kind::Config)
    } else if rollouts::template::is_template(document) {
        Some(Kind::Template)
    } else if loops::canary::is_canary(document) {
        Some(Kind::Canary)
    } else {
        loops::canary::is_template(document).then_some(Kind::MetricTemplate)
    }
}

/// A name as Taxiway has them, unlike the others: letters, digits, `-`, `_`, `.`.
fn name(given: &str, taken: &[DraftMetric]) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let mut plain: String = given.chars().map(fits).take(50).collect();
    if !plain.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        plain.insert(0, 'm');
    }
    let mut unlike = plain.clone();
    let mut next = 2;
    while taken.iter().any(|metric| metric.name == unlike) {
        unlike = format!("{plain}_{next}");
        next += 1;
    }
    unlike
}

/// A number without the rounding of binary fractions.
fn number(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
