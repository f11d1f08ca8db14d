//! From a version's name to what it is: the digest over its artifact and its configuration.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use taxiway_model::ids::{Digest, VersionName};
use taxiway_model::service::{ArtifactRef, ProcessTarget, Provenance, ServiceSpec, Version};

use crate::error::{CliError, Code};

/// Resolves a version. The digest of the artifact is taken now and frozen: what runs later must
/// still have it.
pub(super) fn resolve(
    service: &ServiceSpec,
    name: &VersionName,
    provenance: &Provenance,
) -> Result<Version, CliError> {
    let mut target = service.target.clone();
    put_in(&mut target, name);
    let content = match &mut target.artifact {
        Some(artifact) => artifact_digest(artifact)?,
        None => program_digest(&target)?,
    };
    let configuration = serde_json::to_vec(&target).expect("a target is plain data with string keys");
    let digest = Digest::of(&[&content.0[..], &configuration].concat());
    Ok(Version { name: name.clone(), digest, target, provenance: provenance.clone() })
}

/// Replaces `{version}`, which is the same for all instances; the other words are of each instance.
fn put_in(target: &mut ProcessTarget, name: &VersionName) {
    let put = |text: &mut String| *text = text.replace("{version}", name.as_str());
    target.command.iter_mut().for_each(put);
    target.env.values_mut().for_each(put);
    put(&mut target.directory);
    if let Some(artifact) = &mut target.artifact {
        put(&mut artifact.from);
    }
}

fn artifact_digest(artifact: &mut ArtifactRef) -> Result<Digest, CliError> {
    let remote = artifact.from.starts_with("http://") || artifact.from.starts_with("https://");
    match (remote, artifact.digest) {
        // Fetched and compared when the first instance is started.
        (true, Some(declared)) => Ok(declared),
        (true, None) => Err(CliError::new(
            Code::BadArgument,
            format!("the artifact {} has no digest: what a URL answers can change", artifact.from),
        )
        .hint("declare it: `artifact: {from: …, digest: sha256:…}`")),
        (false, declared) => {
            let found = file_digest(Path::new(&artifact.from))?;
            if let Some(declared) = declared.filter(|declared| *declared != found) {
                let why = format!("{} is {found}, declared is {declared}", artifact.from);
                return Err(CliError::new(Code::ArtifactChanged, why)
                    .hint("build it again, or correct `target.artifact.digest`"));
            }
            artifact.digest = Some(found);
            Ok(found)
        }
    }
}

/// Without an artifact the program itself is what changes between versions, where it is a file of
/// its own; a program found by `PATH` is not ours, and the configuration alone tells versions apart.
fn program_digest(target: &ProcessTarget) -> Result<Digest, CliError> {
    let Some(program) = target.command.first().filter(|program| program.contains('/')) else {
        return Ok(Digest::of(b""));
    };
    if program.contains('{') {
        return Ok(Digest::of(b""));
    }
    file_digest(&PathBuf::from(&target.directory).join(program))
}

fn file_digest(path: &Path) -> Result<Digest, CliError> {
    let unreadable = |error: io::Error| {
        CliError::new(Code::ArtifactMissing, format!("{}: {error}", path.display()))
            .hint("build it, or correct `target.artifact` or `target.command` in taxiway.yaml")
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 128 * 1024];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(Digest(hasher.finalize().into())),
            Ok(count) => hasher.update(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
}
