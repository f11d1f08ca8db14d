//! One HTTP request over a connection of its own, as probes, checks and downloads need it.

use std::fmt::Display;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Where systems keep the authorities they trust, in one file.
const AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Sends the request, whose URI is an absolute `http` or `https` one, over HTTP/1.1. Redirects are answers like any
/// other.
///
/// # Errors
/// One line for people: nothing listens, the certificate is not trusted, the connection broke.
pub(crate) async fn send(request: Request<Full<Bytes>>) -> Result<Response<Incoming>, String> {
    let uri = request.uri();
    let tls = uri.scheme() == Some(&Scheme::HTTPS);
    let host = uri.host().ok_or_else(|| format!("{uri} names no host"))?.to_owned();
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let stream = connect(&host, port).await?;
    if !tls {
        return exchange(stream, request, &host).await;
    }
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host.clone()).map_err(|_| format!("{host} is not a server name"))?;
    let connector = TlsConnector::from(tls_config()?);
    let stream =
        connector.connect(name, stream).await.map_err(|error| format!("no TLS with {host}: {error}"))?;
    exchange(stream, request, &host).await
}

/// As [`send`], over HTTP/2 without TLS.
pub(crate) async fn send_h2c(request: Request<Full<Bytes>>) -> Result<Response<Incoming>, String> {
    let uri = request.uri();
    let host = uri.host().ok_or_else(|| format!("{uri} names no host"))?.to_owned();
    let stream = connect(&host, uri.port_u16().unwrap_or(80)).await?;
    let io = TokioIo::new(stream);
    let (mut sender, driver) =
        http2::handshake(TokioExecutor::new(), io).await.map_err(|error| broke(&host, &error))?;
    tokio::spawn(async move { drop(driver.await) });
    sender.send_request(request).await.map_err(|error| broke(&host, &error))
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let authority = format!("{host}:{port}");
    TcpStream::connect(&authority).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::ConnectionRefused => format!("nothing listens on {authority}"),
        _ => format!("no connection to {authority}: {error}"),
    })
}

async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    host: &str,
) -> Result<Response<Incoming>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, driver) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| broke(host, &error))?;
    tokio::spawn(async move { drop(driver.await) });
    sender.send_request(origin_form(request)).await.map_err(|error| broke(host, &error))
}

fn broke(host: &str, error: &hyper::Error) -> String {
    format!("no answer from {host}: {}", chain(error))
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

/// The system's authorities, read once; `SSL_CERT_FILE` names another file, as it does for OpenSSL.
fn tls_config() -> Result<Arc<ClientConfig>, String> {
    static CONFIG: OnceLock<Result<Arc<ClientConfig>, String>> = OnceLock::new();
    CONFIG.get_or_init(read_tls_config).clone()
}

fn read_tls_config() -> Result<Arc<ClientConfig>, String> {
    let named = std::env::var("SSL_CERT_FILE").ok();
    let mut files = named.iter().map(String::as_str).chain(AUTHORITIES);
    let file = files.find(|file| std::path::Path::new(file).exists());
    let file = file.ok_or(
        "no file of trusted authorities on this machine; install ca-certificates or set SSL_CERT_FILE",
    )?;
    let unreadable =
        |error: &dyn Display| format!("the trusted authorities in {file} cannot be read: {error}");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unreadable(&error))? {
        // One that this TLS library does not understand must not take the others away.
        roots.add_parsable_certificates([certificate.map_err(|error| unreadable(&error))?]);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("no TLS: {error}"))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
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
