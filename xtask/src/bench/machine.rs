//! What was measured on, in terms that mean something to somebody with another machine.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::shell;

/// One line: cores, architecture, memory, kernel.
pub(super) fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let virtual_machine =
        if read("/proc/cpuinfo").contains(" hypervisor") { " of a virtual machine" } else { "" };
    let gib = memory_gib(&read("/proc/meminfo"));
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "{cores} {} cores{virtual_machine}, {gib} GiB, {} {}",
        std::env::consts::ARCH,
        std::env::consts::OS,
        short_version(&kernel)
    )
}

/// The first two numbers of a kernel's release.
fn short_version(release: &str) -> String {
    release.trim().split(['.', '-']).take(2).collect::<Vec<_>>().join(".")
}

fn memory_gib(meminfo: &str) -> u64 {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib: u64 = total.and_then(|value| value.trim().split(' ').next()?.parse().ok()).unwrap_or(0);
    (kib + 512 * 1024) / (1024 * 1024)
}

/// The commit the sources stand at, with a mark when they differ from it.
pub(super) fn commit(root: &Path) -> String {
    let mut git = Command::new("git");
    git.current_dir(root).args(["describe", "--always", "--dirty=, changed", "--abbrev=10"]);
    shell::capture(&mut git).map_or_else(|_| "no commit".to_owned(), |text| text.trim().to_owned())
}

/// Today in UTC.
pub(super) fn date() -> String {
    shell::capture(Command::new("date").args(["-u", "+%Y-%m-%d"])).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_described_without_its_name() {
        assert_eq!(short_version("6.18.44-some-build\n"), "6.18");
        assert_eq!(memory_gib("MemTotal:       24680000 kB\nMemFree: 1 kB\n"), 24);
        assert!(describe().contains(" cores"), "{}", describe());
    }
}
