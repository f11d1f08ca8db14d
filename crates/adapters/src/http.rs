//! One plain HTTP request over a connection of its own, as probes and checks need it.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// Connects to `authority` and sends the request, whose URI is absolute.
///
/// # Errors
/// One line for people: nothing listens, the answer is not HTTP, the connection broke.
pub(crate) async fn send(
    authority: &str,
    request: Request<Full<Bytes>>,
    h2c: bool,
) -> Result<Response<Incoming>, String> {
    let stream = TcpStream::connect(authority).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::ConnectionRefused => format!("nothing listens on {authority}"),
        _ => format!("no connection to {authority}: {error}"),
    })?;
    let io = TokioIo::new(stream);
    let broke = |error: hyper::Error| format!("no answer from {authority}: {}", chain(&error));
    if h2c {
        let (mut sender, driver) = http2::handshake(TokioExecutor::new(), io).await.map_err(broke)?;
        tokio::spawn(async move { drop(driver.await) });
        sender.send_request(request).await.map_err(broke)
    } else {
        let (mut sender, driver) = http1::handshake(io).await.map_err(broke)?;
        tokio::spawn(async move { drop(driver.await) });
        sender.send_request(origin_form(request)).await.map_err(broke)
    }
}

/// HTTP/1.1 servers expect the path alone, and the authority in `Host`.
fn origin_form(mut request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
    if !request.headers().contains_key(http::header::HOST)
        && let Ok(host) = authority.parse()
    {
        request.headers_mut().insert(http::header::HOST, host);
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse().expect("a part of a URI is a URI");
    request
}

/// An error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
