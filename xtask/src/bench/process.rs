//! Programs under measurement: started, looked at through /proc, and stopped whatever happens.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::shell::{self, Error};

/// Ticks of CPU accounting per second; Linux has shown this value to every program since 2.6.
const TICKS_PER_SECOND: f64 = 100.0;
/// Time a program may take to listen, and to leave.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);

const REAL_TIME: &[&str] = &["--fifo"];
const PRIORITY: &str = "10";

/// `program` at the same priority from its start on.
pub(super) fn real_time(program: &std::path::Path) -> Command {
    let mut command = Command::new("chrt");
    command.args(REAL_TIME).arg(PRIORITY).arg(program);
    command
}

/// A running program with all its children.
pub(super) struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts `command` with its output in `log`.
    pub(super) fn start(name: &str, command: &mut Command, log: &std::path::Path) -> Result<Self, Error> {
        let file = fs::File::create(log).and_then(|file| Ok((file.try_clone()?, file)));
        let (out, err) =
            file.map_err(|error| Error::new(format!("cannot write {}: {error}", log.display())))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(|error| shell::cannot_start(command, &error))?;
        Ok(Self { name: name.to_owned(), child })
    }

    /// Waits until something accepts connections on `address`, or the program has left.
    pub(super) fn listening(mut self, address: SocketAddr) -> Result<Self, Error> {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(Error::new(format!(
                    "{} left before it listened ({status}); see its log",
                    self.name
                )));
            }
            if Instant::now() > deadline {
                return Err(Error::new(format!(
                    "{} does not listen on {address} after {PATIENCE:?}",
                    self.name
                )));
            }
            std::thread::sleep(POLL);
        }
        Ok(self)
    }

    /// CPU seconds, user and kernel, used so far by the program and its living descendants.
    pub(super) fn cpu_seconds(&self) -> f64 {
        let used = family(self.child.id());
        used.iter().map(|one| one.ticks as f64).sum::<f64>() / TICKS_PER_SECOND
    }

    /// Puts every thread of the program and its descendants before all ordinary work.
    pub(super) fn real_time(&self) -> Result<(), Error> {
        for one in family(self.child.id()) {
            shell::run(Command::new("chrt").args(REAL_TIME).args([
                "--all-tasks",
                "--pid",
                PRIORITY,
                &one.pid.to_string(),
            ]))?;
        }
        Ok(())
    }

    /// Resident memory of the program and its descendants, in MiB.
    pub(super) fn memory_mib(&self) -> f64 {
        let pages: u64 = family(self.child.id()).iter().map(|one| one.resident_pages).sum();
        pages as f64 * 4.0 / 1024.0
    }
}

impl Drop for Process {
    /// Asks first, so that nginx's master takes its workers along.
    fn drop(&mut self) {
        let everyone: Vec<u32> = family(self.child.id()).iter().map(|one| one.pid).collect();
        kill("-TERM", &[self.child.id()]);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && everyone.iter().any(|pid| is_running(*pid)) {
            let _ = self.child.try_wait();
            std::thread::sleep(POLL);
        }
        let left: Vec<u32> = everyone.into_iter().filter(|pid| is_running(*pid)).collect();
        kill("-KILL", &left);
        let _ = self.child.wait();
    }
}

fn kill(signal: &str, pids: &[u32]) {
    if !pids.is_empty() {
        let _ = Command::new("kill")
            .arg(signal)
            .args(pids.iter().map(u32::to_string))
            .stderr(Stdio::null())
            .status();
    }
}

fn is_running(pid: u32) -> bool {
    stat(pid).is_some_and(|stat| stat.state != 'Z')
}

/// One line of /proc/<pid>/stat.
struct Stat {
    pid: u32,
    parent: u32,
    state: char,
    /// User and kernel time.
    ticks: u64,
    resident_pages: u64,
}

/// The process `root` and everything below it.
fn family(root: u32) -> Vec<Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut others: Vec<Stat> = pids.filter_map(stat).collect();
    let mut found: Vec<Stat> = Vec::new();
    while let Some(at) =
        others.iter().position(|one| one.pid == root || found.iter().any(|f| f.pid == one.parent))
    {
        found.push(others.swap_remove(at));
    }
    found
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(pid: u32, text: &str) -> Option<Stat> {
    // The program's name stands in parentheses and may hold spaces and parentheses itself.
    let after_name = &text[text.rfind(')')? + 2..];
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        pid,
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        ticks: number(11)? + number(12)?,
        resident_pages: number(21)?,
    })
}

/// Addresses on this machine that nobody listens on at the moment.
pub(super) fn free_addresses(count: usize) -> Result<Vec<SocketAddr>, Error> {
    let listeners: std::io::Result<Vec<TcpListener>> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect();
    let addresses = listeners.and_then(|all| all.iter().map(TcpListener::local_addr).collect());
    addresses.map_err(|error| Error::new(format!("cannot find free ports: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_behind_the_name() {
        let line = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 1 0 100 1000000 256 18446744073709551615 1";
        let stat = parse_stat(7, line).expect("the line is whole");
        assert_eq!((stat.parent, stat.state, stat.ticks, stat.resident_pages), (1, 'S', 200, 256));
    }

    #[test]
    fn a_family_is_measured_and_taken_down_whole() {
        let log = std::env::temp_dir().join(format!("xtask-family-{}", std::process::id()));
        let mut command = Command::new("sh");
        command.args(["-c", "sh -c 'while :; do :; done' & wait"]);
        let process = Process::start("busy", &mut command, &log).expect("sh starts");
        let deadline = Instant::now() + PATIENCE;
        while process.cpu_seconds() < 0.05 {
            assert!(Instant::now() < deadline, "a busy loop uses CPU");
            std::thread::sleep(POLL);
        }
        let pids: Vec<u32> = family(process.child.id()).iter().map(|one| one.pid).collect();
        assert!(pids.len() >= 2, "{pids:?}");
        kill("-KILL", &pids[1..]);
        drop(process);
        assert!(pids.iter().all(|pid| !is_running(*pid)));
        let _ = fs::remove_file(log);
    }
}
