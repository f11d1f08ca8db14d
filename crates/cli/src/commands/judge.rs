//! `taxiway judge`: two series of figures judged as a release would be.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use taxiway_model::ids::MetricName;
use taxiway_model::policy::{AnalysisPolicy, Direction, Exclusion, Measure, MetricPolicy, Profile};
use taxiway_model::verdict::Verdict;
use taxiway_model::weight::WeightBp;
use taxiway_report::recording::{FORMAT, Head, Lack, Recording, Seen, Step};
use taxiway_report::{Report, course, html, text};

use crate::cli::Global;
use crate::commands::check;
use crate::error::{CliError, Code};
use crate::exit::Exit;
use crate::offline::series::{Has, Reading, Series, TimeUnit};
use crate::offline::{self, peers, range, windows};
use crate::output;

/// Judge two series of figures as a release would be judged, and write a report
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The baseline's figures: CSV, JSON or .hlog; - reads standard input
    #[arg(required_unless_present = "prometheus", requires = "canary_file")]
    baseline_file: Option<PathBuf>,
    /// The canary's figures over the same time
    #[arg(conflicts_with = "prometheus")]
    canary_file: Option<PathBuf>,
    #[command(flatten)]
    range: RangeArgs,
    /// Preset of bands
    #[arg(long, value_enum, default_value_t = ProfileName::Standard, conflicts_with = "policy")]
    profile: ProfileName,
    /// A taxiway.yaml whose analysis is the policy
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// The canary's share of the traffic [default: as counted]
    #[arg(long, value_name = "PERCENT", value_parser = share)]
    share: Option<WeightBp>,
    /// What must be excluded before PROCEED, such as 2x [default: by the share]
    #[arg(long, value_name = "RATIO", value_parser = ratio)]
    exclude: Option<u32>,
    /// Name of a metric that is given by its values, or by a query
    #[arg(long, value_name = "NAME", default_value = "value")]
    metric: String,
    /// Which way values are worse
    #[arg(long, value_enum, default_value_t = Worse::Higher)]
    worse: Worse,
    /// Unit of latencies whose column does not say
    #[arg(long, value_enum)]
    unit: Option<TimeUnit>,
    /// Counts only grow: what is new is the difference to the row before
    #[arg(long)]
    cumulative: bool,
    /// Compare from each side's own beginning: the two have no time in common
    #[arg(long)]
    align: bool,
    /// What another tool would say: kayenta:FILE, argo:FILE, flagger:FILE[+FILE], ratio:2; may be given several times
    #[arg(long = "as", value_name = "PEER:FILE")]
    peers: Vec<String>,
    #[command(flatten)]
    to: Written,
}

/// Two ranges of a Prometheus.
#[derive(Debug, clap::Args)]
struct RangeArgs {
    /// Base URL of a Prometheus
    #[arg(long, value_name = "URL", requires_all = ["query", "canary", "baseline", "from"])]
    prometheus: Option<String>,
    /// What is judged, in PromQL; a ratio of rates is taken apart into its counters
    #[arg(long, value_name = "PROMQL", requires = "prometheus")]
    query: Option<String>,
    /// Labels of the canary's series, such as version=v2
    #[arg(long, value_name = "LABEL=VALUE", value_delimiter = ',', value_parser = label, requires = "prometheus")]
    canary: Vec<(String, String)>,
    /// Labels of the baseline's series
    #[arg(long, value_name = "LABEL=VALUE", value_delimiter = ',', value_parser = label, requires = "prometheus")]
    baseline: Vec<(String, String)>,
    /// Beginning: a date, or seconds since 1970
    #[arg(long, value_name = "TIME", value_parser = time, requires = "prometheus")]
    from: Option<f64>,
    /// End [default: now]
    #[arg(long, value_name = "TIME", value_parser = time, requires = "prometheus")]
    to: Option<f64>,
    /// Time between two points
    #[arg(long, value_name = "TIME", value_parser = super::span, default_value = "15s")]
    step: std::time::Duration,
}

/// In which form, and where to.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Written {
    /// Form of what is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Write to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// A form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For a terminal
    Text,
    /// For programs
    Json,
    /// One page with charts
    Html,
}

/// A preset of bands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ProfileName {
    /// 10% more errors and 20% more latency are tolerated
    Standard,
    /// No more errors are tolerated, and any shown regression rolls back
    Strict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Worse {
    /// Failures, times, costs
    Higher,
    /// Successes, sales
    Lower,
}

