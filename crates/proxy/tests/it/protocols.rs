//! HTTP/1.1, HTTP/2, gRPC's trailers, WebSocket, SSE, 100-continue, TLS: what crosses the proxy.

use crate::world::{Client, Instance, PATIENCE, World, eventually, listen, read_request, table, version};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use taxiway_model::control::Ask;
use taxiway_model::ids::Generation;
use taxiway_model::route::{Tls, UpstreamProtocol};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

type Sender = hyper::client::conn::http2::SendRequest<Full<Bytes>>;

/// An HTTP/2 connection to the proxy, over whatever stream.
async fn http2<S>(stream: S) -> Sender
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn http2_to(address: &str) -> Sender {
    http2(tokio::net::TcpStream::connect(address).await.unwrap()).await
}

/// An h2c instance that answers like a gRPC server: the body back, then trailers.
fn grpc_instance() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        runtime().block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service_fn(grpc_answer));
                tokio::spawn(serving);
            }
        });
    });
    address
}

async fn grpc_answer(
    request: Request<Incoming>,
) -> Result<Response<impl hyper::body::Body<Data = Bytes, Error = Infallible>>, Infallible> {
    let te = request.headers().get("te").cloned().unwrap_or(HeaderValue::from_static("none"));
    let target = HeaderValue::from_str(&request.uri().to_string()).unwrap();
    let body = request.into_body().collect().await.unwrap();
    let sent = body.trailers().and_then(|t| t.get("x-sent").cloned());
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers.insert("x-sent", sent.unwrap_or(HeaderValue::from_static("none")));
    let frames = [Ok(Frame::data(body.to_bytes())), Ok(Frame::trailers(trailers))];
    let mut response = Response::new(StreamBody::new(futures_util::stream::iter(frames)));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response.headers_mut().insert("x-te", te);
    response.headers_mut().insert("x-target", target);
    Ok(response)
}

fn grpc_world() -> World {
    let mut world = World::new();
    let mut table = table(&world.address, &[&grpc_instance()]);
    table.backends.get_mut(&version("v1")).unwrap()[0].protocol = UpstreamProtocol::H2c;
    world.control.apply(&table);
    world
}

#[test]
fn grpc_crosses_with_its_trailers() {
    let mut world = grpc_world();
    runtime().block_on(async {
        let mut sender = http2_to(&world.address).await;
        for i in 0..10 {
            let request = Request::post("http://shop.test/pkg.Service/Method")
                .header("te", "trailers")
                .body(Full::new(Bytes::from(format!("message {i}"))))
                .unwrap();
            let response = sender.send_request(request).await.unwrap();
            assert_eq!(response.headers()["x-te"], "trailers");
            assert_eq!(response.headers()["x-target"], "http://shop.test/pkg.Service/Method");
            let body = response.into_body().collect().await.unwrap();
            assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
            assert_eq!(body.to_bytes(), format!("message {i}"));
        }
    });
    assert_eq!(world.control.version("v1").status, [0, 10, 0, 0, 0]);
}

#[test]
fn an_http1_client_reaches_an_h2c_instance() {
    let world = grpc_world();
    let mut client = world.client();
    client.send(
        b"POST /a?b=c HTTP/1.1\r\nhost: shop.test\r\ntrailer: x-sent\r\ntransfer-encoding: chunked\r\n\r\n\
          5\r\nhello\r\n0\r\nx-sent: yes\r\n\r\n",
    );
    let answer = client.answer().unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    assert_eq!(answer.header("x-target"), Some("http://shop.test/a?b=c"));
    assert_eq!(answer.header("connection"), None);
}

#[test]
fn an_http2_client_reaches_an_http1_instance() {
    let world = World::serving(&Instance::echoing());
    runtime().block_on(async {
        let mut sender = http2_to(&world.address).await;
        let request = Request::post("http://shop.test/path?q=1")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .body(Full::new(Bytes::from_static(b"payload")))
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        let seen = response.into_body().collect().await.unwrap().to_bytes();
        let seen = String::from_utf8_lossy(&seen).into_owned();
        for expected in [
            "POST /path?q=1 HTTP/1.1\r\n",
            "\r\nhost: shop.test\r\n",
            "\r\ncookie: a=1; b=2\r\n",
            "\r\n\r\npayload",
        ] {
            assert!(seen.contains(expected), "{expected:?} in {seen}");
        }
    });
}

