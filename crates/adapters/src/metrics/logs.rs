//! Lines of files, counted as they come: of the outputs of a side's instances, or of files by path.
//!
//! Counting begins at the end of what is there when it begins; a file that comes later counts from
//! its first line. A file that is renamed is read to its end before the new one is begun, and one
//! that was cut is read from its beginning.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use regex::bytes::{Regex, RegexBuilder};
use taxiway_model::metrics::{Outputs, Side};

use super::answer::{Answer, PART, Vector, part};
use super::ask::Question;
use super::exchange::{Failure, now_s};

/// A line is looked at up to here; more of it is passed over.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// What a pattern may take in memory when it is compiled.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

/// Files of one side: a service's instances, and no folder of archives.
const FILES_MAX: usize = 1_000;

/// The files of one metric, kept between its questions.
#[derive(Debug, Default)]
pub(super) struct Tails {
    files: BTreeMap<(Side, String), Tail>,
    begun: BTreeSet<Side>,
}

#[derive(Debug)]
struct Tail {
    file: File,
    inode: (u64, u64),
    at: u64,
    /// The beginning of a line whose end is not written yet.
    rest: Vec<u8>,
    /// How many lines each pattern has found.
    found: Vec<u64>,
}

/// Reads what is new and counts.
pub(super) async fn ask(
    path: Option<&str>,
    outputs: Outputs,
    tails: &Arc<Mutex<Tails>>,
    question: &Question,
) -> Result<Answer, Failure> {
    let (path, question, tails) = (path.map(str::to_owned), question.clone(), Arc::clone(tails));
    let reading = tokio::task::spawn_blocking(move || {
        let mut tails = tails.lock().unwrap_or_else(PoisonError::into_inner);
        tails.read(path.as_deref(), &outputs, &question)
    });
    let read = reading.await.map_err(|_| Failure::new("the files could not be read"))?;
    read.map_err(Failure::new)
}

impl Tails {
    fn read(&mut self, path: Option<&str>, outputs: &Outputs, question: &Question) -> Result<Answer, String> {
        let deadline = Instant::now() + question.limit;
        let mut vector = Vector { at_s: Some(now_s()), series: Vec::new() };
        for ((side, version), (_, patterns)) in question.sides.iter().zip(question.texts()) {
            let patterns = patterns.iter().map(|text| pattern(text)).collect::<Result<Vec<_>, _>>()?;
            let files = match path {
                Some(path) => BTreeSet::from([question.source.filled(path, *side, version)]),
                None if *side == Side::Canary => outputs.canary.clone(),
                None => outputs.baseline.clone(),
            };
            for name in files.into_iter().take(FILES_MAX) {
                let key = (*side, name.clone());
                if !self.files.contains_key(&key) {
                    let from_end = !self.begun.contains(side);
                    let Some(tail) = Tail::open(&name, from_end, patterns.len())? else { continue };
                    self.files.insert(key.clone(), tail);
                }
                let Some(tail) = self.files.get_mut(&key) else { continue };
                tail.follow(&name, &patterns, deadline)?;
            }
            self.begun.insert(*side);
            // An instance that is gone keeps what it has counted.
            for ((_, name), tail) in self.files.iter().filter(|((of, _), _)| of == side) {
                for (number, found) in tail.found.iter().enumerate() {
                    let labels = [(PART.to_owned(), part(*side, number)), ("file".to_owned(), name.clone())];
                    vector.series.push((BTreeMap::from(labels), *found as f64));
                }
            }
        }
        Ok(Answer::Now(vector))
    }
}

fn pattern(text: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build();
    built.map_err(|error| format!("`{text}` is not a pattern: {}", super::exchange::cut(&error.to_string())))
}

impl Tail {
    /// None where the file is not there yet.
    fn open(name: &str, from_end: bool, patterns: usize) -> Result<Option<Self>, String> {
        let unreadable = |error: std::io::Error| format!("{name} cannot be read: {error}");
        let file = match File::open(name) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        let about = file.metadata().map_err(unreadable)?;
        if !about.is_file() {
            return Err(format!("{name} is not a file"));
        }
        let at = if from_end { about.len() } else { 0 };
        let inode = (about.dev(), about.ino());
        Ok(Some(Self { file, inode, at, rest: Vec::new(), found: vec![0; patterns] }))
    }

