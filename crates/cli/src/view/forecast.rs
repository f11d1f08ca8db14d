//! What a release can be expected to see before it starts.

use super::Paper;
use super::figures::{latency, rate, ratio, thousands};
use super::ink::{Ink, Line, draw, labelled};
use std::fmt::Write as _;
use taxiway_model::forecast::{Forecast, FreshPrice, StepForecast, Traffic};
use taxiway_model::time::ForPeople;

/// The table of steps with what it reckons with, its legend, and the warnings.
pub fn forecast(forecast: &Forecast, paper: &Paper) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(traffic) = &forecast.traffic {
        lines.extend(labelled("", Ink::Plain, &reckoned_with(traffic), Ink::Plain, paper));
        lines.push(Line::new());
    }
    let wanted = ratio(u64::from(forecast.wanted_bp));
    let wanted = wanted.replace(".00x", "x");
    let within = format!("{wanted} in");
    let heads =
        ["step", "weight", "time", "canary", "errors", "slower", "harm", "passes", &within, "or with"];
    let mut rows: Vec<[String; 10]> = vec![heads.map(str::to_owned)];
    let failing = forecast.traffic.as_ref().is_some_and(|traffic| traffic.base_ppm > 0);
    rows.extend(forecast.steps.iter().map(|step| row(step, failing)));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    for (at, row) in rows.iter().enumerate() {
        let mut text = format!("{:<1$}", row[0], widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            let _ = write!(text, "  {cell:>width$}");
        }
        let ink = if at == 0 { Ink::Faint } else { Ink::Plain };
        lines.push(Line::new().plain(" ").put(ink, text.trim_end()));
    }
    lines.push(Line::new());
    let legend = format!(
        "errors, slower: what a canary must be to be found by the end of the step with 90% power; harm: requests it has failed by then; passes: when a healthy canary may pass; {wanted} in, or with: time, or weight, with which the step alone finds {wanted} the baseline's error rate"
    );
    lines.extend(labelled("", Ink::Plain, &legend, Ink::Faint, paper));
    if forecast.endpoints.len() > 1 {
        let each = forecast.endpoints.iter().map(|endpoint| {
            format!(
                "{} {} ({} canary requests)",
                endpoint.class,
                rate(endpoint.share_bp * 100),
                thousands(endpoint.canary_requests)
            )
        });
        let text = format!("endpoints on the first step: {}", each.collect::<Vec<_>>().join(", "));
        lines.extend(labelled("", Ink::Plain, &text, Ink::Plain, paper));
    }
    if !forecast.fresh.is_empty() {
        lines.push(Line::new());
        let text = "the canary is compared with fresh instances of the running version alone: its price, and what comparing with all that runs would take instead";
        lines.extend(labelled("price", Ink::Strong, text, Ink::Plain, paper));
        for step in &forecast.fresh {
            lines.extend(labelled("", Ink::Plain, &price(step, &wanted), Ink::Plain, paper));
        }
    }
    for warning in &forecast.warnings {
        lines.extend(labelled("warning", Ink::Warn, warning, Ink::Plain, paper));
    }
    draw(lines, paper)
}

fn reckoned_with(traffic: &Traffic) -> String {
    let mut text = if traffic.span_ms == 0 {
        "as you say: ".to_owned()
    } else {
        format!("over the last {}: ", ForPeople(traffic.span_ms))
    };
    let rps = traffic.rps_milli;
    if rps >= 10_000 {
        text += &thousands(rps / 1_000);
    } else {
        let _ = write!(text, "{}.{}", rps / 1_000, rps % 1_000 / 100);
    }
    let _ = write!(text, " requests/s, {} failed", rate(traffic.base_ppm));
    if let Some(us) = traffic.p95_us {
        let _ = write!(text, ", p95 {}", latency(us));
    }
    if traffic.error_dispersion_milli > 1_000 {
        let milli = traffic.error_dispersion_milli;
        let _ = write!(
            text,
            "; failures come in clusters and count for 1/{}.{} each",
            milli / 1_000,
            milli % 1_000 / 100
        );
    }
    if let Some(milli) = traffic.instance_noise_milli.filter(|milli| *milli > 0) {
        let _ = write!(text, "; instances differ by {}%", milli / 10);
    }
    text
}

