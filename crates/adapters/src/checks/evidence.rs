//! What a check said, kept on disk: the reason that a person will ask for.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use taxiway_model::ids::Digest;
use taxiway_model::observation::CheckStatus;

/// How many attempts are kept; older ones are removed at the next start.
const KEPT_MAX: usize = 1_000;

/// The outcome of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The effect it was started for.
    pub effect: String,
    /// The attempt, from 1.
    pub attempt: u32,
    /// Whether it passed.
    pub passed: bool,
    /// Why, one line.
    pub said: String,
    /// What the command wrote or the server answered: the first 64 KiB, as text.
    pub output: String,
    /// How much more there was, in bytes.
    pub cut_bytes: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

impl Evidence {
    pub(super) fn status(&self) -> CheckStatus {
        CheckStatus::Ended { passed: self.passed, said: self.said.clone() }
    }
}

/// The directory of evidence.
#[derive(Debug)]
pub(super) struct Shelf(PathBuf);

impl Shelf {
    /// Opens the directory and removes the oldest evidence beyond the bound.
    pub(super) fn open(directory: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&directory)?;
        let mut files: Vec<(SystemTime, PathBuf)> = fs::read_dir(&directory)?
            .flatten()
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .filter(|(_, path)| path.extension().is_some_and(|end| end == "json"))
            .collect();
        files.sort();
        let surplus = files.len().saturating_sub(KEPT_MAX);
        for (_, path) in &files[..surplus] {
            fs::remove_file(path)?;
        }
        Ok(Self(directory))
    }

    /// The evidence of an attempt, when it has ended and is still kept.
    pub(super) fn read(&self, effect: &str, attempt: u32) -> Option<Evidence> {
        let evidence: Evidence = serde_json::from_slice(&fs::read(self.path(effect, attempt)).ok()?).ok()?;
        (evidence.effect == effect && evidence.attempt == attempt).then_some(evidence)
    }

    /// Keeps the evidence. On a full disk the outcome still counts; only its details are lost.
    pub(super) fn keep(&self, evidence: &Evidence) {
        let path = self.path(&evidence.effect, evidence.attempt);
        let aside = path.with_extension("new");
        let write = || -> io::Result<()> {
            fs::write(&aside, serde_json::to_vec_pretty(evidence)?)?;
            fs::rename(&aside, &path)
        };
        if let Err(error) = write() {
            tracing::warn!(path = %path.display(), %error, "the evidence of a check is not kept");
        }
    }

    /// A file name that people recognise and that no effect id can break.
    fn path(&self, effect: &str, attempt: u32) -> PathBuf {
        let readable = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
        let name: String = effect.chars().map(readable).take(80).collect();
        let digest = Digest::of(effect.as_bytes());
        self.0.join(format!("{name}.{}.{attempt}.json", digest.short()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(effect: &str, attempt: u32) -> Evidence {
        Evidence {
            effect: effect.to_owned(),
            attempt,
            passed: true,
            said: "fine".to_owned(),
            output: String::new(),
            cut_bytes: 0,
            took_ms: 1,
        }
    }

    #[test]
    fn effects_that_look_alike_as_file_names_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path().join("checks")).unwrap();
        for effect in ["a/b", "a.b", "../../a", &"x".repeat(300)] {
            assert_eq!(shelf.read(effect, 1), None);
            shelf.keep(&evidence(effect, 1));
            assert_eq!(shelf.read(effect, 1), Some(evidence(effect, 1)));
            assert_eq!(shelf.read(effect, 2), None);
        }
        assert_eq!(fs::read_dir(&shelf.0).unwrap().count(), 4);
    }

    #[test]
    fn the_shelf_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path().to_owned()).unwrap();
        for attempt in 1..=KEPT_MAX as u32 + 5 {
            shelf.keep(&evidence("e", attempt));
        }
        let shelf = Shelf::open(folder.path().to_owned()).unwrap();
        assert_eq!(fs::read_dir(&shelf.0).unwrap().count(), KEPT_MAX);
        assert!(shelf.read("e", KEPT_MAX as u32 + 5).is_some());
    }
}
