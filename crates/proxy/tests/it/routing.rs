//! Which requests reach the canary: rules, stickiness, leases, mirrors, draining.

use crate::world::{Client, Instance, World, backends, eventually, stream, table, version, with_canary};
use std::collections::BTreeSet;
use std::time::Duration;
use taxiway_model::control::{Ask, Reply};
use taxiway_model::ids::Generation;
use taxiway_model::route::{
    ActiveHealth, EndpointClass, FreshRoute, HeaderRule, HeaderSource, RouteTable, Sticky,
};
use taxiway_model::weight::WeightBp;

/// A proxy with a baseline that says `one` and a canary that says `two`.
fn split(percent: u16, change: impl FnOnce(&mut RouteTable)) -> (World, Instance, Instance, RouteTable) {
    let (one, two) = (Instance::saying("one"), Instance::saying("two"));
    let mut world = World::new();
    let mut table = with_canary(table(&world.address, &[&one.address]), &[&two.address], percent);
    change(&mut table);
    world.control.apply(&table);
    (world, one, two, table)
}

#[test]
fn a_header_rule_reaches_the_canary_at_weight_zero() {
    let rule = |from, name: &str, values: &[&str]| HeaderRule {
        from,
        name: name.to_owned(),
        values: values.iter().map(|v| (*v).to_owned()).collect(),
    };
    let (mut world, _, _, mut table) = split(0, |t| {
        t.canary.as_mut().unwrap().header = Some(rule(HeaderSource::Header, "X-Internal", &["yes"]));
    });
    let mut client = world.client();
    assert_eq!(client.get("/", &[("x-internal", "yes")]).text(), "two");
    assert_eq!(client.get("/", &[("x-internal", "no")]).text(), "one");
    assert_eq!(client.get("/", &[]).text(), "one");
    table.generation = Generation(2);
    table.canary.as_mut().unwrap().header = Some(rule(HeaderSource::Cookie, "beta", &[]));
    world.control.apply(&table);
    assert_eq!(client.get("/", &[("cookie", "a=b; beta=1")]).text(), "two");
    assert_eq!(client.get("/", &[("cookie", "xbeta=1")]).text(), "one");
}

#[test]
fn a_cookie_keeps_a_user_on_a_side_and_growing_weights_keep_who_is_in() {
    let (mut world, _, _, mut table) =
        split(20, |t| t.listen.sticky = Sticky::Cookie { name: "side".into() });
    let mut client = world.client();
    let mut users = Vec::new();
    for _ in 0..60 {
        let first = client.get("/", &[]);
        let cookie = first.header("set-cookie").expect("a cookie for who has none").to_owned();
        assert!(cookie.contains("HttpOnly") && cookie.contains("Path=/"), "{cookie}");
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let again = client.get("/", &[("cookie", &cookie)]);
        assert_eq!(again.text(), first.text(), "the same side with {cookie}");
        assert!(again.header("set-cookie").is_none(), "set once");
        users.push((cookie, first.text()));
    }
    assert!(users.iter().any(|u| u.1 == "two") && users.iter().any(|u| u.1 == "one"));
    for (generation, percent) in [(2, 50), (3, 90)] {
        table.generation = Generation(generation);
        table.canary.as_mut().unwrap().weight = WeightBp::percent(percent);
        world.control.apply(&table);
        for (cookie, side) in &mut users {
            let now = client.get("/", &[("cookie", cookie)]).text();
            assert!(side == "one" || now == "two", "{cookie} was in and fell out at {percent} %");
            *side = now;
        }
    }
}

#[test]
fn a_lease_that_ends_gives_everything_to_the_baseline_until_it_is_renewed() {
    let (mut world, _, two, _) = split(100, |t| t.canary.as_mut().unwrap().lease_ms = 300);
    assert_eq!(world.get("/").text(), "two");
    eventually("the lease's end", || (world.get("/").text() == "one").then_some(()));
    let counts = world.control.counts();
    assert_eq!((counts.lease_ended, counts.weight), (true, WeightBp::ZERO));
    let seen = two.seen();
    for _ in 0..50 {
        assert_eq!(world.get("/").text(), "one");
    }
    assert_eq!(two.seen(), seen);
    let renew = |generation| Ask::RenewLease {
        stream: stream(),
        generation: Generation(generation),
        lease_ms: 60_000,
    };
    assert!(world.control.refused(&renew(0)).contains("older"));
    assert!(world.control.refused(&renew(9)).contains("apply its table first"));
    let Reply::Applied(applied) = world.control.ask(&renew(1)) else { panic!() };
    assert!(!applied.lease_ended);
    assert_eq!(world.get("/").text(), "two");
}

