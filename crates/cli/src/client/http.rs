//! HTTP/1.1 over a Unix socket, one connection for each question.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};

use super::Lost;

/// The largest answer that is read at once: a history of some ten thousand releases.
const BODY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime needs a few descriptors only")
}

async fn ask(
    socket: &Path,
    method: &str,
    path: &str,
    body: Option<Vec<u8>>,
) -> Result<hyper::Response<Incoming>, String> {
    let stream = UnixStream::connect(socket).await.map_err(|e| format!("{}: {e}", socket.display()))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
    tokio::spawn(connection);
    let request = hyper::Request::builder()
        .method(method)
        .uri(path)
        .header("host", "taxiway")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.unwrap_or_default())))
        .map_err(|e| e.to_string())?;
    sender.send_request(request).await.map_err(|e| e.to_string())
}

/// Asks and reads the whole answer.
pub(crate) fn exchange(
    socket: &Path,
    method: &str,
    path: &str,
    body: Option<Vec<u8>>,
    time_max: Duration,
) -> Result<Answer, Lost> {
    let whole = async {
        let response = ask(socket, method, path, body).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX);
        let body = body.collect().await.map_err(|e| e.to_string())?.to_bytes().to_vec();
        Ok(Answer { status, body })
    };
    match runtime().block_on(async { tokio::time::timeout(time_max, whole).await }) {
        Ok(answer) => answer.map_err(Lost::Gone),
        Err(_) => Err(Lost::Silent),
    }
}

/// A stream of JSON lines.
#[derive(Debug)]
pub(crate) struct Lines {
    runtime: Runtime,
    body: Incoming,
    begun: Vec<u8>,
}

/// What came of waiting for a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line, without its end.
    Text(Vec<u8>),
    /// None in time.
    Nothing,
    /// The other side went away.
    End,
    /// Ctrl-C.
    Interrupted,
}

impl Lines {
    /// Opens a stream; says why when it cannot.
    pub(crate) fn open(socket: &Path, path: &str) -> Result<Self, String> {
        let runtime = runtime();
        let response = runtime.block_on(ask(socket, "GET", path, None))?;
        if !response.status().is_success() {
            return Err(format!("{path} is answered {}", response.status()));
        }
        Ok(Self { runtime, body: response.into_body(), begun: Vec::new() })
    }

    /// The next line, waiting for at most `wait`.
    pub(crate) fn next(&mut self, wait: Duration) -> Line {
        let Self { runtime, body, begun } = self;
        let line = async {
            loop {
                if let Some(end) = begun.iter().position(|byte| *byte == b'\n') {
                    let mut line: Vec<u8> = begun.drain(..=end).collect();
                    line.pop();
                    return Line::Text(line);
                }
                match body.frame().await {
                    Some(Ok(frame)) => begun.extend(frame.into_data().unwrap_or_default()),
                    Some(Err(_)) | None => return Line::End,
                }
            }
        };
        runtime.block_on(async {
            tokio::select! {
                line = line => line,
                () = tokio::time::sleep(wait) => Line::Nothing,
                _ = tokio::signal::ctrl_c() => Line::Interrupted,
            }
        })
    }
}
