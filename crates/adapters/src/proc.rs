//! What the kernel says of processes: identities that survive a restart of ours, and signals that cannot hit another.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};
use serde::{Deserialize, Serialize};

/// A process beyond the reuse of its number: numbers come back, but not with the same start time within one boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Process id, also the id of its process group.
    pub(crate) pid: i32,
    /// Clock ticks from boot to its start.
    pub(crate) start_ticks: u64,
    /// The boot it was started in.
    pub(crate) boot_id: String,
}

/// One line of `/proc/<pid>/stat`, as far as it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) pid: i32,
    /// `Z` and `X` are dead.
    pub(crate) state: char,
    pub(crate) group: i32,
    /// User and system time in clock ticks.
    pub(crate) cpu_ticks: u64,
    pub(crate) start_ticks: u64,
    /// Resident pages.
    pub(crate) rss_pages: u64,
}

impl Stat {
    /// Reads a process; `None` when there is none (any more).
    pub(crate) fn read(pid: i32) -> Option<Self> {
        Self::parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(pid: i32, line: &str) -> Option<Self> {
        // The name in parentheses may itself contain spaces and parentheses.
        let fields: Vec<&str> = line.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            pid,
            state: fields.first()?.chars().next()?,
            group: fields.get(2)?.parse().ok()?,
            cpu_ticks: number(11)? + number(12)?,
            start_ticks: number(19)?,
            rss_pages: number(21)?,
        })
    }

    pub(crate) fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

impl Identity {
    /// The identity of a running process of this boot.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let stat = Stat::read(pid)?;
        Some(Self { pid, start_ticks: stat.start_ticks, boot_id: boot_id() })
    }

    /// Whether exactly this process still runs.
    pub(crate) fn is_alive(&self) -> bool {
        self.boot_id == boot_id()
            && Stat::read(self.pid)
                .is_some_and(|stat| stat.is_alive() && stat.start_ticks == self.start_ticks)
    }
}

/// The id of the running boot.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// When the first process of ours that used the file began, in clock ticks of this boot: nothing older can belong to it,
/// so that no older process need be looked at.
pub(crate) fn since_ticks(file: &Path) -> u64 {
    let kept = fs::read_to_string(file).unwrap_or_default();
    if let Some((boot, ticks)) = kept.trim().split_once(' ')
        && boot == boot_id()
        && let Ok(ticks) = ticks.parse()
    {
        return ticks;
    }
    let own = Identity::of(std::process::id().cast_signed()).map_or(0, |me| me.start_ticks);
    if let Err(error) = fs::write(file, format!("{} {own}\n", boot_id())) {
        tracing::warn!(file = %file.display(), %error, "cannot be written");
    }
    own
}

/// Every living process.
pub(crate) fn all() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Stat::read).filter(Stat::is_alive).collect()
}

/// Processes of this user started at `since_ticks` or later whose environment has `variable` beginning with `prefix`:
/// the only trace that a process keeps when it leaves its group.
pub(crate) fn marked<'a>(
    stats: &'a [Stat],
    since_ticks: u64,
    variable: &'a str,
    prefix: &'a str,
) -> impl Iterator<Item = (&'a Stat, String)> {
    let uid = nix::unistd::geteuid().as_raw();
    stats.iter().filter(move |stat| stat.start_ticks >= since_ticks).filter_map(move |stat| {
        let directory = format!("/proc/{}", stat.pid);
        if fs::metadata(&directory).ok()?.uid() != uid {
            return None;
        }
        let environment = fs::read(format!("{directory}/environ")).ok()?;
        let value = environment
            .split(|byte| *byte == 0)
            .find_map(|entry| std::str::from_utf8(entry).ok()?.strip_prefix(variable)?.strip_prefix('='))?;
        value.starts_with(prefix).then(|| (stat, value.to_owned()))
    })
}

/// Signals one process, if it is still the one that was read.
pub(crate) fn signal(stat: &Stat, signal: Signal) {
    let same = Stat::read(stat.pid).is_some_and(|now| now.start_ticks == stat.start_ticks && now.is_alive());
    if same && stat.pid > 1 && stat.pid != std::process::id().cast_signed() {
        // It may have ended in between, which is what the signal was for.
        let _ = kill(Pid::from_raw(stat.pid), signal);
    }
}

/// Clock ticks per second.
pub(crate) fn ticks_per_s() -> u64 {
    sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|ticks| u64::try_from(ticks).ok()).unwrap_or(100)
}

/// Bytes per page.
pub(crate) fn page_bytes() -> u64 {
    sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let line = "42 (a) b (c)) S 1 42 42 0 -1 4194560 1 0 0 0 7 5 0 0 20 0 1 0 12345 1000 250 18446744073709551615";
        let stat = Stat::parse(42, line).expect("it is a stat line");
        assert_eq!((stat.state, stat.group, stat.cpu_ticks), ('S', 42, 12));
        assert_eq!((stat.start_ticks, stat.rss_pages), (12_345, 250));
    }

    #[test]
    fn this_process_is_alive_and_its_number_at_another_time_is_not() {
        let me = Identity::of(std::process::id().cast_signed()).expect("this process runs");
        assert!(me.is_alive());
        assert!(!Identity { start_ticks: me.start_ticks + 1, ..me.clone() }.is_alive());
        assert!(!Identity { boot_id: "another".to_owned(), ..me }.is_alive());
    }
}
