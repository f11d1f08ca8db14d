//! What users say: kept with the release, and a spike of problems rolls back (R4.5).

use crate::world::{World, version};
use taxiway_decide::environment::Environment;
use taxiway_decide::feedback::usual;
use taxiway_model::command::{Command, RefusalCode};
use taxiway_model::feedback::{Feedback, Kind};

fn problem(user: &str) -> Feedback {
    Feedback {
        release: None,
        step: None,
        version: None,
        kind: Kind::Problem,
        rating: Some(1),
        text: "it does not load\u{1b}[2J".to_owned(),
        user: (!user.is_empty()).then(|| user.to_owned()),
        key: None,
    }
}

fn say(world: &mut World, feedback: Feedback) {
    world.ask(&Command::Feedback { feedback: Box::new(feedback) }).unwrap();
}

/// v1 serves for a day, with this many problems, then v2 is on its first step.
fn a_day_of(problems: u64) -> World {
    let mut world = World::serving();
    for _ in 0..problems {
        say(&mut world, problem(""));
    }
    world.now = world.now.plus_ms(86_400_000);
    world.release("v2").unwrap();
    world.wait(2);
    world
}

fn returning(world: &World) -> Option<String> {
    match &world.state.flight {
        Some(flight) => flight.returning.as_ref().map(|returning| returning.sentence.clone()),
        None => {
            world.state.history.last().filter(|past| past.cause.is_some()).map(|past| past.sentence.clone())
        }
    }
}

#[test]
fn a_spike_rolls_back_with_its_numbers() {
    let mut world = a_day_of(3);
    for user in ["a", "b", "c", "d"] {
        say(&mut world, problem(user));
        assert_eq!(returning(&world), None, "fewer than five are no spike");
    }
    say(&mut world, problem("e"));
    let why = returning(&world).expect("five within seconds, where three a day are usual");
    assert_eq!(
        why,
        "a spike of user reports: 5 problems reported in 2s, at least 5 times the usual rate \
         (3 in 1d before this release)"
    );
    assert_eq!(world.weight(), 0);
    world.wait(5);
    let past = world.state.history.last().unwrap();
    assert_eq!((past.feedback.problems, past.feedback.all, past.feedback.stars), (5, 5, 5));
}

#[test]
fn one_voice_is_no_spike_however_loud() {
    let mut world = a_day_of(0);
    for _ in 0..50 {
        say(&mut world, problem("the same"));
        say(&mut world, Feedback { version: Some(version("v1")), ..problem("another") });
        say(&mut world, Feedback { kind: Kind::Praise, ..problem("") });
        say(&mut world, Feedback { key: Some("sent once".to_owned()), ..problem("yet another") });
    }
    assert_eq!(returning(&world), None);
    let heard = &world.state.flight.as_ref().unwrap().heard;
    assert_eq!((heard.tally.problems, heard.tally.praise, heard.tally.all), (2, 50, 151));
    assert_eq!(heard.latest.len(), taxiway_decide::feedback::LATEST_MAX);
    let (_, latest) = heard.latest.last().unwrap();
    assert_eq!(latest.release.as_ref().map(ToString::to_string).as_deref(), Some("shop-live-2"));
    assert_eq!((latest.step, latest.text.as_str()), (Some(0), "it does not load[2J"));
}

#[test]
fn as_many_as_usual_are_no_spike() {
    // 8,640 a day are one every ten seconds.
    let mut world = a_day_of(8_640);
    for _ in 0..60 {
        world.wait(10);
        if world.state.flight.is_none() {
            break;
        }
        say(&mut world, problem(""));
        assert_eq!(returning(&world), None);
    }
}

#[test]
fn without_a_usual_rate_nothing_is_a_spike() {
    let mut world = World::serving();
    world.release("v2").unwrap();
    world.wait(2);
    let flight = world.state.flight.as_ref().unwrap();
    let known = usual(&world.state, flight).map_or(0, |usual| usual.over_ms);
    assert!(known < 20_000, "it has hardly rested: {known}");
    for user in 0..5 {
        say(&mut world, problem(&user.to_string()));
    }
    assert_eq!(returning(&world), None, "what is usual is not known well enough");
}

#[test]
fn feedback_needs_something_that_can_have_been_used() {
    let mut world = World::empty();
    let said = Command::Feedback { feedback: Box::new(problem("a")) };
    assert_eq!(world.ask(&said).unwrap_err().code, RefusalCode::NothingInFlight);
    let mut world = World::serving();
    let stranger = taxiway_model::ids::ReleaseId::new("shop-live-9").unwrap();
    let said = Feedback { release: Some(stranger), ..problem("a") };
    let said = Command::Feedback { feedback: Box::new(said) };
    assert_eq!(world.ask(&said).unwrap_err().code, RefusalCode::NoSuchVersion);
}

#[test]
fn a_signal_with_a_known_key_is_one_signal() {
    let mut world = a_day_of(0);
    let signal = Command::Signal {
        signal: taxiway_model::event::Signal::Security,
        detail: "seen twice".to_owned(),
        key: Some("alert 7".to_owned()),
    };
    world.ask(&signal).unwrap();
    assert!(returning(&world).is_some());
    world.wait(5);
    world.start("v3", "other", true).unwrap();
    world.wait(2);
    world.ask(&signal).unwrap();
    assert_eq!(returning(&world), None, "an echo of the first does nothing to the next release");
    let kept: Environment = serde_json::from_str(&serde_json::to_string(&world.state).unwrap())
        .expect("a snapshot is read again");
    assert!(kept.knows(Some(&"alert 7".to_owned())));
}
