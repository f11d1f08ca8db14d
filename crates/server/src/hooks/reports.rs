//! Reports that did nothing: kept for `explain`, and in a file, so that they are there after a restart too.
//!
//! They are no events: whoever reaches a hook could fill the log with them. A few of each stream are
//! enough to see what is missing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use taxiway_api::Unproven;
use taxiway_model::ids::StreamId;

/// So many are kept of each stream, and of those that name none.
const KEPT_MAX: usize = 5;

/// More than all of them can be: another file lies in the place of ours.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

type Known = BTreeMap<Option<StreamId>, Vec<Unproven>>;

/// As the file has it: keys of JSON are texts.
#[derive(Serialize, Deserialize)]
struct Line {
    stream: Option<StreamId>,
    reports: Vec<Unproven>,
}

/// What was reported and did nothing.
#[derive(Default)]
pub(crate) struct Reports {
    file: Option<PathBuf>,
    known: Mutex<Known>,
}

impl Reports {
    /// Those of the process before, and from now on those of this one, in a file. One that cannot be
    /// read is begun anew: it is a help for people and decides nothing.
    pub(crate) fn at(file: PathBuf) -> Self {
        let known = match read(&file) {
            Ok(known) => known,
            Err(why) => {
                tracing::warn!(file = %file.display(), why, "the reports of before are not known");
                Known::new()
            }
        };
        Self { file: Some(file), known: Mutex::new(known) }
    }

    /// Keeps a report; the same one again takes the place of the former.
    pub(super) fn keep(&self, stream: Option<&StreamId>, report: Unproven) {
        let mut known = self.known();
        let mine = known.entry(stream.cloned()).or_default();
        mine.retain(|one| one.what != report.what || one.why != report.why);
        if mine.len() >= KEPT_MAX {
            mine.remove(0);
        }
        mine.push(report);
        if let Some(file) = &self.file
            && let Err(error) = write(file, &known)
        {
            tracing::warn!(file = %file.display(), %error, "a report that did nothing is not kept");
        }
    }

    /// Those about a stream, and those that do not say what they are about, in the order in which they came.
    pub(super) fn about(&self, stream: &StreamId) -> Vec<Unproven> {
        let known = self.known();
        let of = |key: &Option<StreamId>| known.get(key).into_iter().flatten().cloned();
        let mut all: Vec<Unproven> = of(&Some(stream.clone())).chain(of(&None)).collect();
        all.sort_by_key(|report| report.at);
        all
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(file: &Path) -> Result<Known, String> {
    match std::fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Known::new()),
        Ok(about) if about.len() > FILE_BYTES_MAX => return Err("the file is too large".to_owned()),
        _ => {}
    }
    let bytes = std::fs::read(file).map_err(|error| error.to_string())?;
    let lines: Vec<Line> = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    Ok(lines.into_iter().map(|line| (line.stream, line.reports)).collect())
}

/// Beside it first: a crash leaves the old or the new one.
fn write(file: &Path, known: &Known) -> std::io::Result<()> {
    let lines: Vec<Line> = known
        .iter()
        .map(|(stream, reports)| Line { stream: stream.clone(), reports: reports.clone() })
        .collect();
    let new = file.with_extension("new");
    std::fs::write(&new, serde_json::to_vec_pretty(&lines)?)?;
    std::fs::rename(new, file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use taxiway_model::time::Timestamp;

    fn report(at: i64, what: &str) -> Unproven {
        let (origin, why) = ("alertmanager".to_owned(), "no rule".to_owned());
        Unproven { at: Timestamp(at), origin, what: what.to_owned(), why }
    }

    fn whats(reports: &Reports, stream: &StreamId) -> Vec<String> {
        reports.about(stream).into_iter().map(|report| report.what).collect()
    }

    #[test]
    fn a_few_are_kept_and_are_there_after_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("reports.json");
        let [shop, cart]: [StreamId; 2] =
            ["shop/production", "cart/production"].map(|name| name.parse().expect("a stream"));
        let reports = Reports::at(file.clone());
        for at in 0..7 {
            reports.keep(Some(&shop), report(at, &format!("alert {at}")));
        }
        reports.keep(Some(&shop), report(8, "alert 4"));
        reports.keep(None, report(7, "of nobody"));
        let again = Reports::at(file.clone());
        let wanted = ["alert 2", "alert 3", "alert 5", "alert 6", "of nobody", "alert 4"];
        assert_eq!(whats(&again, &shop), wanted);
        assert_eq!(whats(&again, &cart), ["of nobody"]);
        std::fs::write(&file, "not ours").expect("a file");
        let anew = Reports::at(file);
        assert!(whats(&anew, &shop).is_empty());
        anew.keep(None, report(9, "the next"));
        assert_eq!(whats(&anew, &shop), ["the next"]);
    }
}
