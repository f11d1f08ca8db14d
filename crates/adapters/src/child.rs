//! Short commands with a time limit: probes and checks. Whatever they start is ended with them.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

/// How much of a command's output is kept.
pub(crate) const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// How a command ended.
#[derive(Debug)]
pub(crate) enum End {
    /// By itself.
    Exited(ExitStatus),
    /// Its time was up, and everything in its process group was killed.
    TimedOut,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) end: End,
    /// Its standard output and error as they came, the first [`OUTPUT_BYTES_MAX`] bytes.
    pub(crate) output: Vec<u8>,
    /// Its standard output alone, as much.
    pub(crate) stdout: Vec<u8>,
    /// How much more it wrote.
    pub(crate) cut_bytes: u64,
}

/// Kills the process group when dropped, so that a cancelled run leaves nothing behind.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // An error says that nothing is left of it, which is what is wanted.
            let _ = killpg(pid, Signal::SIGKILL);
        }
    }
}

/// Runs a command in a process group of its own until it ends or its time is up. What it leaves behind in its group is
/// killed in either case.
pub(crate) async fn run(mut command: Command, timeout: Duration) -> io::Result<Ran> {
    command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn()?;
    // Killed right after the leader is reaped: its number cannot have come round again by then.
    let group = Group(child.id().map(|id| Pid::from_raw(id.cast_signed())));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let output = tokio::spawn(collect(stdout, stderr));
    let end = match tokio::time::timeout(timeout, child.wait()).await {
        Ok(status) => End::Exited(status?),
        Err(_) => End::TimedOut,
    };
    drop(group);
    if matches!(end, End::TimedOut) {
        child.wait().await?;
    }
    // A process that left the group may hold the pipes open for ever.
    let abort = output.abort_handle();
    let collected = tokio::time::timeout(Duration::from_millis(500), output).await;
    let (output, stdout, cut_bytes) = collected.ok().and_then(Result::ok).unwrap_or_else(|| {
        abort.abort();
        (b"(its output is still held open by a process that it left behind)".to_vec(), Vec::new(), 0)
    });
    Ok(Ran { end, output, stdout, cut_bytes })
}

async fn collect(
    mut stdout: Option<impl AsyncRead + Unpin>,
    mut stderr: Option<impl AsyncRead + Unpin>,
) -> (Vec<u8>, Vec<u8>, u64) {
    let (mut kept, mut out, mut cut) = (Vec::new(), Vec::new(), 0);
    let (mut one, mut two) = ([0_u8; 8192], [0_u8; 8192]);
    while stdout.is_some() || stderr.is_some() {
        // Both have to be read, or a command that writes much to the other one would wait for us.
        let piece = tokio::select! {
            read = read_some(stdout.as_mut(), &mut one), if stdout.is_some() => {
                if read == 0 { stdout = None; }
                let room = read.min(OUTPUT_BYTES_MAX - out.len());
                out.extend_from_slice(&one[..room]);
                &one[..read]
            }
            read = read_some(stderr.as_mut(), &mut two), if stderr.is_some() => {
                if read == 0 { stderr = None; }
                &two[..read]
            }
        };
        let room = piece.len().min(OUTPUT_BYTES_MAX - kept.len());
        kept.extend_from_slice(&piece[..room]);
        cut += (piece.len() - room) as u64;
    }
    (kept, out, cut)
}

/// Reads a piece; 0 at the end and on any error.
async fn read_some(from: Option<&mut (impl AsyncRead + Unpin)>, buffer: &mut [u8]) -> usize {
    match from {
        Some(from) => from.read(buffer).await.unwrap_or(0),
        None => 0,
    }
}

/// `exited with code 3`, `was killed by signal 9 (SIGKILL)`.
pub(crate) fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(number)) => {
            let name = Signal::try_from(number).map_or("unknown", Signal::as_str);
            format!("was killed by signal {number} ({name})")
        }
        (None, None) => "ended".to_owned(),
    }
}
