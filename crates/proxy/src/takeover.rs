//! Replacing the process without losing a connection: the successor asks for the listening sockets
//! and gets them as file descriptors, so that what waits in their backlogs waits on. Both accept
//! for a moment; then the predecessor accepts no more, finishes what is open, and ends.
//!
//! The talk, over `<dir>/proxy/takeover.sock`: the successor connects; the predecessor sends one
//! line of JSON that names the sockets, with the descriptors; the successor serves from the kept
//! tables, the canaries without a lease, and sends `ready`; the predecessor accepts no more, lets
//! go of the directory's lock, and sends its last words, one line: what is left of each lease, and
//! what was given back. So a return to the baseline that the predecessor confirmed holds for the
//! successor too. If the successor dies before `ready`, nothing has changed.

use crate::error::Error;
use crate::plane::{Plane, Sockets};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use taxiway_model::ids::Generation;

/// Descriptors per message; the kernel takes 253.
const DESCRIPTORS_MAX: usize = 128;
/// How long either side waits for the other's next word.
const WORD_MS_MAX: u64 = 10_000;

/// What the predecessor hands over first.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Estate {
    /// The address of each descriptor, in their order.
    sockets: Vec<String>,
}

/// What the predecessor says last.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastWords {
    /// What is left of each service's lease, by stream.
    pub leases_ms: BTreeMap<String, u64>,
    /// At which generation everything was given back, by stream.
    pub returned: BTreeMap<String, Generation>,
}

/// What a successor has got.
pub struct Inheritance {
    sockets: Sockets,
    talk: BufReader<UnixStream>,
    path: PathBuf,
}

/// The socket over which a proxy is replaced.
pub fn path(directory: &Path) -> PathBuf {
    directory.join("takeover.sock")
}

/// Asks the proxy of this directory for its sockets; none when no proxy is there.
pub fn ask(directory: &Path) -> Result<Option<Inheritance>, Error> {
    let path = path(directory);
    let fail = |source| Error::Takeover { path: path.clone(), source };
    let Ok(mut talk) = UnixStream::connect(&path) else { return Ok(None) };
    talk.set_read_timeout(Some(Duration::from_millis(WORD_MS_MAX))).map_err(fail)?;
    let (line, descriptors) = receive(&mut talk).map_err(fail)?;
    let estate: Estate = serde_json::from_slice(&line).map_err(|error| fail(error.into()))?;
    if estate.sockets.len() != descriptors.len() {
        return Err(fail(io::Error::other("not every socket has arrived")));
    }
    let mut sockets = Sockets::new();
    for (address, descriptor) in estate.sockets.into_iter().zip(descriptors) {
        sockets.entry(address).or_default().push(TcpListener::from(descriptor));
    }
    fail::fail_point!("proxy.takeover-received");
    Ok(Some(Inheritance { sockets, talk: BufReader::new(talk), path }))
}

impl Inheritance {
    /// Takes the sockets out, to be listened on.
    pub fn take_sockets(&mut self) -> Sockets {
        std::mem::take(&mut self.sockets)
    }

    /// Tells the predecessor that its successor serves; returns with its last words, once it has
    /// let go of the directory.
    pub fn ready(mut self) -> Result<LastWords, Error> {
        fail::fail_point!("proxy.takeover-before-ready");
        let mut line = String::new();
        let told = self.talk.get_mut().write_all(b"ready\n");
        let words =
            told.and_then(|()| self.talk.read_line(&mut line)).and_then(|_| Ok(serde_json::from_str(&line)?));
        words.map_err(|source| Error::Takeover { path: self.path, source })
    }
}

/// Hands over whenever a successor asks, on a thread of its own. `gone` is called once a successor
/// is ready; it lets go of everything the successor needs and says the last words.
pub fn offer(plane: Arc<Plane>, gone: impl Fn() -> LastWords + Send + 'static) -> Result<(), Error> {
    let path = path(&plane.directory);
    let fail = |source| Error::Takeover { path: path.clone(), source };
    let fresh = path.with_extension(format!("{}", std::process::id()));
    let _ = std::fs::remove_file(&fresh);
    let listener = UnixListener::bind(&fresh).map_err(fail)?;
    std::fs::set_permissions(&fresh, PermissionsExt::from_mode(0o600)).map_err(fail)?;
    std::fs::rename(&fresh, &path).map_err(fail)?;
    std::thread::Builder::new()
        .name("takeover".into())
        .spawn(move || {
            for talk in listener.incoming().flatten() {
                match hand_over(&plane, talk, &gone) {
                    Ok(()) => return,
                    Err(error) => tracing::warn!(%error, "a successor did not take over; going on"),
                }
            }
        })
        .map_err(Error::Start)?;
    Ok(())
}

fn hand_over(plane: &Plane, mut talk: UnixStream, gone: &impl Fn() -> LastWords) -> io::Result<()> {
    talk.set_read_timeout(Some(Duration::from_millis(WORD_MS_MAX)))?;
    let (addresses, sockets): (Vec<_>, Vec<_>) = plane.sockets()?.into_iter().unzip();
    let mut line = serde_json::to_vec(&Estate { sockets: addresses })?;
    line.push(b'\n');
    send(&mut talk, &line, &sockets)?;
    drop(sockets);
    let mut word = [0; 6];
    talk.read_exact(&mut word)?;
    if &word != b"ready\n" {
        return Err(io::Error::other("the successor said something else than ready"));
    }
    fail::fail_point!("proxy.takeover-before-leave");
    let mut words = serde_json::to_vec(&gone())?;
    words.push(b'\n');
    talk.write_all(&words)
}

/// Sends the descriptors, a message at a time, with the line's bytes spread over them.
fn send(talk: &mut UnixStream, line: &[u8], sockets: &[TcpListener]) -> io::Result<()> {
    let mut rest = line;
    for batch in sockets.chunks(DESCRIPTORS_MAX) {
        let descriptors: Vec<_> = batch.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::Error::other("too many sockets for one message"));
        }
        // Descriptors travel with at least one byte; the line ends with a newline that is sent last.
        let (piece, after) = rest.split_at(1);
        sendmsg(&talk, &[IoSlice::new(piece)], &mut control, SendFlags::NOSIGNAL)?;
        rest = after;
    }
    talk.write_all(rest)
}

/// Receives one line and the descriptors that come with it.
fn receive(talk: &mut UnixStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let (mut line, mut descriptors) = (Vec::new(), Vec::new());
    while !line.ends_with(b"\n") {
        let mut piece = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received =
            recvmsg(&talk, &mut [IoSliceMut::new(&mut piece)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(sent) = message {
                descriptors.extend(sent);
            }
        }
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.extend_from_slice(&piece[..received.bytes]);
    }
    Ok((line, descriptors))
}
