//! From a description to a command that can be started: placeholders, environment, the program's place, limits.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use taxiway_model::ids::{GROUPS, StreamId};

use super::limits::Confinement;
use super::problem::Problem;
use super::state::Record;

/// What instances inherit of our own environment. The rest is whatever shell happened to start the supervisor, and
/// an instance must run the same from every shell.
const INHERITED: [&str; 8] = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR"];

/// The variable by which a process is found again that left its group.
pub(super) const MARKER: &str = "TAXIWAY_RUN";

/// What `{version}`, `{port}` and `{artifact}` stand for.
#[derive(Debug, Clone)]
pub(super) struct Placeholders {
    version: String,
    port: String,
    artifact: String,
}

impl Placeholders {
    pub(super) fn new(record: &Record, artifact: Option<&Path>) -> Self {
        Self {
            version: record.spec.version.name.plain().to_owned(),
            port: record.port.to_string(),
            artifact: artifact.map(|path| path.display().to_string()).unwrap_or_default(),
        }
    }

    /// Replaces each of them once, left to right, so that a value is never read as a placeholder itself.
    pub(super) fn fill(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            filled.push_str(&rest[..at]);
            rest = &rest[at..];
            let known =
                [("{version}", &self.version), ("{port}", &self.port), ("{artifact}", &self.artifact)];
            if let Some((name, value)) = known.into_iter().find(|(name, _)| rest.starts_with(name)) {
                filled.push_str(value);
                rest = &rest[name.len()..];
            } else {
                filled.push('{');
                rest = &rest[1..];
            }
        }
        filled + rest
    }

    pub(super) fn fill_all(&self, texts: &[String]) -> Vec<String> {
        texts.iter().map(|text| self.fill(text)).collect()
    }
}

/// The environment of an instance, complete.
pub(super) fn environment(
    stream: &StreamId,
    record: &Record,
    with: &Placeholders,
) -> BTreeMap<String, String> {
    let inherited = INHERITED.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
    let mut environment: BTreeMap<String, String> = inherited.collect();
    for (name, value) in &record.spec.version.target.env {
        environment.insert(name.clone(), with.fill(value));
    }
    let version = &record.spec.version.name;
    for (name, value) in [
        ("PORT", record.port.to_string()),
        ("TAXIWAY_VERSION", version.plain().to_owned()),
        ("TAXIWAY_GROUP", if version.is_fresh() { GROUPS.0 } else { GROUPS.1 }.to_owned()),
        ("TAXIWAY_RELEASE", record.spec.release.to_string()),
        ("TAXIWAY_SERVICE", stream.service.to_string()),
        ("TAXIWAY_ENVIRONMENT", stream.environment.to_string()),
        ("TAXIWAY_INSTANCE", format!("{version}-{}", record.number)),
        (MARKER, record.marker.clone()),
    ] {
        environment.insert(name.to_owned(), value);
    }
    environment
}

/// The command of an instance, in a process group of its own, its limits taken on before its program begins. Output is
/// still to be set.
pub(super) fn build(
    record: &Record,
    environment: &BTreeMap<String, String>,
    with: &Placeholders,
    confinement: &Confinement,
) -> Result<Command, Problem> {
    let target = &record.spec.version.target;
    let words = with.fill_all(&target.command);
    let (program, arguments) = words.split_first().ok_or(Problem::NoCommand)?;
    let directory = PathBuf::from(with.fill(&target.directory));
    if !directory.is_dir() {
        return Err(Problem::NoDirectory(directory));
    }
    let program = find(program, &directory, environment.get("PATH").map_or("", String::as_str))?;
    let mut command = match confinement.script() {
        // The shell replaces itself by the program, so that the process keeps its number and start time.
        Some(script) => {
            let mut shell = Command::new("/bin/sh");
            shell.arg("-c").arg(script).arg("taxiway").arg(program);
            shell
        }
        None => Command::new(program),
    };
    command.args(arguments).current_dir(directory).env_clear().envs(environment).process_group(0);
    Ok(command)
}

/// Finds the program as `execvp` would, but before there is a process, so that its absence can be named.
fn find(program: &str, directory: &Path, path: &str) -> Result<PathBuf, Problem> {
    let missing = |looked: String| Problem::BinaryMissing { program: program.to_owned(), looked };
    if program.is_empty() {
        return Err(Problem::NoCommand);
    }
    if program.contains('/') {
        let place = directory.join(program);
        return match fs::metadata(&place) {
            Ok(file) if file.is_file() && file.permissions().mode() & 0o111 != 0 => Ok(place),
            Ok(file) if file.is_file() => Err(Problem::NotExecutable(place)),
            Ok(_) => Err(missing(format!("{} is not a file", place.display()))),
            Err(error) => Err(missing(format!("{}: {error}", place.display()))),
        };
    }
    let executable = |place: &PathBuf| {
        fs::metadata(place).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    let mut places = path.split(':').map(|part| Path::new(part).join(program));
    places.find(executable).ok_or_else(|| missing(format!("looked in PATH={path}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_replaced_once_and_braces_of_others_stay() {
        let with =
            Placeholders { version: "{port}".to_owned(), port: "81".to_owned(), artifact: "/a b".to_owned() };
        assert_eq!(with.fill("{version} {port}:{artifact} {x} {"), "{port} 81:/a b {x} {");
    }

    #[test]
    fn a_missing_program_is_named_with_where_it_was_looked_for() {
        let root = Path::new("/");
        let missing = find("no-such-program", root, "/usr/bin:/bin").unwrap_err().to_string();
        assert!(missing.contains("no-such-program") && missing.contains("/usr/bin:/bin"), "{missing}");
        assert!(matches!(find("./nothing", root, ""), Err(Problem::BinaryMissing { .. })));
        assert!(matches!(find("/etc/passwd", root, ""), Err(Problem::NotExecutable(_))));
        assert_eq!(find("bin/sh", root, "").unwrap(), Path::new("/bin/sh"));
    }
}
