//! The page: whole, readable, and the same every time.

use crate::corpus::{corpus, named};
use crate::well_formed;
use taxiway_model::policy::{AnalysisPolicy, Profile};
use taxiway_report::compare::{Comparison, own_row};
use taxiway_report::{Recording, Report, course, html, text};

fn report(recording: &Recording, profile: Profile) -> Report {
    Report::of(recording, &course::follow(recording, &AnalysisPolicy::of(profile)))
}

#[test]
fn every_page_is_well_formed_and_loads_and_runs_nothing() {
    for recording in corpus() {
        let page = html::report(&report(&recording, Profile::Standard));
        well_formed::check(&page);
        for forbidden in ["<script", "http://", "https://", "url(", "<img", "<link", "@import"] {
            assert!(!page.contains(forbidden), "{}: {forbidden}", recording.head.name);
        }
        assert!(!page.contains("NaN") && !page.contains(">inf"), "{}", recording.head.name);
        let charts = page.matches("<svg").count();
        assert!(charts >= 3, "{}: {charts} charts", recording.head.name);
        assert_eq!(page.matches("<details>").count(), charts, "every chart has its figures in a table");
        assert_eq!(page.matches("role=\"img\"").count(), charts, "every chart has a name");
        assert!(page.len() < 200_000, "{} bytes", page.len());
    }
}

#[test]
fn nothing_that_comes_from_outside_is_markup() {
    let mut recording = named("errors-3x");
    recording.head.canary = "<script>alert('v2')</script>&\u{7}".to_owned();
    recording.head.of = "\"><svg onload=x>".to_owned();
    recording.head.note = "</main><b>".to_owned();
    let report = report(&recording, Profile::Standard);
    let page = html::report(&report);
    well_formed::check(&page);
    assert!(!page.contains("<script") && !page.contains("onload=x>") && !page.contains('\u{7}'));
    assert!(page.contains("&lt;script&gt;"));
    let rows =
        vec![own_row(&recording, "<i>", &course::follow(&recording, &AnalysisPolicy::of(Profile::Strict)))];
    let page = html::comparison(&Comparison::of(rows, vec!["<b>".to_owned()]));
    well_formed::check(&page);
    assert!(!page.contains("<i>") && page.contains("&lt;i&gt;"));
}

#[test]
fn a_recording_of_nothing_or_of_one_side_still_makes_a_page() {
    let mut empty = named("errors-3x");
    empty.windows.clear();
    well_formed::check(&html::report(&report(&empty, Profile::Standard)));
    let mut alone = named("latency-slower");
    alone.windows.iter_mut().for_each(|seen| seen.window.baseline.clear());
    well_formed::check(&html::report(&report(&alone, Profile::Standard)));
    let mut first = named("errors-3x");
    first.head.baseline = None;
    well_formed::check(&html::report(&report(&first, Profile::Strict)));
    let mut short = named("latency-slower");
    short.windows.truncate(1);
    well_formed::check(&html::report(&report(&short, Profile::Standard)));
}

#[test]
fn the_same_recording_gives_the_same_page_and_the_same_json() {
    let recording = named("latency-slower");
    let (one, two) = (report(&recording, Profile::Standard), report(&recording, Profile::Standard));
    assert_eq!(html::report(&one), html::report(&two));
    let json = one.to_json();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), one);
    let keys: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&json).unwrap();
    insta::assert_snapshot!(keys.keys().cloned().collect::<Vec<_>>().join(" "));
}

#[test]
fn the_text_says_it_in_one_screen() {
    let text = text::report(&report(&named("errors-3x"), Profile::Standard));
    assert!(text.lines().count() <= 24, "{text}");
    let parts = [
        "✘ ROLLBACK after",
        "Take v2 back",
        "canary    ",
        "baseline  ",
        "ratio     ",
        "against   ",
        "for       ",
    ];
    for wanted in
        parts.into_iter().chain(["cost      ", "exposure  ", "judge     ", "profile standard", "note      "])
    {
        assert!(text.contains(wanted), "{wanted} is missing in\n{text}");
    }
}

/// WCAG 2.2: relative luminance and contrast.
fn contrast(one: &str, other: &str) -> f64 {
    let luminance = |colour: &str| {
        let part = |at: usize| {
            f64::from(u8::from_str_radix(&colour[at..at + 2], 16).expect("a colour in hex")) / 255.0
        };
        let linear = |c: f64| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
        0.2126 * linear(part(1)) + 0.7152 * linear(part(3)) + 0.0722 * linear(part(5))
    };
    let (a, b) = (luminance(one), luminance(other));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn every_colour_of_text_can_be_read_by_day_and_by_night() {
    for colours in [html::LIGHT, html::DARK] {
        let of = |name: &str| colours.iter().find(|(known, _)| *known == name).unwrap().1;
        for name in ["text", "muted", "canary", "baseline", "good", "warn", "bad", "more"] {
            for ground in ["page", "card"] {
                let contrast = contrast(of(name), of(ground));
                assert!(contrast >= 4.5, "{name} on {ground}: {contrast:.2}");
            }
        }
    }
}