#[test]
fn a_websocket_is_tunnelled_both_ways() {
    let instance = listen(|mut stream| {
        let mut buffered = Vec::new();
        let request = String::from_utf8(read_request(&mut stream, &mut buffered).unwrap()).unwrap();
        let lower = request.to_ascii_lowercase();
        assert!(lower.contains("connection: upgrade") && lower.contains("upgrade: websocket"), "{request}");
        stream
            .write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\nhello",
            )
            .unwrap();
        let mut piece = [0; 1024];
        while let Ok(count @ 1..) = stream.read(&mut piece) {
            stream.write_all(&piece[..count]).unwrap();
        }
    });
    let mut world = World::new();
    let table = table(&world.address, &[&instance]);
    world.control.apply(&table);
    let mut client = world.client();
    client.send(b"GET /ws HTTP/1.1\r\nhost: shop.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n");
    let (status, head) = client.head().unwrap();
    assert_eq!(status, 101);
    assert!(head.to_ascii_lowercase().contains("upgrade: websocket"), "{head}");
    assert_eq!(client.exactly(5), b"hello");
    for i in 0..50 {
        // What looks like requests is just bytes in a tunnel.
        let message = format!("message {i} GET / HTTP/1.1\r\n\r\n").into_bytes();
        client.send(&message);
        assert_eq!(client.exactly(message.len()), message);
    }
    assert_eq!(world.control.counts().open[&version("v1")], 1);
    drop(client);
    eventually("the tunnel's end", || (world.control.counts().open[&version("v1")] == 0).then_some(()));
    let counts = world.control.version("v1");
    assert_eq!((counts.requests, counts.status), (1, [1, 0, 0, 0, 0]));
}

#[test]
fn an_upgrade_that_is_declined_is_an_ordinary_answer() {
    let instance = Instance::saying("plain");
    let world = World::serving(&instance);
    let mut client = world.client();
    client.send(
        b"GET /ws HTTP/1.1\r\nhost: shop.test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n\
          GET /next HTTP/1.1\r\nhost: shop.test\r\n\r\n",
    );
    assert_eq!(client.answer().unwrap().text(), "plain");
    assert_eq!(client.answer().unwrap().text(), "plain", "the next request is a request, not tunnel bytes");
    assert_eq!(instance.seen(), 2);
}

#[test]
fn server_sent_events_come_as_they_are_sent() {
    let (tell, told) = std::sync::mpsc::channel::<()>();
    let told = std::sync::Mutex::new(told);
    let instance = listen(move |mut stream| {
        read_request(&mut stream, &mut Vec::new());
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n").unwrap();
        while told.lock().unwrap().recv().is_ok() {
            stream.write_all(b"data: tick\n\n").unwrap();
        }
    });
    let mut world = World::new();
    let table = table(&world.address, &[&instance]);
    world.control.apply(&table);
    let mut client = world.client();
    client.send(b"GET /events HTTP/1.1\r\nhost: shop.test\r\n\r\n");
    assert_eq!(client.head().unwrap().0, 200);
    for _ in 0..5 {
        // The next event is sent only once this one has arrived: nothing may be held back.
        tell.send(()).unwrap();
        assert_eq!(client.chunk().unwrap(), b"data: tick\n\n");
    }
    drop(tell);
    assert!(client.chunk().is_none());
    let counts = world.control.version("v1");
    assert_eq!((counts.requests, counts.status[1]), (1, 1));
}

#[test]
fn a_client_that_expects_100_continue_is_asked_for_its_body() {
    let world = World::serving(&Instance::echoing());
    let mut client = world.client();
    client.send(b"POST /x HTTP/1.1\r\nhost: shop.test\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n");
    assert_eq!(client.head().unwrap().0, 100);
    client.send(b"body");
    let answer = client.answer().unwrap();
    assert!(answer.text().ends_with("\r\n\r\nbody"), "{}", answer.text());
    assert!(!answer.text().contains("expect"), "{}", answer.text());
}

