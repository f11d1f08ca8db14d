//! Analysis templates: pinned by digest, and a warning where they are not.

use std::path::Path;

use taxiway_model::document::{Named, template};
use taxiway_model::ids::Digest;
use taxiway_model::service::Stage;

use super::check;
use crate::error::{CliError, Code};
use crate::output;

/// Writes the digest of the template that a description uses into the description; what was done, one line.
pub(super) fn pin(file: &Path) -> Result<String, CliError> {
    let (bytes, folder) = check::contents(file)?;
    let nothing = |why: &str| {
        CliError::new(Code::BadArgument, format!("{}: {why}", file.display()))
            .hint("leave --pin away, or name a template as `analysis.template.file`")
    };
    let named = taxiway_model::document::named(&bytes, &folder);
    let Some(Named { path, template: Some(_), .. }) = named else {
        return Err(nothing("it uses no analysis template"));
    };
    if file == Path::new("-") {
        return Err(nothing("standard input cannot be written to"));
    }
    let failed =
        |file: &str, error: &std::io::Error| CliError::new(Code::BadFile, format!("{file}: {error}"));
    let digest = Digest::of(&std::fs::read(&path).map_err(|error| failed(&path, &error))?);
    let text = String::from_utf8_lossy(&bytes);
    match template::pin(&text, &folder, &digest) {
        None => Ok(format!("{} is pinned to {digest} already", file.display())),
        Some(changed) => {
            std::fs::write(file, changed).map_err(|error| failed(&file.display().to_string(), &error))?;
            Ok(format!("{} is pinned to {digest}", file.display()))
        }
    }
}

/// Says so where a template that is not pinned decides over anything but a developer's own environment.
pub(super) fn warn_unpinned(named: &Named, stage: Stage) {
    let Some(used) = &named.template else { return };
    if used.digest.is_some() || stage == Stage::Development {
        return;
    }
    let Ok(bytes) = std::fs::read(&named.path) else { return };
    output::say(&format!(
        "warning: {} is not pinned: whoever changes it changes how this service is judged; add `digest: {}`, or run \
         `taxiway check --pin`",
        named.path,
        Digest::of(&bytes)
    ));
}