impl From<ProfileName> for Profile {
    fn from(name: ProfileName) -> Self {
        match name {
            ProfileName::Standard => Self::Standard,
            ProfileName::Strict => Self::Strict,
        }
    }
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Exit, CliError> {
    let metric = MetricName::new(args.metric.clone())?;
    let ([canary, baseline], names, of) = sides(args, &metric)?;
    let windows = windows::of([&canary, &baseline], &metric, args.align)?;
    let weight = args.share.unwrap_or_else(|| counted_share(&windows.seen));
    let has = Has {
        errors: canary.has.errors && baseline.has.errors,
        latency: canary.has.latency && baseline.has.latency,
        buckets: canary.has.buckets && baseline.has.buckets,
        values: canary.has.values && baseline.has.values,
    };
    let mut lacks = vec![Lack::Share];
    lacks.extend((!has.errors).then_some(Lack::Errors));
    lacks.extend((!has.latency).then_some(Lack::Latency));
    let policy = policy(args, &metric, has)?;
    let step = Step::of_weight("given", weight, 0);
    let head = Head {
        format: FORMAT,
        name: format!("share {weight}"),
        of,
        canary: names[0].clone(),
        baseline: Some(names[1].clone()),
        started_us: (windows.started_us > 1_000_000_000_000_000).then_some(windows.started_us),
        steps: vec![step],
        policy: None,
        normal: None,
        lacks,
        truth: None,
        note: String::new(),
    };
    let recording = Recording { head, windows: windows.seen, ended: None };
    let course = course::follow(&recording, &policy);
    let mut report = Report::of(&recording, &course);
    report.notes.retain(|note| args.policy.is_some() || !note.contains("is not judged"));
    report.notes.extend(canary.notes.into_iter().chain(baseline.notes));
    for peer in peers::read(&args.peers)? {
        report.notes.push(peer.sentence(&recording));
        report.notes.extend(peer.unknown());
    }
    write(global, &args.to, &text::report(&report), &report.to_json(), || html::report(&report))?;
    Ok(match report.verdict {
        Verdict::Proceed => Exit::Done,
        Verdict::InsufficientData => Exit::MoreData,
        Verdict::Hold => Exit::Waiting,
        Verdict::Rollback => Exit::RolledBack,
    })
}

/// Both sides' figures and names, canary first, and where they come from.
fn sides(args: &Args, metric: &MetricName) -> Result<([Series; 2], [String; 2], String), CliError> {
    if let Some(url) = &args.range.prometheus {
        let now_s = || jiff::Timestamp::now().as_microsecond() as f64 / 1e6;
        let asked = range::Asked {
            url,
            query: args.range.query.as_deref().unwrap_or_default(),
            metric,
            from_s: args.range.from.unwrap_or_default(),
            to_s: args.range.to.unwrap_or_else(now_s),
            step_s: args.range.step.as_secs_f64().max(1.0),
        };
        let labels =
            |pairs: &[(String, String)]| -> BTreeMap<String, String> { pairs.iter().cloned().collect() };
        let (canary, baseline) = (labels(&args.range.canary), labels(&args.range.baseline));
        let (mut sides, query) = range::read(&asked, [&canary, &baseline])?;
        sides[0].notes.push(format!("{}: {}", query.text, query.shape.words()));
        let value =
            |pairs: &[(String, String)]| pairs.first().map(|(_, value)| value.clone()).unwrap_or_default();
        let names = [value(&args.range.canary), value(&args.range.baseline)];
        return Ok((sides, names, url.clone()));
    }
    let (Some(baseline), Some(canary)) = (&args.baseline_file, &args.canary_file) else {
        return Err(CliError::new(
            Code::BadArgument,
            "two files are needed: the baseline's and the canary's",
        )
        .hint("taxiway judge baseline.csv canary.csv"));
    };
    let reading = Reading { unit: args.unit, cumulative: args.cumulative };
    let of = format!("{}, {}", canary.display(), baseline.display());
    let names = named(canary, baseline);
    let (canary, baseline) = (offline::side(canary, reading)?, offline::side(baseline, reading)?);
    if canary.has != baseline.has {
        let why = format!("{of}: the two hold different figures");
        return Err(CliError::new(Code::BadSeries, why).hint("give both files the same columns"));
    }
    Ok(([canary, baseline], names, of))
}

/// Names of the two sides: those of the files, where they tell them apart.
fn named(canary: &Path, baseline: &Path) -> [String; 2] {
    let stem =
        |file: &Path| file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let names = [stem(canary), stem(baseline)];
    if names[0] == names[1] || names.iter().any(|name| name.is_empty() || name == "-") {
        return ["canary".to_owned(), "baseline".to_owned()];
    }
    names
}

/// The canary's part of the requests while both sides had some; half where nobody counts any.
fn counted_share(windows: &[Seen]) -> WeightBp {
    let (mut mine, mut theirs) = (0_u128, 0_u128);
    for Seen { window, .. } in windows {
        let (canary, baseline) = (window.canary_total().requests, window.baseline_total().requests);
        if canary > 0 && baseline > 0 {
            mine += u128::from(canary);
            theirs += u128::from(baseline);
        }
    }
    let bp = (mine * 10_000).checked_div(mine + theirs).unwrap_or(5_000).clamp(1, 9_999);
    WeightBp::new(bp as u16).expect("below everything")
}

/// The policy, with a metric for what only these figures have.
fn policy(args: &Args, metric: &MetricName, has: Has) -> Result<AnalysisPolicy, CliError> {
    let mut policy = match &args.policy {
        Some(file) => check::read(file)?.analysis,
        None => AnalysisPolicy::of(args.profile.into()),
    };
    if let Some(ratio_bp) = args.exclude {
        policy.exclude = vec![Exclusion { up_to: WeightBp::ALL, ratio_bp }];
    }
    let known = policy.metrics.iter().any(|known| &known.name == metric);
    if (has.values || has.buckets) && !known {
        policy.metrics.push(given(args, metric, has, &policy));
    }
    Ok(policy)
}

/// A metric for values or buckets, with the bands of the profile's like.
fn given(args: &Args, metric: &MetricName, has: Has, policy: &AnalysisPolicy) -> MetricPolicy {
    let like = |wanted: fn(Measure) -> bool| policy.metrics.iter().find(|known| wanted(known.measure));
    if has.buckets {
        let latency = like(|measure| matches!(measure, Measure::Latency { .. }));
        let measure = Measure::QueryBuckets { quantile_bp: 9_500 };
        let plain = MetricPolicy::plain(metric.clone(), measure);
        return latency.map_or(plain, |latency| MetricPolicy {
            name: metric.clone(),
            measure,
            ..latency.clone()
        });
    }
    let (tolerance_bp, red_bp, direction) = match args.worse {
        Worse::Higher => (11_000, 20_000, Direction::HigherIsWorse),
        Worse::Lower => (9_000, 5_000, Direction::LowerIsWorse),
    };
    let plain = MetricPolicy::plain(metric.clone(), Measure::QueryValues { every_ms: 1 });
    MetricPolicy { tolerance_bp, red_bp, direction, ..plain }
}

/// Writes what was asked for where it was asked for.
pub(crate) fn write(
    global: &Global,
    to: &Written,
    text: &str,
    json: &str,
    html: impl FnOnce() -> String,
) -> Result<(), CliError> {
    let whole = match to.format {
        Format::Html => html(),
        Format::Json => json.to_owned(),
        Format::Text if global.json => json.to_owned(),
        Format::Text => text.to_owned(),
    };
    match &to.output {
        None => output::line(whole.trim_end()),
        Some(file) => save(file, &whole)?,
    }
    Ok(())
}

/// Writes a file.
pub(crate) fn save(file: &Path, text: &str) -> Result<(), CliError> {
    std::fs::write(file, text).map_err(|error| {
        CliError::new(Code::BadFile, format!("{}: {error}", file.display()))
            .hint("name a file that can be written")
    })
}

fn share(text: &str) -> Result<WeightBp, String> {
    let percent: f64 =
        text.trim_end_matches('%').parse().map_err(|_| format!("'{text}' is not a share such as 5%"))?;
    if !(0.01..100.0).contains(&percent) {
        return Err(format!("{text} does not lie between 0.01% and 100%"));
    }
    WeightBp::new((percent * 100.0).round() as u16).map_err(|error| error.to_string())
}

fn ratio(text: &str) -> Result<u32, String> {
    match text.trim_end_matches('x').parse::<f64>() {
        Ok(ratio) if (1.01..=1_000.0).contains(&ratio) => Ok((ratio * 1e4).round() as u32),
        _ => Err(format!("'{text}' is not a ratio from 1.01x to 1000x")),
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((label, value)) if !label.is_empty() => {
            Ok((label.to_owned(), value.trim_matches('"').to_owned()))
        }
        _ => Err(format!("'{text}' is not a label such as version=v2")),
    }
}

fn time(text: &str) -> Result<f64, String> {
    let us = offline::time::read(text);
    us.map(|us| us as f64 / 1e6).ok_or_else(|| format!("'{text}' is not a time such as 2026-11-20T18:40:00Z"))
}
