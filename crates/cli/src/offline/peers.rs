//! The field's judges on recordings, beside ours.

use std::path::Path;

use taxiway_api::Place;
use taxiway_model::document::Problem;
use taxiway_model::document::plain::Misfit;
use taxiway_model::evidence::{Classes, total};
use taxiway_model::metrics::Sample;
use taxiway_model::verdict::Verdict;
use taxiway_model::weight::WeightBp;
use taxiway_peers::named::{Named, Problems};
use taxiway_peers::{Act, Policy, Side, Signal, Stretch};
use taxiway_report::Recording;
use taxiway_report::course::Decision;
use taxiway_report::recording::Lack;

use crate::error::{CliError, Code};

/// A judge as it was named, read.
pub(crate) struct Peer {
    /// As it goes by in tables: `kayenta:config.json`.
    pub(crate) name: String,
    /// Its metrics of which nothing is known on a recording.
    unknown: Vec<String>,
    policy: Policy,
}

/// The judges that `--as` names.
pub(crate) fn read(all: &[String]) -> Result<Vec<Peer>, CliError> {
    all.iter().map(|words| one(words)).collect()
}

fn one(words: &str) -> Result<Peer, CliError> {
    let told = |problems: Problems, files: &[String]| match problems {
        Problems::Words(why) => CliError::new(Code::BadArgument, format!("--as {words}: {why}"))
            .hint("--as kayenta:FILE, argo:FILE, flagger:FILE[+FILE], ratio:2"),
        Problems::Syntax(at, problem) => wrong(&files[at], place(&files[at], *problem)),
        Problems::Misfit(at, misfit) => wrong(&files[at], misfit_place(&files[at], misfit)),
    };
    let named = Named::parse(words).map_err(|problems| told(problems, &[]))?;
    let mut contents = Vec::new();
    for file in named.files.iter().filter(|_| named.has_files()) {
        contents.push(bytes(Path::new(file))?);
    }
    let (policy, unknown) = named.policy(&contents).map_err(|problems| told(problems, &named.files))?;
    let short = |file: &String| {
        Path::new(file).file_name().map_or(file.clone(), |name| name.to_string_lossy().into_owned())
    };
    let files: Vec<String> = named.files.iter().map(short).collect();
    Ok(Peer { name: format!("{}:{}", named.peer, files.join("+")), unknown, policy })
}

/// A file of another tool.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|error| {
        CliError::new(Code::BadFile, format!("{}: {error}", path.display()))
            .hint("name a CanaryConfig, a template, or a configuration of Kayenta, Argo Rollouts or Flagger")
    })
}

/// A file of another tool that cannot be read, with the place.
pub(crate) fn wrong(file: &str, place: Place) -> CliError {
    CliError::new(Code::BadFile, format!("{file} cannot be read")).places(vec![place])
}

pub(crate) fn place(file: &str, problem: Problem) -> Place {
    let Problem { line, column, path, message, hint, excerpt, .. } = problem;
    Place { file: file.to_owned(), line, column, path, message, hint, excerpt }
}

pub(crate) fn misfit_place(file: &str, misfit: Misfit) -> Place {
    let Misfit { line, column, message } = misfit;
    let none = String::new;
    Place { file: file.to_owned(), line, column, path: none(), message, hint: none(), excerpt: none() }
}

impl Peer {
    /// What the judge would have done with a recorded release.
    pub(crate) fn decision(&self, recording: &Recording) -> Decision {
        if let Some(why) = self.cannot_judge(recording) {
            return Decision { verdict: Verdict::InsufficientData, at_ms: None, sentence: why };
        }
        let began_ms =
            exposed(recording).next().map_or(0, |seen| seen.at_ms.saturating_sub(seen.window.span_ms));
        let outcome = self.policy.judge(&stretches(recording, began_ms));
        let verdict = match outcome.act {
            Act::Promote => Verdict::Proceed,
            Act::Pause => Verdict::Hold,
            Act::Rollback => Verdict::Rollback,
            Act::Undecided => Verdict::InsufficientData,
        };
        Decision { verdict, at_ms: Some(began_ms + outcome.at_ms), sentence: outcome.reason }
    }

    /// Sentences about metrics that do not take part.
    pub(crate) fn unknown(&self) -> Vec<String> {
        let told = |metric: &String| {
            format!("{}: `{metric}` is not known on a recording; name it: {metric}=error_rate", self.name)
        };
        self.unknown.iter().map(told).collect()
    }

    /// What was not counted is not a zero.
    fn cannot_judge(&self, recording: &Recording) -> Option<String> {
        let lacks = |lack| recording.head.lacks.contains(&lack);
        let signals = self.policy.signals();
        if signals.is_empty() {
            return Some("none of its metrics is known on a recording".to_owned());
        }
        signals.into_iter().find_map(|signal| match signal {
            Signal::Errors { .. } | Signal::Successes { .. } if lacks(Lack::Errors) => {
                Some("failed requests were not counted".to_owned())
            }
            Signal::Latency { .. } if lacks(Lack::Latency) => Some("latencies were not recorded".to_owned()),
            _ => None,
        })
    }
}

/// Windows in which the canary was exposed.
fn exposed(recording: &Recording) -> impl Iterator<Item = &taxiway_report::recording::Seen> {
    recording.windows.iter().filter(|seen| recording.weight(seen.window.step) != WeightBp::ZERO)
}

fn stretches(recording: &Recording, began_ms: u64) -> Vec<Stretch> {
    exposed(recording)
        .map(|seen| {
            let mut canary = side(&seen.window.canary);
            let mut baseline = side(&seen.window.baseline);
            for (name, sample) in &seen.window.metrics {
                let [above, below] = values(sample);
                canary.values.extend(above.map(|value| (name.to_string(), value)));
                baseline.values.extend(below.map(|value| (name.to_string(), value)));
            }
            Stretch { until_ms: seen.at_ms.saturating_sub(began_ms), canary, baseline }
        })
        .collect()
}

fn side(classes: &Classes) -> Side {
    let counts = total(classes);
    Side {
        total: counts.requests,
        bad: counts.errors(),
        latency_us: counts.latency.buckets.iter().map(|(index, count)| (i32::from(*index), *count)).collect(),
        ..Side::default()
    }
}

/// A metric by query as one number on each side: a share, or the value.
fn values(sample: &Sample) -> [Option<f64>; 2] {
    match sample {
        Sample::Counts { canary, baseline } => {
            [canary, baseline].map(|tally| (tally.total > 0).then(|| tally.bad as f64 / tally.total as f64))
        }
        Sample::Scalar { canary, baseline } => {
            [canary, baseline].map(|value| value.map(|it| it as f64 / 1e6))
        }
        Sample::Moments { canary, baseline } => {
            [canary, baseline].map(|side| side.mean_micro().map(|micro| micro as f64 / 1e6))
        }
        Sample::Types { canary, baseline } => {
            [canary, baseline].map(|side| (side.total > 0).then(|| side.errors() as f64 / side.total as f64))
        }
        Sample::Buckets { .. } => [None, None],
    }
}
