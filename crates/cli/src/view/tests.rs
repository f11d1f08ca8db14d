//! Whole views as they are printed. Foreign text of the samples carries escape sequences.

use super::samples::{at_rest, entry, explained, held, returning, rolling, watching};
use super::*;
use taxiway_api::HistoryEntry;
use taxiway_model::event::Outcome;

fn narrow() -> Paper {
    Paper::new(80, false)
}

fn wide() -> Paper {
    Paper::new(120, false)
}

/// Lines as a snapshot: escape bytes made visible.
fn shown(lines: &[String]) -> String {
    lines.join("\n").replace('\u{1b}', "^")
}

fn releases() -> Vec<HistoryEntry> {
    let released = Some(Outcome::Released);
    vec![entry(1, released), entry(2, released), entry(3, Some(Outcome::RolledBack)), entry(4, None)]
}

#[test]
fn a_release_that_is_watched() {
    insta::assert_snapshot!(shown(&status(&watching(), &narrow())), @r#"
    shop/production  v2 → v3  watching  7m05s                              21:00:00

    ✔ canary-1 ───── ▶ canary-5 ───────── ○ canary-25 ───── ○ full
      1%               5%  2m of 5m         25% asks          100%

    traffic   ██░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  5% v3, 95% v2

                             requests   errors      p50     p95     p99   ready
    canary    v3                1,204   0.083%   12.7ms  38.1ms  76.2ms     1/1
    baseline  v2               22,871   0.079%   12.5ms  37.4ms  74.8ms     2/2

    verdict   INSUFFICIENT_DATA no regression is shown; latency_p95 needs more
              requests before 5x is excluded
      metric            ratio (95%)             against it     for it
    ✔ error_rate        1.03x (0.41 to 2.20)    ▰▱▱▱▱▱ 3%      ▰▰▰▰▰▰ enough
    … latency_p95       1.02x (0.81 to 1.40)    ▱▱▱▱▱▱ 0%      ▰▰▰▱▱▱ 63%
              1,204 requests do not exclude 5x yet (about 1m10s more at this
              traffic)

    waiting   baking: 2m of 5m with fresh evidence
              latency_p95 has not excluded 5x yet (about 1m10s at this traffic)
    "#);
    // A wide paper has longer bars, and the rest stays in its place.
    let lines = status(&watching(), &wide());
    let table = lines.iter().position(|line| line.contains("against it")).unwrap();
    insta::assert_snapshot!(shown(&lines[table..table + 3]), @r#"
      metric            ratio (95%)             against it                   for it
    ✔ error_rate        1.03x (0.41 to 2.20)    ▰▱▱▱▱▱▱▱▱▱▱▱▱▱▱▱▱▱▱▱ 3%      ▰▰▰▰▰▰▰▰▰▰▰▰▰▰▰▰▰▰▰▰ enough
    … latency_p95       1.02x (0.81 to 1.40)    ▱▱▱▱▱▱▱▱▱▱▱▱▱▱▱▱▱▱▱▱ 0%      ▰▰▰▰▰▰▰▰▰▰▰▰▱▱▱▱▱▱▱▱ 63%
    "#);
}

#[test]
fn on_a_small_screen_what_is_well_goes_first() {
    let mut watched = watching();
    let judgement = watched.release.as_mut().unwrap().judgement.as_mut().unwrap();
    judgement.findings.extend(vec![judgement.findings[0].clone(); 3]);
    let all = status(&watched, &narrow()).len();
    for (rows, told) in [(all, true), (all - 1, true), (all - 3, false)] {
        let lines = status(&watched, &Paper { rows: Some(rows), ..narrow() });
        let text = lines.join("\n");
        assert!(lines.len() <= rows, "{} lines on {rows} rows\n{text}", lines.len());
        assert!(text.contains("latency_p95") && text.contains("waiting"), "{text}");
        assert_eq!(text.contains("✔ error_rate"), told, "{text}");
        assert_eq!(text.contains("4 more metrics without a finding"), !told, "{text}");
    }
}

#[test]
fn a_release_that_goes_back_in_colour() {
    insta::assert_snapshot!(shown(&status(&returning(), &Paper::new(80, true))), @r#"
    ^[1mshop/production^[0m  ^[1mv2 → v3^[0m  ^[1;31mGOING BACK^[0m^[2m  7m05s^[0m                            ^[2m21:00:00^[0m

    ^[32m✔^[0m ^[32mcanary-1^[0m ^[32m─────^[0m ^[1;31m✘^[0m ^[1mcanary-5^[0m ^[2m─────────^[0m ^[2m○^[0m ^[2mcanary-25^[0m ^[2m─────^[0m ^[2m○^[0m ^[2mfull^[0m
      ^[2m1%^[0m               5%  2m of 5m         ^[2m25% asks^[0m          ^[2m100%^[0m

    ^[2mtraffic^[0m   ^[2m░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░^[0m  ^[36m0% v3^[0m, 100% v2

                             ^[2mrequests^[0m   ^[2merrors^[0m      ^[2mp50^[0m     ^[2mp95^[0m     ^[2mp99^[0m   ^[2mready^[0m
    ^[2mcanary^[0m    ^[1mv3^[0m                  241    ^[1;31m4.98%^[0m   12.7ms  38.1ms  76.2ms     1/1
    ^[2mbaseline^[0m  ^[1mv2^[0m                4,571   0.088%   12.5ms  37.4ms  74.8ms     2/2

    ^[2mverdict^[0m   ^[1;31mROLLBACK^[0m^[1m error rate 4.98% against 0.08%: 62x the baseline, red is 2x^[0m
      ^[2mmetric^[0m            ^[2mratio^[0m ^[2m(95%)^[0m             ^[2magainst it^[0m     ^[2mfor it^[0m
    ^[1;31m✘^[0m error_rate        ^[1m62.0x^[0m^[2m (21.0 to 190)^[0m     ^[1;31m▰▰▰▰▰▰^[0m ^[1;31mshown^[0m   ^[2m▱▱▱▱▱▱^[0m 0%
    ^[32m✔^[0m latency_p95       ^[1m1.02x^[0m^[2m (0.81 to 1.40)^[0m    ^[2m▱▱▱▱▱▱^[0m 0%      ^[32m▰▰▰▰▰▰^[0m ^[32menough^[0m

    ^[1;31mback^[0m      ^[1meverything returns to the baseline; not confirmed by the router yet^[0m
              ^[2mdetected in 3.2s, shifted in 4ms^[0m
    ^[36mwaiting^[0m   for the router to confirm that the baseline has everything
    "#);
}

#[test]
fn a_release_that_waits_for_a_person() {
    insta::assert_snapshot!(shown(&status(&held(), &narrow())), @r#"
    cart/production  v2 → v3  HELD: waits for you  7m05s                   21:00:00

    ✔ canary-1 ───── ‖ canary-5 ───────── ○ canary-25 ───── ○ full
      1%               5%  2m of 5m         25% asks          100%

    traffic   unknown: the router does not answer; last asked for 5%

    waits     step canary-5 asks for a person: `taxiway promote shop` (for 12s)
    silent    proxy: connection refused for 12s
    queued    v4 waits for this release to end
    "#);
}

#[test]
fn more_steps_than_fit() {
    insta::assert_snapshot!(shown(&status(&rolling(), &narrow())), @r#"
    search/production  v2 → v3  starting instances  7m05s                  21:00:00

    …✔✔✔✔✔✔✔✔✔✔✔✔✔✔✔✔✔✔✔✔✔✔✔✔▶○○○○○○○○○○○○○○○○○○○○○○○○…  31 of 60: instance-31 51%

    traffic   ██████████████████████████░░░░░░░░░░░░░░░░░░░░░░░░░░  51% v3, 49% v2

    waiting   for nothing: the next step is being taken
    "#);
}

#[test]
fn a_stream_at_rest() {
    let resting = taxiway_api::Status { last: Some(entry(3, Some(Outcome::RolledBack))), ..at_rest("shop") };
    insta::assert_snapshot!(shown(&status(&resting, &narrow())), @r#"
    shop/production  v2 serves everything                                  21:00:00

    stable    for 1h05m
    listens   127.0.0.1:8080
    last      v3: rolled back, detected in 3.2s, shifted in 4ms
              error rate 4.98% against 0.08%: 62x the baseline
    "#);
}

#[test]
fn the_fleet_begins_with_what_needs_a_person() {
    let streams = [at_rest("mail"), watching(), rolling(), held(), returning()];
    insta::assert_snapshot!(shown(&fleet(&streams, &narrow())), @r#"
      service           version  traffic            state
    ✘ shop/production   v2 → v3  ░░░░░░░░░░     0%  2/4 going back: error rate 4.9…
    ! cart/production   v2 → v3  █░░░░░░░░░      ?  2/4 waits for you: step canary…
    ▶ search/production v2 → v3  █████░░░░░    51%  31/60 starting instances
    ▶ shop/production   v2 → v3  █░░░░░░░░░     5%  2/4 baking 2m of 5m
    ✔ mail/production   v2       ██████████         stable for 1h05m
    "#);
    insta::assert_snapshot!(shown(&fleet(&streams, &wide())), @r#"
      service           version  traffic            state
    ✘ shop/production   v2 → v3  ░░░░░░░░░░     0%  2/4 going back: error rate 4.98% against 0.08%: 62x the baseline, red …
    ! cart/production   v2 → v3  █░░░░░░░░░      ?  2/4 waits for you: step canary-5 asks for a person: `taxiway promote s…
    ▶ search/production v2 → v3  █████░░░░░    51%  31/60 starting instances
    ▶ shop/production   v2 → v3  █░░░░░░░░░     5%  2/4 baking 2m of 5m
    ✔ mail/production   v2       ██████████         stable for 1h05m
    "#);
}

#[test]
fn the_past_newest_first() {
    insta::assert_snapshot!(shown(&history(&releases(), &narrow())), @r#"
      when             version  outcome
    ▶ 2026-11-20 21:04 v3 → v4  in flight
                       by maria
    ✘ 2026-11-20 21:03 v2 → v3  rolled back, detected in 3.2s, shifted in 4ms
                       error rate 4.98% against 0.08%: 62x the baseline
                       12 of its 241 requests failed
                       users: 3 problems, 1 praised it, rated 2.2 of 5
                       by maria
    ✔ 2026-11-20 21:02 v1 → v2  released in 32s
                       by maria: new checkout (commit 4f2a9c1e7b3d)
    ✔ 2026-11-20 21:01 v1       released in 32s
                       by maria
    "#);
}

#[test]
fn in_full_there_is_more_of_each() {
    let short = explain(&explained(), false, &narrow());
    let mut full = explain(&explained(), true, &narrow());
    full.retain(|line| !short.contains(line));
    insta::assert_snapshot!(shown(&full), @r#"
        1 in 1 by chance if healthy; 1 in 200 shows that it is worse
        1 in 1 by chance if healthy; 1 in 200 shows that it is worse
        1,204 requests do not exclude 5x yet
        1 in 1 by chance if healthy; 1 in 200 shows that it is worse
        asked of prom: sum(rate(bad[5m])) / sum(rate(all[5m]))
        canary bad{version="v3"}
        canary all{version="v3"}
        baseline bad{version="v2"}
        baseline all{version="v2"}
        judged by counts of bad and all
    sources   target, router answer
              ✔ 20:58:30 5/5 on canary-5: fast
    normal    345,600 requests in 1h, 0.079% failed, p95 37.4ms, before the release
    hooks     http://127.0.0.1:7780 takes webhooks, from this machine only
      input               is     needed  from
    ✔ weight in force     5%     5%      proxy, 1s ago
    … time with evidence  2m     5m      log 812
    · canary requests     1,204          log 812
    judge     taxiway-judge/1, 12 windows, evidence ee8250fb76e0
    "#);
}

#[test]
fn why_it_is_where_it_is_on_one_screen() {
    insta::assert_snapshot!(shown(&explain(&explained(), false, &narrow())), @r#"
    shop/production  v2 → v3  step 2 of 4, canary-5: watching              21:00:00

    because   step canary-5 has 2m of its 5m with fresh evidence
    then      goes on in 3m if it stays well
              asks a person in 8m unless there is enough evidence before

    verdict   INSUFFICIENT_DATA no regression is shown; latency_p95 needs more
              requests before 5x is excluded

      metric                     canary           baseline  ratio (95%)
    ✔ error_rate        0.083% of 1,204   0.079% of 22,871  1.03x (0.41 to 2.20)
        5x the baseline is excluded (wrong 1 in 20 times at most)
    … latency_p95       38.1ms of 1,204   37.4ms of 22,871  1.02x (0.81 to 1.40)
        5x the baseline is not excluded yet: 63% of the evidence needed, about
        1m10s more at this traffic
    · memory                    300 MiB            280 MiB  1.03x (0.41 to 2.20)
        shown only: it decides nothing
    ! burn                      nothing            nothing  -
        source error: connection refused
        tolerates 10% over the baseline, red beyond 2x, holds above 1%
    ○ orders           counts from step canary-25 on

    harm      3 failed requests beyond the baseline's rate so far, of 100 allowed
    source    prom: silent for 12s (connection refused); holds while it is silent,
              goes back after 5m
    users     3 problems, 1 praised it, rated 2.2 of 5; usual: 12 problems in 6d04h
              before this release
              ✘ 20:59:40 on canary-5: I was charged twice for one order, and nobody
              answers the phone
              ✘ 20:59:20 1/5 on canary-5: checkout does not load
    warned    step canary-1 is blind: not even total failure is sure to be found
    report    DiskFull by alertmanager did nothing: no rule says what it means

    what led here
    20:56:40  step canary-1 passed (log 790)
    20:56:41  entered step canary-5 (log 791)
    20:56:42  router confirmed 5% (log 793)

    what you can do
      taxiway promote shop  goes to canary-25 now
      taxiway abort shop    everything back to v2
    "#);
}

#[test]
fn how_it_ended() {
    let next =
        [("taxiway explain shop", "why it is where it is"), ("taxiway log shop", "everything that happened")];
    insta::assert_snapshot!(shown(&summary(&releases()[1..3], "/var/lib/shop/taxiway.db", &next, &narrow())), @r#"
    ✔ shop/production v2  released in 32s
    ✘ shop/production v3  rolled back, detected in 3.2s, shifted in 4ms
              error rate 4.98% against 0.08%: 62x the baseline
              12 of its 241 requests failed

    the log is in /var/lib/shop/taxiway.db

    try next
      taxiway explain shop  why it is where it is
      taxiway log shop      everything that happened
    "#);
}

#[test]
fn lines_for_where_there_is_no_terminal() {
    let mut lines: Vec<String> =
        [watching(), returning(), held(), at_rest("shop")].iter().map(state_line).collect();
    lines.extend(rates(&watching()));
    lines.extend(explained().trail.iter().map(|entry| log_line(entry, &narrow())));
    insta::assert_snapshot!(shown(&lines), @r#"
    shop/production v2 → v3 step 2/4 canary-5 at 5%: watching; INSUFFICIENT_DATA
    shop/production v2 → v3 step 2/4 canary-5 at 0%: GOING BACK: error rate 4.98% against 0.08%: 62x the baseline, red is 2x; ROLLBACK
    cart/production v2 → v3 step 2/4 canary-5 at ?: HELD: waits for you: step canary-5 asks for a person: `taxiway promote shop`
    shop/production v2 serves everything
    1204 requests, errors 0.083% against 0.079%
    20:56:40 #790 shop/production step canary-1 passed
    20:56:41 #791 shop/production entered step canary-5
    20:56:42 #793 shop/production router confirmed 5%
    "#);
}

#[test]
fn nothing_is_wider_than_the_paper_and_colour_changes_no_character() {
    for width in [40, 60, 80, 120, 200] {
        let plain = Paper::new(width, false);
        let coloured = Paper::new(width, true);
        for stream in [watching(), returning(), held(), rolling(), at_rest("shop")] {
            let views: [fn(&taxiway_api::Status, &Paper) -> Vec<String>; 2] =
                [status, |stream, paper| fleet(std::slice::from_ref(stream), paper)];
            for view in views {
                let lines = view(&stream, &plain);
                for line in &lines {
                    assert!(line.chars().count() <= width, "{width}: {line}");
                }
                let stripped: Vec<String> = view(&stream, &coloured).iter().map(|line| clean(line)).collect();
                assert_eq!(stripped, lines);
            }
        }
        for full in [false, true] {
            let lines = explain(&explained(), full, &plain);
            for line in &lines {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
            let stripped: Vec<String> =
                explain(&explained(), full, &coloured).iter().map(|line| clean(line)).collect();
            assert_eq!(stripped, lines);
        }
    }
}

/// What stands beside the canary is said to be what it is: all of it, a part, or what was before.
#[test]
fn what_the_baselines_figures_are_of() {
    let mut status = watching();
    let flight = status.release.as_mut().unwrap();
    flight.compared = Some([1_204, 20_000]);
    let drawn = shown(&super::status(&status, &narrow()));
    assert!(
        drawn.contains("judged: 1,204 and 20,000 of these, from when both sides had requests"),
        "{drawn}"
    );
    let flight = status.release.as_mut().unwrap();
    (flight.compared, flight.weight_intended) = (None, taxiway_model::weight::WeightBp::ALL);
    let drawn = shown(&super::status(&status, &narrow()));
    assert!(drawn.contains("v2 is of before: at 100% no baseline is live"), "{drawn}");
}

/// A pause beside another wait: each with what ends it.
#[test]
fn what_ends_a_hold_stands_beside_it() {
    use taxiway_api::HoldView;
    use taxiway_model::decision::WaitingOn;
    use taxiway_model::event::Hold;
    let mut status = watching();
    let flight = status.release.as_mut().unwrap();
    let sentence = "paused by ada: lunch";
    let since = taxiway_model::time::Timestamp(status.at.0 - 90_000_000);
    flight.holds = vec![HoldView { why: Hold::Paused, sentence: sentence.into(), since }];
    let person = |sentence: &str, command: &str| WaitingOn::Person {
        sentence: sentence.into(),
        command: command.into(),
    };
    flight.waiting =
        vec![person("prom is silent", "taxiway promote or abort"), person(sentence, "taxiway resume")];
    let drawn = shown(&super::status(&status, &narrow()));
    let place = |text: &str| drawn.find(text).unwrap_or_else(|| panic!("{text}: {drawn}"));
    assert!(place("paused by ada: lunch (for 1m30s)") < place("taxiway resume"), "{drawn}");
    assert!(place("taxiway resume") < place("prom is silent"), "{drawn}");
    assert_eq!(drawn.matches("paused by ada").count(), 1, "{drawn}");
}

/// Nothing was proven on a step that was left out: it bears no tick.
#[test]
fn a_step_that_was_left_out_is_not_passed() {
    use taxiway_api::StepState;
    let mut status = watching();
    status.release.as_mut().unwrap().steps[0].state = StepState::Skipped;
    let drawn = shown(&super::status(&status, &narrow()));
    assert!(drawn.contains("» canary-1") && drawn.contains("1% left out"), "{drawn}");
}
