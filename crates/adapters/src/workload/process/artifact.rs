//! Artifacts, held by digest: what was released is what runs, also when the file it came from has changed since.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use sha2::{Digest as _, Sha256};
use taxiway_model::ids::Digest;
use taxiway_model::service::ArtifactRef;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::problem::Problem;

/// How long a server may send nothing in the middle of an artifact.
const STALL: Duration = Duration::from_secs(30);

type Fetched = Result<PathBuf, Problem>;

/// Artifacts that are here or on their way. Fetching happens beside the supervisor's loop: hashing and downloading
/// take long.
#[derive(Debug)]
pub(super) struct Artifacts {
    directory: PathBuf,
    known: BTreeMap<String, Progress>,
}

#[derive(Debug)]
enum Progress {
    Fetching(oneshot::Receiver<Fetched>),
    Here(PathBuf),
}

impl Artifacts {
    pub(super) const fn new(directory: PathBuf) -> Self {
        Self { directory, known: BTreeMap::new() }
    }

    /// Where the artifact is; `None` while it is being fetched. A failure is told once, the next call tries again.
    pub(super) fn get(&mut self, artifact: &ArtifactRef, from: &str, runtime: &Handle) -> Option<Fetched> {
        let key = artifact.digest.map_or_else(|| from.to_owned(), |digest| digest.to_string());
        match self.known.get_mut(&key) {
            Some(Progress::Here(path)) if path.exists() => return Some(Ok(path.clone())),
            Some(Progress::Fetching(receiver)) => {
                let fetched = match receiver.try_recv() {
                    Ok(fetched) => fetched,
                    Err(oneshot::error::TryRecvError::Empty) => return None,
                    Err(oneshot::error::TryRecvError::Closed) => {
                        Err(unreadable(from, "fetching it was interrupted"))
                    }
                };
                match &fetched {
                    Ok(path) => drop(self.known.insert(key, Progress::Here(path.clone()))),
                    Err(_) => drop(self.known.remove(&key)),
                }
                return Some(fetched);
            }
            Some(Progress::Here(_)) | None => (),
        }
        let (send, receive) = oneshot::channel();
        let (directory, expected, from) = (self.directory.clone(), artifact.digest, from.to_owned());
        runtime.spawn(async move { drop(send.send(fetch(directory, from, expected).await)) });
        self.known.insert(key, Progress::Fetching(receive));
        None
    }
}

fn unreadable(from: &str, why: impl std::fmt::Display) -> Problem {
    Problem::Artifact { from: from.to_owned(), why: why.to_string() }
}

async fn fetch(directory: PathBuf, from: String, expected: Option<Digest>) -> Fetched {
    if let Some(digest) = expected
        && let Some(path) = kept(&directory, &from, digest)
    {
        return Ok(path);
    }
    if from.starts_with("http://") || from.starts_with("https://") {
        return download(&directory, &from, expected).await;
    }
    let name = from.clone();
    let copy = tokio::task::spawn_blocking(move || {
        let file = File::open(&from).map_err(|error| unreadable(&from, error))?;
        let mode = file.metadata().map_or(0o644, |metadata| metadata.permissions().mode());
        let mut aside = Aside::new(&directory).map_err(|error| unreadable(&from, error))?;
        aside.copy(file).map_err(|error| unreadable(&from, error))?;
        aside.keep(&directory, &from, expected, mode)
    });
    copy.await.unwrap_or_else(|error| Err(unreadable(&name, error)))
}

async fn download(directory: &Path, from: &str, expected: Option<Digest>) -> Fetched {
    let request = Request::get(from).header("user-agent", "taxiway").body(Full::default());
    let request = request.map_err(|error| unreadable(from, error))?;
    let response = crate::http::send(request).await.map_err(|why| unreadable(from, why))?;
    if response.status() != StatusCode::OK {
        return Err(unreadable(from, format!("it was answered {}", response.status().as_u16())));
    }
    let mut aside = Aside::new(directory).map_err(|error| unreadable(from, error))?;
    let mut body = response.into_body();
    // A server that stops sending must not hold the start for ever.
    while let Some(frame) = tokio::time::timeout(STALL, body.frame())
        .await
        .map_err(|_| unreadable(from, format!("nothing came for {} s", STALL.as_secs())))?
    {
        let frame = frame.map_err(|error| unreadable(from, error))?;
        if let Some(piece) = frame.data_ref() {
            aside.write(piece).map_err(|error| unreadable(from, error))?;
        }
    }
    // What is fetched to be run has to be runnable; a server has no word for that.
    aside.keep(directory, from, expected, 0o755)
}

/// The kept copy of an artifact, when there is one and it still is what it was.
fn kept(directory: &Path, from: &str, digest: Digest) -> Option<PathBuf> {
    let path = place(directory, from, digest);
    let mut aside = Sha256::new();
    let mut file = File::open(&path).ok()?;
    io::copy(&mut file, &mut HashOnly(&mut aside)).ok()?;
    (<[u8; 32]>::from(aside.finalize()) == digest.0).then_some(path)
}

fn place(directory: &Path, from: &str, digest: Digest) -> PathBuf {
    let name = from.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("artifact");
    let name = name.split(['?', '#']).next().unwrap_or(name);
    directory.join(hex::encode(digest.0)).join(name)
}

struct HashOnly<'a>(&'a mut Sha256);

impl Write for HashOnly<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that is hashed while it is written and only gets its name when it is whole.
struct Aside {
    path: PathBuf,
    file: File,
    hash: Sha256,
}

impl Aside {
    fn new(directory: &Path) -> io::Result<Self> {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(0);
        fs::create_dir_all(directory)?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!("{}.{number}.part", std::process::id()));
        Ok(Self { file: File::create(&path)?, path, hash: Sha256::new() })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.file.write_all(bytes)
    }

    fn copy(&mut self, mut from: impl Read) -> io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match from.read(&mut buffer)? {
                0 => return Ok(()),
                read => self.write(&buffer[..read])?,
            }
        }
    }

    fn keep(self, directory: &Path, from: &str, expected: Option<Digest>, mode: u32) -> Fetched {
        let actual = Digest(self.hash.clone().finalize().into());
        if let Some(expected) = expected.filter(|expected| *expected != actual) {
            let (actual, expected) = (actual.to_string(), expected.to_string());
            return Err(Problem::ArtifactDiffers { from: from.to_owned(), actual, expected });
        }
        let path = place(directory, from, actual);
        let place = || -> io::Result<()> {
            fs::create_dir_all(path.parent().expect("it lies in a directory of its digest"))?;
            self.file.set_permissions(fs::Permissions::from_mode(mode & 0o777))?;
            fs::rename(&self.path, &path)
        };
        place().map_err(|error| unreadable(from, error))?;
        Ok(path)
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // After `keep` there is nothing under this name.
        drop(fs::remove_file(&self.path));
    }
}
