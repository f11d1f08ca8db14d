//! Figures from elsewhere, read for the judge: files of two sides, histogram logs, ranges of a
//! Prometheus, recordings.

pub(crate) mod hlog;
pub(crate) mod peers;
pub(crate) mod range;
pub(crate) mod recordings;
pub(crate) mod series;
pub(crate) mod table;
pub(crate) mod time;
pub(crate) mod windows;

use std::path::Path;

use crate::error::{CliError, Code};
use series::{Reading, Series};
use table::{File, Table};

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// A file's text; - is standard input.
pub(crate) fn text(path: &Path) -> Result<String, CliError> {
    let told = |error: std::io::Error| {
        CliError::new(Code::BadFile, format!("{}: {error}", path.display())).hint("name a file of figures")
    };
    if path == Path::new("-") {
        return std::io::read_to_string(std::io::stdin()).map_err(told);
    }
    let bytes = std::fs::metadata(path).map_err(told)?.len();
    if bytes > FILE_BYTES_MAX {
        let why = format!("{} has {bytes} bytes, more than {FILE_BYTES_MAX}", path.display());
        return Err(CliError::new(Code::BadSeries, why).hint("add its rows up by the second first"));
    }
    std::fs::read_to_string(path).map_err(told)
}

/// One side's figures from a file: a histogram log by its name or its first line, else a table.
pub(crate) fn side(path: &Path, reading: Reading) -> Result<Series, CliError> {
    let text = text(path)?;
    let name = path.display().to_string();
    let file = File { name: &name, text: &text };
    let is_log = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("hlog"))
        || text.starts_with("#[Histogram log format");
    if is_log {
        return hlog::read(file, reading.unit);
    }
    let table = Table::read(file)?;
    Series::read(file, &table, reading)
}
