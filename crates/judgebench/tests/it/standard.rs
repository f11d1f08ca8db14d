//! The bench of whole releases, small: fixed seeds, the product's own state machine, every promise checked.

use taxiway_judgebench::standard::{Behaviour, Course, End, Found, Plan, Row, Service, Size};

const SMALL: Size = Size { healthy: 3, faulty: 3, beside: 1 };

fn demo(canary: (&'static str, Behaviour)) -> Found {
    Row { plan: Plan::Demo, service: Service::Shop, rps: 100.0, canary }.run(SMALL, 7)
}

fn all(found: &Found, is_one: fn(End) -> bool) -> bool {
    found.courses.len() == 3 && found.courses.iter().all(|course| is_one(course.end))
}

#[test]
fn the_demos_scenarios_end_as_they_should() {
    let back = |end| matches!(end, End::RolledBack(_));
    for (name, behaviour, within_ms) in [
        ("errors", Behaviour::Errors, 60_000),
        ("slow", Behaviour::TakesTimes(3.0), 20_000),
        ("crash", Behaviour::Crash, 15_000),
        ("late", Behaviour::Late, 80_000),
    ] {
        let found = demo((name, behaviour));
        assert!(all(&found, back), "{name}: {:?}", found.courses);
        let late = |course: &Course| matches!(course.end, End::RolledBack(at) if at > within_ms);
        assert!(!found.courses.iter().any(late), "{name}: {:?}", found.courses);
    }
    let outage = demo(("outage", Behaviour::Outage));
    assert!(all(&outage, |end| matches!(end, End::Held(_))), "{:?}", outage.courses);
    assert!(outage.courses[0].sentence.contains("the baseline fails too"));
}

#[test]
fn healthy_releases_keep_what_was_promised_and_a_seed_repeats_them() {
    let healthy = demo(("slow-start", Behaviour::SlowStart));
    assert_eq!(healthy.broken(), Vec::<String>::new());
    assert!(!healthy.courses.iter().any(|course| matches!(course.end, End::RolledBack(_))));
    assert_eq!(healthy, demo(("slow-start", Behaviour::SlowStart)));
    // With thirty canary requests a step excludes nothing, and the pre-flight has said so.
    let row = Row {
        plan: Plan::Canary,
        service: Service::Plain(0.001),
        rps: 10.0,
        canary: ("healthy", Behaviour::Healthy),
    };
    let found = row.run(SMALL, 7);
    assert!(all(&found, |end| matches!(end, End::Evidence(_))), "{:?}", found.courses);
    assert!(found.courses.iter().all(|course| course.warned));
    assert_eq!(found.broken(), Vec::<String>::new());
    assert_eq!(found.peers.len(), 4, "kayenta, argo, flagger and the ratio rule");
    assert!(found.peers.iter().all(|peer| peer.len() == 1));
}

/// One in a hundred may be; two may not, unless the pre-flight has said so. What is wrong may be sent back.
#[test]
fn a_broken_promise_is_told() {
    let course = |end, warned| Course { end, warned, raised: false, sentence: "why".to_owned() };
    let found = |behaviour, bad: &Course, count: usize| {
        let mut courses = vec![bad.clone(); count];
        courses.resize(100, course(End::Released(1), false));
        let row =
            Row { plan: Plan::Hour, service: Service::Plain(0.01), rps: 10.0, canary: ("x", behaviour) };
        Found { row, courses, peers: Vec::new() }.broken()
    };
    let back = course(End::RolledBack(1), false);
    assert!(found(Behaviour::Healthy, &back, 1).is_empty());
    assert!(found(Behaviour::Healthy, &back, 2)[0].contains("2 of 100 healthy releases rolled back"));
    assert!(found(Behaviour::Errors, &back, 100).is_empty());
    for end in [End::Held(1), End::Evidence(1)] {
        assert!(found(Behaviour::SlowStart, &course(end, false), 2)[0].contains("ask a person"));
        assert!(found(Behaviour::SlowStart, &course(end, true), 100).is_empty());
    }
}
