//! Figures from elsewhere, read for the judge: files of two sides, histogram logs, ranges of a
//! Prometheus, recordings.

pub(crate) mod analysis;
mod hdr;
pub(crate) mod hlog;
pub(crate) mod peers;
pub(crate) mod range;
pub(crate) mod recordings;
pub(crate) mod series;
pub(crate) mod table;
pub(crate) mod time;
pub(crate) mod windows;

use std::io::Read as _;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::error::{CliError, Code};
use series::{Reading, Series};
use table::{File, Table};

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// How a file packed with gzip begins.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// How files begin that people take for text.
const PACKED: &[(&[u8], &str)] = &[
    (b"PK\x03\x04", "an archive or a spreadsheet (zip)"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "packed with zstd"),
    (&[0xfd, b'7', b'z', b'X', b'Z'], "packed with xz"),
    (b"PAR1", "a Parquet file"),
    (&[0xff, 0xfe], "text in UTF-16"),
    (&[0xfe, 0xff], "text in UTF-16"),
];

/// A file's text; - is standard input. What is packed with gzip is unpacked.
pub(crate) fn text(path: &Path) -> Result<String, CliError> {
    let told = |error: std::io::Error| {
        CliError::new(Code::BadFile, format!("{}: {error}", path.display())).hint("name a file of figures")
    };
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(told)?;
    } else {
        let file = std::fs::File::open(path).map_err(told)?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(told)?;
    }
    if bytes.starts_with(GZIP) {
        let mut plain = Vec::new();
        let unpacked = MultiGzDecoder::new(bytes.as_slice()).take(FILE_BYTES_MAX + 1).read_to_end(&mut plain);
        unpacked.map_err(|error| {
            let why = format!("{}: its compression is broken: {error}", path.display());
            CliError::new(Code::BadSeries, why).hint("is the file whole? `gzip -t` tests it")
        })?;
        bytes = plain;
    }
    let wrong = |why: &str, hint: &str| {
        CliError::new(Code::BadSeries, format!("{}: {why}", path.display())).hint(hint)
    };
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let why = format!("it has more than {FILE_BYTES_MAX} bytes");
        return Err(wrong(&why, "add its rows up by the second first"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let bytes = error.as_bytes();
        let at = error.utf8_error().valid_up_to();
        match PACKED.iter().find(|(magic, _)| bytes.starts_with(magic)) {
            Some((_, what)) => wrong(&format!("it is {what}"), "unpack or convert it to CSV in UTF-8 first"),
            None => wrong(
                &format!("byte {} is not text in UTF-8", at + 1),
                "convert it to CSV or JSON in UTF-8 first",
            ),
        }
    })
}

/// One side's figures from a file: a histogram log by its name or its first line, else a table.
pub(crate) fn side(path: &Path, reading: Reading<'_>) -> Result<Series, CliError> {
    let text = text(path)?;
    let name = path.display().to_string();
    let file = File { name: &name, text: &text };
    let is_log = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("hlog"));
    if is_log || hlog::is_log(&text) {
        return hlog::read(file, reading);
    }
    if reading.tag.is_some() {
        let hint = "leave --tag away, or name a histogram log";
        return Err(file.wrong(1, 1, "only the intervals of a histogram log have tags", hint));
    }
    let table = Table::read(file)?;
    Series::read(file, &table, reading)
}
