//! What an operator meets: several services in one proxy, metrics, refusals that say what to do.

use crate::downgrade::{fields, frame, opening};
use crate::world::{
    Client, Control, Instance, World, eventually, free_address, stream, table, version, with_canary,
};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use taxiway_model::control::{Ask, Reply};
use taxiway_model::ids::Generation;
use taxiway_model::route::{EndpointClass, HeaderRule, HeaderSource, RouteTable, Sticky, Tls};
use taxiway_proxy::Options;

#[test]
fn several_services_live_in_one_proxy() {
    let (shop, blog) = (Instance::saying("shop"), Instance::saying("blog"));
    let mut world = World::serving(&shop);
    let mut other = table(&free_address(), &[&blog.address]);
    other.stream = "blog/production".parse().unwrap();
    world.control.apply(&other);
    assert_eq!(world.get("/").text(), "shop");
    assert_eq!(Client::to(&other.listen.addresses[0]).get("/", &[]).text(), "blog");
    let Reply::Hello { tables, .. } = world.control.ask(&Ask::Hello) else { panic!() };
    assert_eq!(tables.len(), 2);
    other.generation = Generation(2);
    other.listen.addresses.push(world.address.clone());
    let why = world.control.refused(&Ask::Apply { table: Box::new(other.clone()) });
    assert!(why.contains("shop/production already does"), "{why}");
    world.control.ask(&Ask::Remove { stream: other.stream.clone() });
    eventually("its listener gone", || {
        std::net::TcpStream::connect(&other.listen.addresses[0]).is_err().then_some(())
    });
    assert_eq!(world.get("/").text(), "shop");
}