#[test]
fn after_the_reply_no_request_is_routed_to_the_canary() {
    let (mut world, _, _, _) = split(50, |_| {});
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (mut client, stop) = (world.client(), stop.clone());
            std::thread::spawn(move || {
                let mut count = 0;
                while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                    assert_eq!(client.get("/", &[]).status, 200);
                    count += 1;
                }
                count
            })
        })
        .collect();
    eventually("traffic on the canary", || (world.control.version("v2").requests > 50).then_some(()));
    let Reply::Applied(_) =
        world.control.ask(&Ask::ToBaseline { stream: stream(), generation: Generation(2) })
    else {
        panic!()
    };
    let replied = world.control.counts();
    let baseline = replied.versions[&version("v1")]["other"].requests;
    eventually("more traffic", || (world.control.version("v1").requests > baseline + 200).then_some(()));
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    let total: u64 = clients.into_iter().map(|c| c.join().unwrap()).sum();
    let after = world.control.counts();
    assert_eq!(after.last_routed[&version("v2")], replied.last_routed[&version("v2")]);
    assert!(after.last_routed[&version("v2")] <= replied.at);
    let counted = world.control.version("v1").requests + world.control.version("v2").requests;
    assert_eq!(counted, total, "every request is counted once");
}

#[test]
fn mirrored_requests_are_counted_apart_and_their_answers_dropped() {
    let one = Instance::echoing();
    let two = Instance::answering(|request| {
        let text = String::from_utf8_lossy(request).into_owned();
        let status = if text.contains("taxiway-mirror: 1") && text.ends_with("payload") { 200 } else { 500 };
        format!("HTTP/1.1 {status} X\r\ncontent-length: 3\r\n\r\ntwo").into_bytes()
    });
    let mut world = World::new();
    let mut table = with_canary(table(&world.address, &[&one.address]), &[&two.address], 0);
    table.canary.as_mut().unwrap().mirror = WeightBp::ALL;
    world.control.apply(&table);
    let mut client = world.client();
    for _ in 0..20 {
        client.send(b"POST /x HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 7\r\n\r\npayload");
        let answer = client.answer().unwrap();
        assert!(answer.text().ends_with("payload") && !answer.text().contains("taxiway-mirror"));
    }
    let mirrored = eventually("the copies' answers", || {
        let mirrored = world.control.counts().mirrored.remove(&version("v2"))?;
        (mirrored.requests == 20).then_some(mirrored)
    });
    assert_eq!(mirrored.status, [0, 20, 0, 0, 0]);
    assert_eq!((one.seen(), two.seen()), (20, 20));
    assert_eq!(world.control.version("v2").requests, 0, "mirrored answers are no answers of the version");
}

#[test]
fn endpoint_classes_are_counted_apart() {
    let (mut world, _, _, _) = split(0, |t| {
        t.listen.endpoint_classes = vec![
            EndpointClass { name: "cart".into(), prefix: "/shop/cart".into() },
            EndpointClass { name: "shop".into(), prefix: "/shop".into() },
        ];
    });
    let mut client = world.client();
    for path in ["/shop/cart/1", "/shop/cart", "/shop?x=/shop/cart", "/", "/other", "/x"] {
        client.get(path, &[]);
    }
    let counts = world.control.counts().versions.remove(&version("v1")).unwrap();
    let requests = |class: &str| counts[class].requests;
    assert_eq!((requests("cart"), requests("shop"), requests("other")), (2, 1, 3));
}

