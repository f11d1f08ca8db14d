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
use taxiway_model::metrics::{OTHERS, Outputs, Shape, Side, TYPES_MAX};

use super::answer::{Answer, PART, Vector, part};
use super::ask::Question;
use super::exchange::{Failure, now_s};

/// A line is looked at up to here; more of it is passed over.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// What a pattern may take in memory when it is compiled.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

/// Files of one side: a service's instances, and no folder of archives.
const FILES_MAX: usize = 1_000;

/// How far back a file is read for types of errors that were there before counting began.
const PAST_BYTES: u64 = 4 * 1024 * 1024;

/// What is taken of the lines that count.
#[derive(Debug)]
struct Taken {
    patterns: Vec<Regex>,
    of_first: First,
}

/// What is taken of a line that the first pattern finds.
#[derive(Debug)]
enum First {
    /// That there is one.
    Count,
    /// The number in the group `value`.
    Value,
    /// The name in this group.
    Type(String),
}

impl Taken {
    fn of(shape: &Shape, texts: &[String]) -> Result<Self, String> {
        let patterns = texts.iter().map(|text| pattern(text)).collect::<Result<Vec<_>, _>>()?;
        let of_first = match shape {
            Shape::Values { .. } => First::Value,
            Shape::Types { by, .. } => First::Type(by.clone()),
            _ => First::Count,
        };
        let group = match &of_first {
            First::Count => None,
            First::Value => Some("value"),
            First::Type(by) => Some(by.as_str()),
        };
        if let Some(group) = group
            && !patterns[0].capture_names().flatten().any(|name| name == group)
        {
            return Err(format!("`{}` has no group `{group}`", super::exchange::cut(&texts[0])));
        }
        Ok(Self { patterns, of_first })
    }
}

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
    /// Of values: their sum and the sum of their squares.
    sums: [f64; 2],
    /// Of types: how many of each.
    types: BTreeMap<String, u64>,
    /// What was taken for a number and is none, since the last question.
    odd: Option<String>,
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
            let taken = Taken::of(&question.query.shape, &patterns)?;
            let files = match path {
                Some(path) => BTreeSet::from([question.source.filled(path, *side, version)]),
                None if *side == Side::Canary => outputs.canary.clone(),
                None => outputs.baseline.clone(),
            };
            for name in files.into_iter().take(FILES_MAX) {
                let key = (*side, name.clone());
                if !self.files.contains_key(&key) {
                    let from_end = !self.begun.contains(side);
                    let Some(tail) = Tail::open(&name, from_end, &taken)? else { continue };
                    self.files.insert(key.clone(), tail);
                }
                let Some(tail) = self.files.get_mut(&key) else { continue };
                tail.follow(&name, &taken, deadline)?;
                if let Some(odd) = tail.odd.take() {
                    let text = super::exchange::cut(&odd);
                    return Err(format!(
                        "the group `value` has found `{text}` in {name}, which is not a number"
                    ));
                }
            }
            self.begun.insert(*side);
            // An instance that is gone keeps what it has counted.
            for ((_, name), tail) in self.files.iter().filter(|((of, _), _)| of == side) {
                let labels =
                    |number| [(PART.to_owned(), part(*side, number)), ("file".to_owned(), name.clone())];
                for (number, value) in tail.numbers(&taken.of_first) {
                    vector.series.push((BTreeMap::from(labels(number)), value));
                }
                if let First::Type(by) = &taken.of_first {
                    for (kind, count) in &tail.types {
                        let mut labels = BTreeMap::from(labels(0));
                        labels.insert(by.clone(), kind.clone());
                        vector.series.push((labels, *count as f64));
                    }
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
    fn open(name: &str, from_end: bool, taken: &Taken) -> Result<Option<Self>, String> {
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
        let found = vec![0; taken.patterns.len()];
        let (types, odd) = (BTreeMap::new(), None);
        let mut tail = Self { file, inode, at, rest: Vec::new(), found, sums: [0.0; 2], types, odd };
        if from_end && let First::Type(_) = taken.of_first {
            tail.past(taken).map_err(unreadable)?;
        }
        Ok(Some(tail))
    }

    /// The types that were there before: what they count is taken off again, and they are not new.
    fn past(&mut self, taken: &Taken) -> std::io::Result<()> {
        let end = self.at;
        self.file.seek(SeekFrom::Start(end.saturating_sub(PAST_BYTES)))?;
        let mut past = Vec::new();
        (&self.file).take(end.min(PAST_BYTES)).read_to_end(&mut past)?;
        for line in past.split(|byte| *byte == b'\n') {
            self.line(&line[..line.len().min(LINE_BYTES_MAX)], taken);
        }
        self.found.fill(0);
        Ok(())
    }

    /// What was found, part by part.
    fn numbers(&self, of_first: &First) -> Vec<(usize, f64)> {
        let count = |number: usize| self.found.get(number).map_or(0.0, |found| *found as f64);
        match of_first {
            First::Count => (0..self.found.len()).map(|number| (number, count(number))).collect(),
            First::Value => vec![(0, count(0)), (1, self.sums[0]), (2, self.sums[1])],
            First::Type(_) => vec![(1, count(1))],
        }
    }

    /// Reads on, and goes over to the file that now has the name.
    fn follow(&mut self, name: &str, patterns: &Taken, deadline: Instant) -> Result<(), String> {
        self.rest_of_it(patterns, deadline).map_err(|error| format!("{name} cannot be read: {error}"))?;
        let renamed = std::fs::metadata(name).is_ok_and(|about| (about.dev(), about.ino()) != self.inode);
        if renamed && let Some(next) = Self::open(name, false, patterns)? {
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

    fn rest_of_it(&mut self, patterns: &Taken, deadline: Instant) -> std::io::Result<()> {
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

    fn lines(&mut self, bytes: &[u8], patterns: &Taken) {
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

    fn line(&mut self, line: &[u8], taken: &Taken) {
        for (number, pattern) in taken.patterns.iter().enumerate() {
            let found = match (&taken.of_first, number) {
                (First::Value, 0) => self.value(line, pattern),
                (First::Type(by), 0) => self.kind(line, pattern, by),
                _ => pattern.is_match(line),
            };
            self.found[number] += u64::from(found);
        }
    }

    /// Adds the number of a line; false where it has none.
    fn value(&mut self, line: &[u8], pattern: &Regex) -> bool {
        let Some(group) = pattern.captures(line).and_then(|found| found.name("value")) else { return false };
        let text = String::from_utf8_lossy(group.as_bytes());
        match text.trim().parse::<f64>() {
            Ok(value) if value.is_finite() => {
                self.sums[0] += value;
                self.sums[1] += value * value;
                true
            }
            _ => {
                self.odd = Some(text.into_owned());
                false
            }
        }
    }

    /// Counts a line under its type, within what there is room for.
    fn kind(&mut self, line: &[u8], pattern: &Regex, by: &str) -> bool {
        let Some(found) = pattern.captures(line) else { return false };
        let name = found.name(by).map_or_else(String::new, |group| {
            // So much of it is kept anyway; the rest would only take room.
            String::from_utf8_lossy(&group.as_bytes()[..group.len().min(400)]).into_owned()
        });
        let full = self.types.len() >= 10 * TYPES_MAX && !self.types.contains_key(&name);
        *self.types.entry(if full { OTHERS.to_owned() } else { name }).or_default() += 1;
        true
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
            let patterns = ["ERROR", "."].map(|text| pattern(text).unwrap()).to_vec();
            let patterns = Taken { patterns, of_first: First::Count };
            let tail = self.tail.get_or_insert_with(|| Tail::open(&path, true, &patterns).unwrap().unwrap());
            tail.follow(&path, &patterns, Instant::now() + Duration::from_secs(5)).unwrap();
            tail.found.clone()
        }
    }

    #[test]
    fn values_and_types_are_taken_from_their_groups() {
        let room = Room { folder: tempfile::tempdir().unwrap(), tail: None };
        room.append("ERROR Old 5\n");
        let shape = Shape::Values { values: r"took (?<value>\S+) ms".into() };
        let taken = Taken::of(&shape, &shape.selectors("")).unwrap();
        let mut tail = Tail::open(&room.path(), true, &taken).unwrap().unwrap();
        let shape =
            Shape::Types { bad: "ERROR (?<kind>[a-zA-Z]+)".into(), total: ".".into(), by: "kind".into() };
        let typed = Taken::of(&shape, &shape.selectors("")).unwrap();
        let mut types = Tail::open(&room.path(), true, &typed).unwrap().unwrap();
        assert_eq!(types.types, BTreeMap::from([("Old".to_owned(), 1)]), "it was there before");
        room.append("took 3 ms\ntook -0.5 ms\nERROR New\ntook soon ms\n");
        let soon = Instant::now() + Duration::from_secs(5);
        tail.follow(&room.path(), &taken, soon).unwrap();
        assert_eq!(tail.numbers(&taken.of_first), [(0, 2.0), (1, 2.5), (2, 9.25)]);
        assert_eq!(tail.odd.as_deref(), Some("soon"));
        types.follow(&room.path(), &typed, soon).unwrap();
        assert_eq!(types.types["New"], 1);
        assert_eq!(types.numbers(&typed.of_first), [(1, 4.0)]);
        let none = Shape::Values { values: "took [0-9]+".into() };
        assert!(Taken::of(&none, &none.selectors("")).unwrap_err().contains("no group `value`"));
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