#[test]
fn metrics_are_told_on_both_doors() {
    let address = free_address();
    let options = Options { cores: Some(1), metrics: Some(address.parse().unwrap()), ..Options::default() };
    let mut world = World::with(options);
    let instance = Instance::saying("hello");
    world.control.apply(&table(&world.address, &[&instance.address]));
    for _ in 0..3 {
        world.get("/");
    }
    let mut socket = UnixStream::connect(world.dir.path().join("proxy/control.sock")).unwrap();
    socket.write_all(b"GET /metrics HTTP/1.1\r\nhost: proxy\r\n\r\n").unwrap();
    let mut local = String::new();
    socket.read_to_string(&mut local).unwrap();
    let remote = Client::to(&address).get("/metrics", &[]).text();
    let labels = r#"stream="shop/production",version="v1",class="other""#;
    for line in [
        format!(r#"taxiway_proxy_requests_total{{{labels},end="2xx"}} 3"#),
        format!("taxiway_proxy_latency_seconds_count{{{labels}}} 3"),
        format!(r#"taxiway_proxy_latency_seconds_bucket{{{labels},le="+Inf"}} 3"#),
        r#"taxiway_proxy_canary_weight{stream="shop/production"} 0"#.to_owned(),
    ] {
        assert!(local.contains(&line), "{line} in {local}");
        assert!(remote.contains(&line), "{line} in {remote}");
    }
}

#[test]
fn tables_that_cannot_be_served_are_refused_with_what_to_do() {
    type Change = fn(&mut RouteTable);
    let cases: [(&str, Change); 14] = [
        ("write it like 10.0.0.0/8", |t| t.listen.trusted_proxies = vec!["10.0.0.0/40".into()]),
        ("expected PEM", |t| {
            t.listen.tls = Some(Tls { certificate: "/nowhere".into(), key: "/nowhere".into() });
        }),
        ("name at least one host:port", |t| t.listen.addresses.clear()),
        ("write host:port", |t| t.listen.addresses = vec!["nonsense".into()]),
        ("port 0 is no port", |t| t.listen.addresses = vec!["127.0.0.1:0".into()]),
        ("one of this machine", |t| t.listen.addresses = vec!["192.0.2.1:8080".into()]),
        ("write host:port", |t| t.backends.get_mut(&version("v1")).unwrap()[0].address = "127.0.0.1".into()),
        ("has no entry in backends", |t| t.baseline = Some(version("v9"))),
        ("both baseline and canary", |t| t.canary.as_mut().unwrap().version = version("v1")),
        ("limit header_ms_max is zero", |t| t.listen.limits.header_ms_max = 0),
        ("not a valid header name", |t| t.listen.sticky = Sticky::Header { name: "a b".into() }),
        ("not a valid cookie name", |t| t.listen.sticky = Sticky::Cookie { name: "a;b".into() }),
        ("not a valid header name", |t| {
            let rule = HeaderRule { from: HeaderSource::Header, name: "a:b".into(), values: Vec::new() };
            t.canary.as_mut().unwrap().header = Some(rule);
        }),
        ("put the most specific first", |t| {
            let class = |name: &str, prefix: &str| EndpointClass { name: name.into(), prefix: prefix.into() };
            t.listen.endpoint_classes = vec![class("all", "/a"), class("some", "/a/b")];
        }),
    ];
    let instance = Instance::saying("hello");
    let mut world = World::serving(&instance);
    for (expected, change) in cases {
        let mut bad = with_canary(table(&world.address, &[&instance.address]), &[&instance.address], 5);
        bad.generation = Generation(2);
        change(&mut bad);
        let why = world.control.refused(&Ask::Apply { table: Box::new(bad) });
        assert!(why.contains(expected), "{expected:?} in {why:?}");
    }
    assert_eq!(world.get("/").text(), "hello", "nothing has changed");
    assert_eq!(world.control.counts().generation, Generation(1));
}

#[test]
fn nonsense_on_the_control_socket_is_answered_and_forgotten() {
    let world = World::new();
    let mut socket = UnixStream::connect(world.dir.path().join("proxy/control.sock")).unwrap();
    socket.write_all(b"nonsense\n{\"ask\":\"dance\"}\n\xff\xfe\n{\"ask\":\"hello\"}\n").unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    let mut replies = String::new();
    socket.read_to_string(&mut replies).unwrap();
    let kinds: Vec<_> = replies.lines().map(|line| line.contains("\"refused\"")).collect();
    assert_eq!(kinds, [true, true, true, false], "{replies}");
    let missing = Ask::ToBaseline { stream: stream(), generation: Generation(1) };
    let mut control = Control::to(&world.dir.path().join("proxy/control.sock"));
    assert!(control.refused(&missing).contains("there is no service shop/production"));
}

#[test]
fn a_client_that_stops_reading_its_http2_window_is_ended() {
    let instance = Instance::answering(|_| {
        let mut answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4194304\r\n\r\n".to_vec();
        answer.resize(answer.len() + 4_194_304, b'x');
        answer
    });
    let mut world = World::new();
    let mut table = table(&world.address, &[&instance.address]);
    table.listen.limits.idle_ms_max = 400;
    world.control.apply(&table);
    let mut client = world.client();
    let block =
        fields(&[(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"x"), (b":path", b"/")]);
    // Reads the socket dry but never opens the window of 65,535 bytes again.
    client.send(&[opening(), frame(1, 5, 1, &block)].concat());
    let mut all = Vec::new();
    let _ = client.stream.read_to_end(&mut all);
    assert!(all.len() < 200_000, "{} bytes", all.len());
    assert_eq!(world.control.counts().refused["write_timeout"], 1);
    eventually("nothing open", || world.control.counts().open.values().all(|open| *open == 0).then_some(()));
}

#[test]
fn an_http10_client_without_a_host_is_served() {
    let world = World::serving(&Instance::echoing());
    let mut client = world.client();
    client.send(b"GET /x HTTP/1.0\r\n\r\n");
    let seen = client.answer().unwrap().text();
    assert!(seen.starts_with("GET /x HTTP/1.1\r\n") && seen.contains("\r\nhost: 127.0.0.1:"), "{seen}");
}

#[test]
fn shutting_down_finishes_what_is_open() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let instance = Instance::answering(move |_| {
        wait.lock().unwrap().recv().unwrap();
        b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlast".to_vec()
    });
    let dir = tempfile::tempdir().unwrap();
    let address = free_address();
    let mut process = crate::process::Process::start(dir.path(), false);
    let mut control = process.control();
    control.apply(&table(&address, &[&instance.address]));
    let mut client = Client::to(&address);
    client.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    eventually("an open request", || (control.counts().open[&version("v1")] == 1).then_some(()));
    assert_eq!(control.ask(&Ask::Shutdown { drain_ms: 20_000 }), Reply::Done);
    eventually("no new connections", || std::net::TcpStream::connect(&address).is_err().then_some(()));
    go.send(()).unwrap();
    let answer = client.answer().unwrap();
    assert_eq!((answer.text().as_str(), answer.header("connection")), ("last", Some("close")));
    assert!(process.ends());
}
