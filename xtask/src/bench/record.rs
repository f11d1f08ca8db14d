//! docs/benchmarks: one page per bench, the newest measurement at the end, never a figure that was not measured.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use super::machine;
use crate::shell::Error;

/// Appends `body` under a heading that says when, of what and on what it was measured.
pub(super) fn append(root: &Path, name: &str, body: &str) -> Result<(), Error> {
    let path = root.join(format!("docs/benchmarks/{name}.md"));
    let entry = entry(&machine::date(), &machine::commit(root), &machine::describe(), body);
    write(&path, name, &entry)
        .map_err(|error| Error::new(format!("cannot write {}: {error}", path.display())))?;
    println!("recorded in docs/benchmarks/{name}.md");
    Ok(())
}

fn entry(date: &str, commit: &str, machine: &str, body: &str) -> String {
    format!("\n## {date}, {commit}\n\n{machine}\n\n{}\n", body.trim_end())
}

fn write(path: &Path, name: &str, entry: &str) -> std::io::Result<()> {
    fs::create_dir_all(path.parent().expect("the path names a file in docs/benchmarks"))?;
    let is_new = !path.exists();
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    if is_new {
        writeln!(file, "# {name}\n\nMeasured by `cargo xtask bench {name}`.")?;
    }
    file.write_all(entry.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measurements_are_appended_under_one_title() {
        let folder = std::env::temp_dir().join(format!("xtask-record-{}", std::process::id()));
        let path = folder.join("split.md");
        for day in ["2026-01-01", "2026-01-02"] {
            write(&path, "split", &entry(day, "abc", "2 cores", "fast\n"))
                .expect("a temporary folder can be written");
        }
        let text = fs::read_to_string(&path).expect("it was just written");
        fs::remove_dir_all(&folder).expect("it was just made");
        assert_eq!(text.matches("# split\n").count(), 1);
        assert!(text.ends_with("\n## 2026-01-02, abc\n\n2 cores\n\nfast\n"), "{text}");
        assert!(text.contains("2026-01-01"), "{text}");
    }
}
