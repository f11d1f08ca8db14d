//! HTTPS with the system's authorities: trusted when named there, refused otherwise.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use taxiway_model::plan::CheckRun;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::room::Room;
use crate::process::role::{self, ROLE};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data").join(name)
}

/// Answers one request on each connection.
async fn serve(listener: tokio::net::TcpListener) {
    let chain = CertificateDer::pem_file_iter(data("localhost.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(data("localhost.key")).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    while let Ok((stream, _)) = listener.accept().await {
        // A client that does not trust us breaks the handshake off.
        let Ok(mut stream) = acceptor.accept(stream).await else { continue };
        let mut request = [0; 4096];
        drop(stream.read(&mut request).await);
        drop(
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nsecure")
                .await,
        );
        drop(stream.shutdown().await);
    }
}

/// In a process of its own, since the authorities are read once: asks and prints what came of it.
pub(crate) fn ask() {
    let run = CheckRun::Http {
        method: "GET".to_owned(),
        url: std::env::var("TEST_URL").unwrap(),
        headers: Vec::new(),
        body: None,
        expect_status: Vec::new(),
        expect_body: Some("secure".to_owned()),
    };
    let evidence = Room::new().play("https", 10_000, run);
    println!("passed={} said={}", evidence.passed, evidence.said);
}

fn ask_with(authorities: &Path, url: &str) -> String {
    let words = role::command();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env(ROLE, "https").env("SSL_CERT_FILE", authorities).env("TEST_URL", url);
    let output = command.stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_server_is_trusted_by_the_authorities_of_the_system_only() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    runtime.spawn(serve(listener));
    let url = format!("https://localhost:{port}/");
    let trusted = ask_with(&data("authority.pem"), &url);
    assert!(trusted.contains("passed=true"), "{trusted}");
    let stranger = ask_with(&data("stranger.pem"), &url);
    assert!(stranger.contains("passed=false") && stranger.contains("no TLS with localhost"), "{stranger}");
    let other_name = ask_with(&data("authority.pem"), &format!("https://127.0.0.1:{port}/"));
    assert!(other_name.contains("passed=false"), "{other_name}");
}
