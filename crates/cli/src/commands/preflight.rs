//! `taxiway preflight`: what would these steps see with this traffic?

use std::path::PathBuf;

use serde::Serialize;
use taxiway_api::NormalAnswer;
use taxiway_decide::environment::Environment;
use taxiway_decide::{plan, preflight};
use taxiway_model::forecast::Forecast;
use taxiway_model::ids::{Digest, StreamId, VersionName};
use taxiway_model::plan::Plan;
use taxiway_model::policy::Preflight;
use taxiway_model::service::{Provenance, ServiceSpec, Version};

use crate::cli::Global;
use crate::client::{Client, Need, of_stream};
use crate::commands::check;
use crate::data::Data;
use crate::error::{CliError, Code};
use crate::exit::Exit;
use crate::output;
use crate::view;

/// What the steps of a release would see, how long that takes and what it costs
///
/// Reckons with the traffic that the proxy has counted lately, or, before there is any, with
/// --rps and --errors. Changes nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The description of the service
    #[arg(default_value = "taxiway.yaml")]
    file: PathBuf,
    /// The regression to be found, as a ratio to the baseline (2x); by default where red begins
    #[arg(long, value_name = "RATIO", value_parser = ratio)]
    detect: Option<u32>,
    /// Requests per second, instead of what was counted
    #[arg(long, value_name = "NUMBER", value_parser = per_second)]
    rps: Option<u64>,
    /// Share of requests that fail (0.1%), with --rps
    #[arg(long, value_name = "SHARE", value_parser = share, requires = "rps", default_value = "0.1%")]
    errors: u64,
}

/// What is printed with --json.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    stream: &'a StreamId,
    baseline: Option<&'a VersionName>,
    forecast: &'a Forecast,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Exit, CliError> {
    let service = check::read(&args.file)?;
    let stream = StreamId { service: service.name.clone(), environment: service.environment.clone() };
    let (plan, forecast) = match args.rps {
        Some(rps_milli) => {
            let plan = plan_of(&service, &stream, VersionName::new("current").expect("a valid name"));
            let traffic = preflight::given(rps_milli, args.errors);
            let forecast = preflight::forecast_given(&plan, traffic, args.detect);
            (plan, forecast)
        }
        None => recent(global, args, &service, &stream)?,
    };
    if global.json {
        let baseline = plan.baseline.as_ref().filter(|_| args.rps.is_none());
        output::json(&Answer { stream: &stream, baseline, forecast: &forecast });
    } else {
        output::line(&format!("{stream}: preset {}", plan.preset));
        output::lines(&view::forecast(&forecast, &output::paper()));
    }
    let refused = plan.analysis.preflight == Preflight::Refuse && !forecast.warnings.is_empty();
    Ok(if refused { Exit::Refused } else { Exit::Done })
}

/// By what the proxy has counted.
fn recent(
    global: &Global,
    args: &Args,
    service: &ServiceSpec,
    stream: &StreamId,
) -> Result<(Plan, Forecast), CliError> {
    let data = Data::for_file(global.data.as_deref(), &args.file)?;
    let client = Client::connect(&data, Need::Read)?;
    let answer: NormalAnswer = client.get(&of_stream("normal", stream))?;
    let nothing = |why: String| {
        CliError::new(Code::NoTraffic, why).hint("say what is to be expected: --rps 100 --errors 0.1%")
    };
    let Some(baseline) = answer.baseline else {
        return Err(nothing(format!("nothing was ever released to {stream}, so no traffic was seen")));
    };
    let plan = plan_of(service, stream, baseline.clone());
    let few = || nothing(format!("too few requests to {baseline} were seen lately to reckon with"));
    let normal = answer.normal.ok_or_else(few)?;
    let mut forecast = preflight::forecast(&plan, &normal, args.detect).ok_or_else(few)?;
    for warning in preflight::start_warnings(&plan, Some(&normal)) {
        if !forecast.warnings.contains(&warning) {
            forecast.warnings.insert(0, warning);
        }
    }
    Ok((plan, forecast))
}

/// The plan by which some next version would be released to where `baseline` runs.
fn plan_of(service: &ServiceSpec, stream: &StreamId, baseline: VersionName) -> Plan {
    let mut state = Environment::new(stream.clone());
    state.stable = Some(baseline);
    let version = Version {
        name: VersionName::new("next").expect("a valid name"),
        digest: Digest::of(b""),
        target: service.target.clone(),
        provenance: Provenance::default(),
    };
    plan::resolve(service, version, &state)
}

/// A number with at most so many decimal places, in units of the last one.
fn decimal(text: &str, places: usize) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if whole.is_empty() || part.len() > places || !digits(whole) || !digits(part) {
        return None;
    }
    format!("{whole}{part:0<places$}").parse().ok()
}

fn per_second(text: &str) -> Result<u64, String> {
    match decimal(text, 3) {
        Some(milli) if (1..=1_000_000_000_000).contains(&milli) => Ok(milli),
        _ => Err(format!("'{text}' is not a number of requests per second such as 100 or 0.5")),
    }
}

fn share(text: &str) -> Result<u64, String> {
    match text.strip_suffix('%').and_then(|number| decimal(number, 4)) {
        Some(ppm) if ppm < 1_000_000 => Ok(ppm),
        _ => Err(format!("'{text}' is not a share below 100% such as 0.1%")),
    }
}

pub(crate) fn ratio(text: &str) -> Result<u32, String> {
    match text.strip_suffix('x').and_then(|number| decimal(number, 4)) {
        Some(bp) if (10_001..=10_000_000).contains(&bp) => Ok(bp as u32),
        _ => Err(format!("'{text}' is not a ratio above 1x, at most 1000x, such as 2x or 1.5x")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_exactly_or_refused_with_an_example() {
        assert_eq!((per_second("100"), per_second("0.5")), (Ok(100_000), Ok(500)));
        assert_eq!((share("0.1%"), share("12%"), share("0%")), (Ok(1_000), Ok(120_000), Ok(0)));
        assert_eq!((ratio("2x"), ratio("1.25x")), (Ok(20_000), Ok(12_500)));
        for wrong in ["", "0", "-1", "1e3", "1.2345", "x", "99999999999999999999"] {
            assert!(per_second(wrong).unwrap_err().contains("such as"), "{wrong}");
        }
        for wrong in ["0.1", "100%", "%", "0.12345%", "a%"] {
            assert!(share(wrong).unwrap_err().contains("such as"), "{wrong}");
        }
        for wrong in ["2", "1x", "0.5x", "1001x", "x", "twox"] {
            assert!(ratio(wrong).unwrap_err().contains("such as"), "{wrong}");
        }
    }
}
