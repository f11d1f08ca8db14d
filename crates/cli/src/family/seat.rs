//! Who holds a role: a file, locked by its holder for life and saying who that is.
//!
//! The lock decides between two that start at once; the kernel gives it back when the holder dies.
//! The identity in the file lets others see without touching the lock whether the holder lives.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::Role;
use crate::data::Data;

/// A process beyond the reuse of its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Process id.
    pub(crate) pid: i32,
    /// Clock ticks from boot to its start.
    started: u64,
    /// The boot it was started in.
    boot: String,
}

impl Identity {
    /// The identity of a running process.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
        let (_, started) = stat(pid)?;
        Some(Self { pid, started, boot })
    }

    /// Whether exactly this process still runs; one that only waits to be reaped does not.
    pub(crate) fn is_alive(&self) -> bool {
        match (stat(self.pid), Self::of(self.pid)) {
            (Some((state, _)), Some(now)) => now == *self && !matches!(state, 'Z' | 'X' | 'x'),
            _ => false,
        }
    }
}

/// State and start time of a process.
fn stat(pid: i32) -> Option<(char, u64)> {
    let line = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may itself contain spaces and parentheses.
    let mut fields = line.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// A role that this process holds until it ends.
#[derive(Debug)]
pub(crate) struct Seat {
    _lock: Flock<File>,
}

impl Seat {
    /// Takes the role; none when another process has it.
    pub(crate) fn take(data: &Data, role: Role) -> std::io::Result<Option<Self>> {
        let path = data.seat(role);
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path)?;
        let mut lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, Errno::EWOULDBLOCK)) => return Ok(None),
            Err((_, errno)) => return Err(errno.into()),
        };
        let pid = i32::try_from(std::process::id()).unwrap_or(i32::MAX);
        let identity = Identity::of(pid).ok_or_else(|| std::io::Error::other("/proc cannot be read"))?;
        lock.set_len(0)?;
        lock.rewind()?;
        lock.write_all(&serde_json::to_vec(&identity)?)?;
        Ok(Some(Self { _lock: lock }))
    }
}

/// The living holder of a role.
pub(crate) fn holder(data: &Data, role: Role) -> Option<Identity> {
    read(&data.seat(role)).filter(Identity::is_alive)
}

fn read(path: &Path) -> Option<Identity> {
    let mut text = String::new();
    File::open(path).ok()?.take(4_096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_held_once_and_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let data = Data::at(folder.path()).unwrap();
        let seat = Seat::take(&data, Role::Keeper).unwrap().expect("it is free");
        assert!(Seat::take(&data, Role::Keeper).unwrap().is_none());
        assert!(Seat::take(&data, Role::Proxy).unwrap().is_some(), "another role is another seat");
        let me = i32::try_from(std::process::id()).unwrap();
        assert_eq!(holder(&data, Role::Keeper).map(|holder| holder.pid), Some(me));
        drop(seat);
        assert!(Seat::take(&data, Role::Keeper).unwrap().is_some());
    }

    #[test]
    fn a_number_that_came_round_again_is_another_process() {
        let me = Identity::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(me.is_alive());
        assert!(!Identity { started: me.started + 1, ..me.clone() }.is_alive());
        assert!(!Identity { boot: "another".to_owned(), ..me }.is_alive());
    }
}
