//! The control socket: one JSON object per line in, one out (`taxiway_model::control`). A first
//! line that is an HTTP GET is answered with the metrics, so that `curl --unix-socket` works.

use crate::error::Error;
use crate::metrics;
use crate::plane::{Draining, Plane};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use taxiway_model::control::{Ask, Reply};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

/// Longest line: a table of some thousand instances is under 1 MiB.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What the process is asked to do beside serving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Finish open requests and end.
    After {
        /// How long they may take.
        drain_ms: u64,
    },
}

/// Makes the socket under a name of its own and moves it into place: whoever connects meets the
/// old socket or the new one, never none. Only the owner may use it.
pub fn bind(path: &Path) -> Result<UnixListener, Error> {
    let fail = |source| Error::ControlSocket { path: path.to_owned(), source };
    let fresh = path.with_extension(format!("{}", std::process::id()));
    if fresh.as_os_str().len() > 107 {
        return Err(fail(io::Error::new(io::ErrorKind::InvalidInput, "the path is too long for a socket")));
    }
    let _ = std::fs::remove_file(&fresh);
    let listener = UnixListener::bind(&fresh).map_err(fail)?;
    let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&fresh, owner_only).map_err(fail)?;
    std::fs::rename(&fresh, path).map_err(fail)?;
    Ok(listener)
}

/// Answers whoever connects, until the runtime ends.
pub async fn serve(plane: Arc<Plane>, listener: UnixListener, leave: mpsc::Sender<Leave>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (plane, leave) = (plane.clone(), leave.clone());
                tokio::spawn(async move {
                    if let Err(error) = converse(&plane, stream, &leave).await {
                        tracing::debug!(%error, "a control connection ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket could not accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn converse(plane: &Arc<Plane>, stream: UnixStream, leave: &mpsc::Sender<Leave>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let mut line = Vec::new();
    loop {
        line.clear();
        let count = (&mut read).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await?;
        if count == 0 {
            return Ok(());
        }
        if line.starts_with(b"GET ") {
            return write.write_all(metrics::http(plane).as_bytes()).await;
        }
        let ask = serde_json::from_slice::<Ask>(&line);
        if plane.is_replaced() {
            // The successor answers on the same path; whoever asks will find it there.
            if let Ok(Ask::ToBaseline { stream, generation }) = ask {
                let _ = plane.to_baseline(&stream, generation);
            }
            return Ok(());
        }
        let reply = match ask {
            Ok(ask) => answer(plane, ask, leave).await,
            Err(error) => Reply::Refused {
                why: format!(
                    "this line is not an ask: {error}; send one JSON object per line, such as {{\"ask\":\"hello\"}}"
                ),
                generation: None,
            },
        };
        let mut text = serde_json::to_vec(&reply).map_err(io::Error::other)?;
        text.push(b'\n');
        write.write_all(&text).await?;
    }
}

async fn answer(plane: &Arc<Plane>, ask: Ask, leave: &mpsc::Sender<Leave>) -> Reply {
    let result = match ask {
        Ask::Hello => Ok(plane.hello()),
        Ask::Apply { table } => {
            let applied = blocking(plane, move |plane| plane.apply(&table)).await;
            applied.map(|(applied, draining)| {
                drain_later(plane, draining);
                Reply::Applied(applied)
            })
        }
        Ask::ToBaseline { stream, generation } => {
            plane.to_baseline(&stream, generation).map(|(applied, draining)| {
                drain_later(plane, draining);
                // The disk learns of it after the reply: going back waits for nothing.
                let plane = plane.clone();
                tokio::task::spawn_blocking(move || plane.keep_returned(&stream));
                Reply::Applied(applied)
            })
        }
        Ask::RenewLease { stream, generation, lease_ms } => {
            plane.renew(&stream, generation, lease_ms).map(Reply::Applied)
        }
        Ask::Counts { stream } => plane.counts(&stream).map(|snapshot| Reply::Counts(Box::new(snapshot))),
        Ask::Remove { stream } => {
            blocking(plane, move |plane| plane.remove(&stream)).await.map(|()| Reply::Done)
        }
        Ask::Shutdown { drain_ms } => {
            // The receiver is gone only when the process is ending already.
            let _ = leave.send(Leave::After { drain_ms }).await;
            Ok(Reply::Done)
        }
    };
    result.unwrap_or_else(|error| Reply::Refused { generation: error.generation(), why: error.to_string() })
}

async fn blocking<T: Send + 'static>(
    plane: &Arc<Plane>,
    work: impl FnOnce(&Plane) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let plane = plane.clone();
    match tokio::task::spawn_blocking(move || work(&plane)).await {
        Ok(result) => result,
        Err(panicked) => Err(Error::Start(io::Error::other(panicked))),
    }
}

/// Closes what is still open at a version that lost its share, once its time is over.
fn drain_later(plane: &Arc<Plane>, draining: Option<Draining>) {
    if let Some(draining) = draining {
        let plane = plane.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(draining.drain_ms)).await;
            plane.cut(&draining);
        });
    }
}
