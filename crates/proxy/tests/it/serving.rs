//! A request through the proxy: routed, counted, kept after a restart.

use crate::world::{Control, Instance, World, free_address, stream, table, version, with_canary};
use taxiway_model::control::{Ask, Reply};
use taxiway_model::ids::Generation;
use taxiway_proxy::{Options, start};

#[test]
fn a_request_is_answered_and_counted() {
    let instance = Instance::saying("hello");
    let mut world = World::serving(&instance);
    let mut client = world.client();
    for _ in 0..5 {
        let answer = client.get("/", &[]);
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    }
    let counts = world.control.version("v1");
    assert_eq!((counts.requests, counts.status, counts.latency.total()), (5, [0, 5, 0, 0, 0], 5));
    let snapshot = world.control.counts();
    assert_eq!(snapshot.open[&version("v1")], 0);
    assert!(snapshot.first_routed[&version("v1")] <= snapshot.last_routed[&version("v1")]);
    assert!(snapshot.last_routed[&version("v1")] <= snapshot.at);
}

#[test]
fn the_canary_gets_its_share_and_nothing_after_a_return() {
    let (one, two) = (Instance::saying("one"), Instance::saying("two"));
    let mut world = World::new();
    let table = with_canary(table(&world.address, &[&one.address]), &[&two.address], 50);
    let applied = world.control.apply(&table);
    assert_eq!((applied.weight.bp(), applied.lease_ended), (5_000, false));
    let mut client = world.client();
    let canary = (0..400).filter(|_| client.get("/", &[]).text() == "two").count();
    assert!((130..270).contains(&canary), "{canary} of 400");
    let reply = world.control.ask(&Ask::ToBaseline { stream: stream(), generation: Generation(2) });
    let Reply::Applied(applied) = reply else { panic!("{reply:?}") };
    assert_eq!((applied.generation, applied.weight.bp(), applied.lease_ended), (Generation(2), 0, true));
    for _ in 0..200 {
        assert_eq!(client.get("/", &[]).text(), "one");
    }
    assert_eq!(two.seen(), canary as u64);
    let why =
        world.control.refused(&Ask::RenewLease { stream: stream(), generation: Generation(2), lease_ms: 9 });
    assert!(why.contains("given back"), "{why}");
    let why = world.control.refused(&Ask::Apply { table: Box::new(table.clone()) });
    assert!(why.contains("older"), "{why}");
}

#[test]
fn a_restarted_proxy_serves_from_its_table_but_without_a_lease() {
    let (one, two) = (Instance::saying("one"), Instance::saying("two"));
    let mut world = World::new();
    let table = with_canary(table(&world.address, &[&one.address]), &[&two.address], 100);
    world.control.apply(&table);
    assert_eq!(world.get("/").text(), "two");
    world.stop();
    let options = Options { dir: world.dir.path().to_owned(), cores: Some(1), ..Options::default() };
    let socket = options.control_socket();
    let running = start(options).unwrap();
    assert_eq!(world.get("/").text(), "one", "no lease survives a restart");
    let mut control = Control::to(&socket);
    let Reply::Hello { tables, .. } = control.ask(&Ask::Hello) else { panic!() };
    assert!(tables["shop/production"].lease_ended);
    control.ask(&Ask::RenewLease { stream: stream(), generation: Generation(1), lease_ms: 60_000 });
    assert_eq!(world.get("/").text(), "two", "renewed");
    running.stop(0);
}

#[test]
fn a_taken_port_is_refused_and_changes_nothing() {
    let instance = Instance::saying("hello");
    let mut world = World::serving(&instance);
    let mut second = table(&world.address, &[&instance.address]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let holder = std::net::TcpListener::bind(taken).unwrap();
    second.generation = Generation(2);
    second.listen.addresses.push(holder.local_addr().unwrap().to_string());
    let why = world.control.refused(&Ask::Apply { table: Box::new(second.clone()) });
    assert!(why.contains("another program has the port"), "{why}");
    assert_eq!(world.get("/").text(), "hello");
    second.listen.addresses[1] = free_address();
    assert_eq!(world.control.apply(&second).generation, Generation(2));
    let mut client = crate::world::Client::to(&second.listen.addresses[1]);
    assert_eq!(client.get("/", &[]).text(), "hello");
}