    /// Reads on, and goes over to the file that now has the name.
    fn follow(&mut self, name: &str, patterns: &[Regex], deadline: Instant) -> Result<(), String> {
        self.rest_of_it(patterns, deadline).map_err(|error| format!("{name} cannot be read: {error}"))?;
        let renamed = std::fs::metadata(name).is_ok_and(|about| (about.dev(), about.ino()) != self.inode);
        if renamed && let Some(next) = Self::open(name, false, 0)? {
            // What has no end by now never gets one.
            if !self.rest.is_empty() {
                let line = std::mem::take(&mut self.rest);
                self.line(&line, patterns);
            }
            (self.file, self.inode, self.at) = (next.file, next.inode, 0);
            self.rest_of_it(patterns, deadline).map_err(|error| format!("{name} cannot be read: {error}"))?;
        }
        Ok(())
    }

    fn rest_of_it(&mut self, patterns: &[Regex], deadline: Instant) -> std::io::Result<()> {
        let length = self.file.metadata()?.len();
        if length < self.at {
            self.at = 0;
            self.rest.clear();
        }
        self.file.seek(SeekFrom::Start(self.at))?;
        let mut part = vec![0; 256 * 1024];
        // What is not read in time is read the next time.
        while Instant::now() + Duration::from_millis(1) < deadline {
            let read = self.file.read(&mut part)?;
            if read == 0 {
                break;
            }
            self.at += read as u64;
            self.lines(&part[..read], patterns);
        }
        Ok(())
    }

    fn lines(&mut self, bytes: &[u8], patterns: &[Regex]) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            if self.rest.is_empty() {
                self.line(&rest[..end.min(LINE_BYTES_MAX)], patterns);
            } else {
                self.keep(&rest[..end]);
                let line = std::mem::take(&mut self.rest);
                self.line(&line, patterns);
            }
            rest = &rest[end + 1..];
        }
        self.keep(rest);
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES_MAX.saturating_sub(self.rest.len());
        self.rest.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn line(&mut self, line: &[u8], patterns: &[Regex]) {
        for (found, pattern) in self.found.iter_mut().zip(patterns) {
            *found += u64::from(pattern.is_match(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    struct Room {
        folder: tempfile::TempDir,
        tail: Option<Tail>,
    }

    impl Room {
        fn path(&self) -> String {
            self.folder.path().join("a.log").display().to_string()
        }

        fn append(&self, text: &str) {
            let mut file = std::fs::OpenOptions::new().append(true).create(true).open(self.path()).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        fn found(&mut self) -> Vec<u64> {
            let path = self.path();
            let patterns = ["ERROR", "."].map(|text| pattern(text).unwrap());
            let tail = self.tail.get_or_insert_with(|| Tail::open(&path, true, 2).unwrap().unwrap());
            tail.follow(&path, &patterns, Instant::now() + Duration::from_secs(5)).unwrap();
            tail.found.clone()
        }
    }

    #[test]
    fn lines_are_counted_once_across_rotation_and_truncation() {
        let mut room = Room { folder: tempfile::tempdir().unwrap(), tail: None };
        room.append("ERROR before we looked\n");
        assert_eq!(room.found(), [0, 0]);
        room.append("ok\nERROR one\nERR");
        assert_eq!(room.found(), [1, 2], "a line counts when it has its end");
        room.append("OR two\n");
        assert_eq!(room.found(), [2, 3]);
        // Renamed, and written to for a while longer.
        std::fs::rename(room.path(), room.folder.path().join("a.log.1")).unwrap();
        let mut old =
            std::fs::OpenOptions::new().append(true).open(room.folder.path().join("a.log.1")).unwrap();
        old.write_all(b"ERROR three\n").unwrap();
        assert_eq!(room.found(), [3, 4]);
        room.append("ok\n");
        assert_eq!(room.found(), [3, 5]);
        // Cut by copytruncate.
        std::fs::write(room.path(), "").unwrap();
        assert_eq!(room.found(), [3, 5]);
        room.append("ERROR four\n");
        assert_eq!(room.found(), [4, 6]);
        room.append(&format!("{}ERROR far behind\n", "x".repeat(LINE_BYTES_MAX)));
        assert_eq!(room.found(), [4, 7]);
    }
}