fn row(step: &StepForecast, failing: bool) -> [String; 10] {
    let none = |compared: bool| if compared { "never" } else { "-" }.to_owned();
    let time = |ms: Option<u64>| ms.map_or_else(|| none(step.compared), |ms| ForPeople(ms).to_string());
    let errors = match (step.detectable_ppm, step.detectable_bp) {
        // Of a baseline that never fails there is no multiple.
        (Some(ppm), Some(bp)) if failing => format!("{} ({})", rate(ppm), ratio(bp)),
        (Some(ppm), _) => rate(ppm),
        _ => none(step.compared),
    };
    [
        step.name.clone(),
        step.weight.to_string(),
        ForPeople(step.bake_ms).to_string(),
        thousands(step.canary_requests),
        errors,
        step.slower_bp.map_or_else(|| "-".to_owned(), ratio),
        step.harm_requests.map_or_else(|| "-".to_owned(), thousands),
        match step.exclude_ms {
            None => "-".to_owned(),
            Some(..1_000) => "at once".to_owned(),
            Some(ms) => ForPeople(ms).to_string(),
        },
        time(step.wanted_ms),
        step.wanted_weight.map_or_else(|| none(step.compared), |weight| weight.to_string()),
    ]
}

/// The price of a fresh baseline on a step, in words.
fn price(step: &FreshPrice, wanted: &str) -> String {
    let plural = if step.instances == 1 { "" } else { "s" };
    let time = |ms: Option<u64>| ms.map_or_else(|| "never".to_owned(), |ms| ForPeople(ms).to_string());
    let found = |bp: Option<u64>| bp.map_or_else(|| "nothing".to_owned(), ratio);
    let mut text = format!(
        "{}: {} more instance{plural} with {} of the traffic",
        step.name, step.instances, step.weight
    );
    let [fresh, all] = step.detectable_bp;
    let _ = write!(text, "; finds {} (else {})", found(fresh), found(all));
    if let [Some(fresh), Some(all)] = step.exclude_ms {
        let _ = write!(text, "; passes after {} (else {})", ForPeople(fresh), ForPeople(all));
    }
    let [fresh, all] = step.wanted_ms;
    let _ = write!(text, "; {wanted} in {} (else {})", time(fresh), time(all));
    if let [Some(fresh), Some(all @ 1..)] = step.wanted_ms {
        let tenths = fresh.saturating_mul(10) / all;
        let _ = write!(text, ", {}.{} times as long", tenths / 10, tenths % 10);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use taxiway_model::weight::WeightBp;

    #[test]
    fn a_step_is_a_row_and_what_is_not_known_is_a_dash() {
        let step = |name: &str, percent: u16, compared: bool| StepForecast {
            name: name.to_owned(),
            weight: WeightBp::percent(percent),
            bake_ms: 300_000,
            canary_requests: 1_500,
            compared,
            detectable_ppm: compared.then_some(18_600),
            detectable_bp: compared.then_some(37_200),
            slower_bp: None,
            harm_requests: compared.then_some(24),
            exclude_ms: compared.then_some(133_000),
            wanted_ms: compared.then_some(3_221_000),
            wanted_weight: None,
        };
        let traffic = Traffic { rps_milli: 100_000, base_ppm: 5_000, ..Traffic::default() };
        let seen = Forecast {
            traffic: Some(traffic),
            wanted_bp: 20_000,
            steps: vec![step("canary-5", 5, true), step("full", 100, false)],
            endpoints: Vec::new(),
            fresh: vec![FreshPrice {
                name: "canary-5".to_owned(),
                instances: 1,
                weight: WeightBp::percent(5),
                detectable_bp: [Some(52_000), Some(37_200)],
                exclude_ms: [Some(266_000), Some(133_000)],
                wanted_ms: [Some(6_442_000), Some(3_221_000)],
            }],
            warnings: vec!["step canary-5 is \u{1b}[31mred".to_owned()],
        };
        let lines = forecast(&seen, &Paper::new(100, false));
        insta::assert_snapshot!(lines[..5].join("\n"), @"
                  as you say: 100 requests/s, 0.50% failed

        step      weight  time  canary         errors  slower  harm  passes   2x in  or with
        canary-5      5%    5m   1,500  1.86% (3.72x)       -    24   2m13s  53m41s    never
        full        100%    5m   1,500              -       -     -       -       -        -
        ");
        let all = lines.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
        let price = "canary-5: 1 more instance with 5% of the traffic; finds 5.20x (else 3.72x); passes after 4m26s (else 2m13s); 2x in 1h47m (else 53m41s), 2.0 times as long";
        assert!(all.contains(price), "{all}");
        assert!(lines.last().unwrap().contains("warning") && !lines.join("").contains('\u{1b}'));
    }
}