#[test]
fn each_instance_is_counted_by_itself() {
    let good = Instance::saying("good");
    let bad = Instance::answering(|_| b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n".to_vec());
    let mut world = World::new();
    world.control.apply(&table(&world.address, &[&good.address, &bad.address]));
    for _ in 0..10 {
        world.get("/");
    }
    let counts = world.control.counts();
    let at = &counts.answered_at[&version("v1")];
    let seen = |address: &str| (at[address].requests, at[address].failed);
    assert_eq!(seen(&good.address).0 + seen(&bad.address).0, 10);
    assert_eq!(seen(&good.address).1, 0);
    let (answered, failed) = seen(&bad.address);
    assert!(answered == failed && failed > 0, "{failed} of {answered}");
}

#[test]
fn a_draining_instance_gets_nothing_new_and_finishes_what_it_has() {
    let (slow, release) = gated("slow");
    let fast = Instance::saying("fast");
    let mut world = World::new();
    let mut table = table(&world.address, &[&slow]);
    world.control.apply(&table);
    let mut client = world.client();
    client.send(b"GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n");
    eventually("an open request", || (world.control.counts().open_at.get(&slow) == Some(&1)).then_some(()));
    table.generation = Generation(2);
    table.backends.get_mut(&version("v1")).unwrap()[0].accepting = false;
    table.backends.get_mut(&version("v1")).unwrap().extend(crate::world::backends(&[&fast.address]));
    world.control.apply(&table);
    for _ in 0..20 {
        assert_eq!(world.get("/").text(), "fast");
    }
    assert_eq!(world.control.counts().open_at[&slow], 1);
    release.send(()).unwrap();
    assert_eq!(client.answer().unwrap().text(), "slow");
    eventually("the end of draining", || (world.control.counts().open_at[&slow] == 0).then_some(()));
}

/// An instance that answers only when told to.
fn gated(body: &'static str) -> (String, std::sync::mpsc::Sender<()>) {
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let instance = Instance::answering(move |_| {
        wait.lock().unwrap().recv().unwrap();
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    });
    (instance.address, release)
}

#[test]
fn open_streams_of_a_rolled_back_canary_are_closed_after_the_drain_time() {
    let one = Instance::saying("one");
    let two = crate::world::listen(|mut stream| {
        use std::io::Write;
        crate::world::read_request(&mut stream, &mut Vec::new());
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n").unwrap();
        while stream.write_all(b"data: tick\n\n").is_ok() {
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let mut world = World::new();
    let table = with_canary(table(&world.address, &[&one.address]), &[&two], 100);
    world.control.apply(&table);
    let mut client = world.client();
    client.send(b"GET /events HTTP/1.1\r\nhost: shop.test\r\n\r\n");
    assert_eq!(client.head().unwrap().0, 200);
    assert!(client.chunk().is_some());
    world.control.ask(&Ask::ToBaseline { stream: stream(), generation: Generation(2) });
    assert!(client.chunk().is_some(), "the stream goes on for the drain time");
    while client.chunk().is_some() {}
    eventually("the stream's end", || (world.control.counts().open[&version("v2")] == 0).then_some(()));
    assert_eq!(world.get("/").text(), "one");
    assert_eq!(world.control.counts().refused["drained"], 1);
}

#[test]
fn an_unhealthy_instance_gets_nothing_and_comes_back() {
    let healthy = Instance::saying("healthy");
    let ill = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let answers = ill.clone();
    let sick = Instance::answering(move |request| {
        let probe = request.starts_with(b"GET /health ");
        let status = if probe && answers.load(std::sync::atomic::Ordering::SeqCst) { 503 } else { 200 };
        format!("HTTP/1.1 {status} X\r\ncontent-length: 4\r\n\r\nsick").into_bytes()
    });
    let mut world = World::new();
    let mut table = table(&world.address, &[&healthy.address, &sick.address]);
    table.listen.health = Some(ActiveHealth {
        path: "/health".into(),
        interval_ms: 50,
        timeout_ms: 1_000,
        unhealthy_after: 2,
        healthy_after: 2,
    });
    world.control.apply(&table);
    let why =
        eventually("the sick one found out", || world.control.counts().unhealthy.get(&sick.address).cloned());
    assert!(why.contains("answered 503"), "{why}");
    let mut client = world.client();
    let said: BTreeSet<_> = (0..30).map(|_| client.get("/", &[]).text()).collect();
    assert_eq!(said, BTreeSet::from(["healthy".to_owned()]));
    ill.store(false, std::sync::atomic::Ordering::SeqCst);
    eventually("the sick one back", || (client.get("/", &[]).text() == "sick").then_some(()));
}

#[test]
fn a_dead_instance_counts_against_its_version_and_is_avoided() {
    let alive = Instance::saying("alive");
    let dead = crate::world::free_address();
    let mut world = World::new();
    let table = table(&world.address, &[&alive.address, &dead]);
    world.control.apply(&table);
    let mut client = world.client();
    let failed = (0..60).filter(|_| client.get("/", &[]).status == 502).count();
    assert!((3..20).contains(&failed), "{failed} of 60 failed: three in a row take it out");
    let counts = world.control.version("v1");
    assert_eq!(
        (counts.requests, counts.connect_errors, counts.status[1]),
        (60, failed as u64, 60 - failed as u64)
    );
    assert!(world.control.counts().unhealthy[&dead].contains("refused"), "the reason is told");
}

#[test]
fn a_service_without_a_baseline_says_so() {
    let mut world = World::new();
    let mut empty = table(&world.address, &[]);
    empty.baseline = None;
    world.control.apply(&empty);
    let answer = world.get("/");
    assert_eq!((answer.status, answer.text().contains("no version serves this yet")), (503, true));
    assert_eq!(world.control.counts().refused["no_baseline"], 1);
    world.control.ask(&Ask::Remove { stream: stream() });
    eventually("the listener's end", || std::net::TcpStream::connect(&world.address).is_err().then_some(()));
    assert!(world.control.refused(&Ask::Counts { stream: stream() }).contains("no service"));
}

#[test]
fn sticky_by_address_believes_trusted_proxies_only() {
    let (mut world, _, _, mut table) = split(50, |t| t.listen.sticky = Sticky::Address);
    let sides = |client: &mut Client| {
        let all = (0..40).map(|i| client.get("/", &[("x-forwarded-for", &format!("203.0.113.{i}"))]).text());
        all.collect::<BTreeSet<_>>().len()
    };
    let mut client = world.client();
    assert_eq!(sides(&mut client), 1, "an untrusted client cannot choose its side");
    table.generation = Generation(2);
    table.listen.trusted_proxies = vec!["127.0.0.0/8".into()];
    world.control.apply(&table);
    assert_eq!(sides(&mut client), 2);
}

#[test]
fn a_renewed_table_never_lets_the_canarys_users_fall_back() {
    let (mut world, one, _, mut table) = split(100, |_| {});
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (mut client, stopped) = (world.client(), stop.clone());
    let asking = std::thread::spawn(move || {
        let mut count = 0;
        while !stopped.load(std::sync::atomic::Ordering::SeqCst) {
            assert_eq!(client.get("/", &[]).text(), "two");
            count += 1;
        }
        count
    });
    for generation in 2..60 {
        table.generation = Generation(generation);
        world.control.apply(&table);
    }
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(asking.join().unwrap() > 0);
    assert_eq!(one.seen(), 0);
}

#[test]
fn a_fresh_baseline_serves_beside_the_canary_and_goes_back_with_it() {
    let fresh = Instance::saying("fresh");
    let (mut world, one, _, mut table) = split(50, |table| {
        let version = version("v1").fresh();
        table.backends.insert(version.clone(), backends(&[&fresh.address]));
        let weight = WeightBp::percent(50);
        table.canary.as_mut().unwrap().fresh = Some(FreshRoute { version, weight });
    });
    for _ in 0..60 {
        assert_ne!(world.get("/").text(), "one", "both together have everything");
    }
    let counts = world.control.counts();
    let of = |name: &taxiway_model::ids::VersionName| {
        counts.versions.get(name).map_or(0, |classes| classes["other"].requests)
    };
    assert!(of(&version("v1").fresh()) > 5 && of(&version("v2")) > 5 && of(&version("v1")) == 0);
    assert_eq!(counts.answered_at[&version("v1").fresh()][&fresh.address].requests, fresh.seen());

    // Without an instance that is well its share is the baseline's, and nobody notices.
    table.backends.insert(version("v1").fresh(), Vec::new());
    world.control.apply(&table);
    for _ in 0..40 {
        assert_ne!(world.get("/").text(), "fresh");
    }
    let answered = one.seen();
    assert!(answered > 5, "{answered}");

    table.backends.insert(version("v1").fresh(), backends(&[&fresh.address]));
    world.control.apply(&table);
    let Reply::Applied(applied) =
        world.control.ask(&Ask::ToBaseline { stream: stream(), generation: Generation(2) })
    else {
        panic!("the way back is never refused")
    };
    assert_eq!(applied.weight, WeightBp::ZERO);
    for _ in 0..40 {
        assert_eq!(world.get("/").text(), "one", "both shares are back at once");
    }
}
