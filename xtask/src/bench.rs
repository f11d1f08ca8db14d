//! `cargo xtask bench`: measurements beside their peers, written down as measured.

use std::path::Path;

use crate::shell::Error;

pub(crate) fn run(_root: &Path, words: &[String]) -> Result<(), Error> {
    Err(Error::new(format!("no bench `{}`", words.join(" "))))
}

pub(crate) fn usage() -> String {
    String::new()
}