#[test]
fn trailers_of_an_answer_cross_http1() {
    let instance = Instance::answering(|_| {
        b"HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n"
            .to_vec()
    });
    let world = World::serving(&instance);
    let mut client = world.client();
    client.send(b"GET / HTTP/1.1\r\nhost: shop.test\r\nte: trailers\r\nconnection: te\r\n\r\n");
    let (status, head) = client.head().unwrap();
    assert!(status == 200 && head.to_ascii_lowercase().contains("trailer: x-sum"), "{head}");
    assert_eq!(client.chunk().unwrap(), b"abc");
    assert_eq!(client.exactly(15), b"0\r\nx-sum: 6\r\n\r\n"[..15]);
}

#[test]
fn head_answers_and_empty_answers_keep_the_connection() {
    let instance = Instance::answering(|request| {
        if request.starts_with(b"HEAD") {
            b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n".to_vec()
        } else if request.starts_with(b"GET /none") {
            b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()
        } else {
            b"HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n".to_vec()
        }
    });
    let world = World::serving(&instance);
    let mut client = world.client();
    for _ in 0..3 {
        client.send(b"HEAD / HTTP/1.1\r\nhost: shop.test\r\n\r\n");
        let (status, head) = client.head().unwrap();
        assert!(status == 200 && head.to_ascii_lowercase().contains("content-length: 1000"), "{head}");
        client.send(b"GET /none HTTP/1.1\r\nhost: shop.test\r\n\r\n");
        assert_eq!(client.head().unwrap().0, 204);
        client.send(b"GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n");
        assert_eq!(client.head().unwrap().0, 304);
    }
}

fn certificates() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/certificates")
}

fn connector(authority: &str, protocol: &[u8]) -> tokio_rustls::TlsConnector {
    use rustls_pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    let pem = certificates().join(format!("{authority}-ca.pem"));
    roots.add(rustls_pki_types::CertificateDer::from_pem_file(pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    Arc::new(config).into()
}

/// What a request over TLS reads back from an echoing instance, if the handshake succeeds.
fn over_tls(address: &str, authority: &str, protocol: &[u8]) -> Option<String> {
    runtime().block_on(async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let name = "shop.test".try_into().unwrap();
        let stream = connector(authority, protocol).connect(name, stream).await.ok()?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
        let request = Request::get("https://shop.test/x");
        let body = if protocol == b"h2" {
            let mut sender = http2(stream).await;
            sender.send_request(request.body(Full::default()).unwrap()).await.unwrap().into_body()
        } else {
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            let request =
                request.uri("/x").header("host", "shop.test").body(Full::<Bytes>::default()).unwrap();
            sender.send_request(request).await.unwrap().into_body()
        };
        Some(String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
    })
}

#[test]
fn tls_negotiates_the_protocol_and_follows_changed_files() {
    let mut world = World::new();
    let files = world.dir.path().join("tls");
    std::fs::create_dir(&files).unwrap();
    let put = |name: &str| {
        for kind in ["pem", "key"] {
            std::fs::copy(certificates().join(format!("{name}.{kind}")), files.join(format!("live.{kind}")))
                .unwrap();
        }
    };
    put("one");
    let mut table = table(&world.address, &[&Instance::echoing().address]);
    let path = |kind: &str| files.join(format!("live.{kind}")).to_str().unwrap().to_owned();
    table.listen.tls = Some(Tls { certificate: path("pem"), key: path("key") });
    world.control.apply(&table);
    for protocol in [&b"h2"[..], b"http/1.1"] {
        let seen = over_tls(&world.address, "one", protocol).expect("a handshake");
        assert!(seen.contains("x-forwarded-proto: https"), "{seen}");
    }
    assert!(over_tls(&world.address, "two", b"h2").is_none());
    put("two");
    eventually("the new certificate", || over_tls(&world.address, "two", b"h2"));
    std::fs::write(files.join("live.pem"), "not a certificate").unwrap();
    table.generation = Generation(2);
    let why = world.control.refused(&Ask::Apply { table: Box::new(table.clone()) });
    assert!(why.contains("live.pem") && why.contains("expected PEM"), "{why}");
    assert!(over_tls(&world.address, "two", b"h2").is_some(), "the old one stays in use");
    // Plain HTTP at a TLS port is no request.
    let mut plain = Client::to(&world.address);
    plain.send(b"GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n");
    plain.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(plain.answer().is_none());
}

#[test]
fn bodies_stream_both_ways_with_back_pressure() {
    const PIECES: usize = 4 * 256;
    let instance = listen(|mut stream| {
        let mut piece = vec![0; 64 * 1024];
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut piece[..1]).unwrap();
            head.push(piece[0]);
        }
        stream
            .write_all(
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", PIECES * 64 * 1024).as_bytes(),
            )
            .unwrap();
        // Echoes piece by piece: neither side ever has it whole.
        for _ in 0..PIECES {
            stream.read_exact(&mut piece).unwrap();
            stream.write_all(&piece).unwrap();
        }
    });
    let mut world = World::new();
    let table = table(&world.address, &[&instance]);
    world.control.apply(&table);
    let mut client = world.client();
    let length = PIECES * 64 * 1024;
    client.send(format!("POST / HTTP/1.1\r\nhost: shop.test\r\ncontent-length: {length}\r\n\r\n").as_bytes());
    let mut upload: TcpStream = client.stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        for i in 0..PIECES {
            upload.write_all(&vec![i as u8; 64 * 1024]).unwrap();
        }
    });
    assert_eq!(client.head().unwrap().0, 200);
    for i in 0..PIECES {
        assert!(client.exactly(64 * 1024).iter().all(|b| *b == i as u8), "piece {i}");
    }
    sending.join().unwrap();
}

