//! Output of instances: a file each, never a pipe of ours, so that an instance can write when we are gone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Size at which an output file is set aside as `<name>.1` and begun anew.
const BYTES_MAX: u64 = 64 << 20;

/// How far back the last line is looked for, and how much of it is shown.
const TAIL_BYTES: u64 = 4096;
const LINE_CHARS_MAX: usize = 200;

/// The file of one instance of one release.
pub(super) fn path(directory: &Path, release: &str, version: &str, number: u32) -> PathBuf {
    directory.join(format!("{release}.{version}.{number}.log"))
}

/// Opens the file for appending and writes who begins there. Where that fails (a full disk), the output is thrown away
/// rather than the start refused.
pub(super) fn open(path: &Path, header: &str) -> File {
    let open = || -> io::Result<File> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        OpenOptions::new().create(true).append(true).open(path)
    };
    match open() {
        Ok(mut file) => {
            if let Err(error) = writeln!(file, "{header}") {
                tracing::warn!(path = %path.display(), %error, "the output file cannot be written");
            }
            file
        }
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the output of this instance is thrown away");
            File::options().append(true).open("/dev/null").expect("every Unix has /dev/null")
        }
    }
}

/// Adds a line of ours to the output of an instance.
pub(super) fn note(path: &Path, text: &str) {
    let written =
        OpenOptions::new().append(true).open(path).and_then(|mut file| writeln!(file, "taxiway: {text}"));
    if let Err(error) = written {
        tracing::warn!(path = %path.display(), %error, text, "could not be noted in the output");
    }
}

/// Keeps the file below its bound: its content moves to `<name>.1`, replacing the one before. The instance appends, so
/// it goes on at the new end; what it writes between copy and cut is lost. Returns whether it was cut.
pub(super) fn rotate(path: &Path) -> bool {
    let full = fs::metadata(path).is_ok_and(|file| file.len() > BYTES_MAX);
    if full {
        let aside = path.with_extension("log.1");
        let cut = fs::copy(path, &aside).and_then(|_| OpenOptions::new().write(true).open(path)?.set_len(0));
        if let Err(error) = cut {
            tracing::warn!(path = %path.display(), %error, "the output file could not be set aside");
        }
    }
    full
}

/// The last line the instance wrote after `from` (the length of the file at its start), shortened; empty when none.
pub(super) fn last_line(path: &Path, from: u64) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES).max(from.min(length))))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(LINE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_of_this_start_only() {
        let path = std::env::temp_dir().join(format!("taxiway-output-{}.log", std::process::id()));
        drop(open(&path, "first start"));
        let from = fs::metadata(&path).unwrap().len();
        assert_eq!(last_line(&path, from), "");
        fs::write(&path, "first start\none\n  address\tin use \n\n").unwrap();
        assert_eq!(last_line(&path, from), "addressin use");
        fs::remove_file(&path).unwrap();
    }
}