#[test]
fn forwarding_headers_of_strangers_are_replaced() {
    let mut world = World::new();
    let mut table = table(&world.address, &[&Instance::echoing().address]);
    world.control.apply(&table);
    let claimed = [
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-port", "1"),
        ("x-real-ip", "203.0.113.9"),
        ("forwarded", "for=203.0.113.9"),
        ("connection", "x-private, keep-alive"),
        ("x-private", "secret"),
        ("keep-alive", "timeout=5"),
        ("proxy-authorization", "Basic xx"),
    ];
    let seen = world.client().get("/", &claimed).text();
    for expected in [
        "x-forwarded-for: 127.0.0.1\r\n",
        "x-forwarded-proto: http\r\n",
        "x-forwarded-host: shop.test\r\n",
        "forwarded: for=127.0.0.1;proto=http\r\n",
        "host: shop.test\r\n",
    ] {
        assert!(seen.contains(expected), "{expected:?} in {seen}");
    }
    for gone in ["203.0.113.9", "evil", "x-forwarded-port", "x-private", "secret", "keep-alive", "proxy-auth"]
    {
        assert!(!seen.contains(gone), "{gone:?} in {seen}");
    }
    table.generation = Generation(2);
    table.listen.trusted_proxies = vec!["127.0.0.1".into()];
    world.control.apply(&table);
    let seen = world.client().get("/", &claimed).text();
    for expected in [
        "x-forwarded-for: 203.0.113.9, 127.0.0.1\r\n",
        "x-forwarded-proto: https\r\n",
        "x-forwarded-host: evil.test\r\n",
        "forwarded: for=203.0.113.9, for=127.0.0.1;proto=http\r\n",
    ] {
        assert!(seen.contains(expected), "{expected:?} in {seen}");
    }
}

#[test]
fn an_absolute_target_decides_the_host() {
    let world = World::serving(&Instance::echoing());
    let mut client = world.client();
    client.send(b"GET http://real.test/p?q HTTP/1.1\r\nhost: other.test\r\n\r\n");
    let seen = client.answer().unwrap().text();
    assert!(seen.starts_with("GET /p?q HTTP/1.1\r\n") && seen.contains("\r\nhost: real.test\r\n"), "{seen}");
    assert!(!seen.contains("other.test"), "{seen}");
}
