//! `taxiway judge`: two series of figures judged as a release would be.

use std::path::{Path, PathBuf};

use taxiway_model::ids::{self, MetricName};
use taxiway_model::metrics::{Credentials, Query, Sample, Source};
use taxiway_model::policy::{AnalysisPolicy, Baseline, Direction, Exclusion, Measure, MetricPolicy, Profile};
use taxiway_model::verdict::Verdict;
use taxiway_model::weight::WeightBp;
use taxiway_report::recording::{FORMAT, Head, Lack, Recording, Seen, Step};
use taxiway_report::{Report, compare, course, html, text};

use crate::cli::Global;
use crate::commands::check;
use crate::error::{CliError, Code};
use crate::exit::Exit;
use crate::offline::analysis::{self, Known, Where};
use crate::offline::range::{Asked, Found};
use crate::offline::series::{Has, Reading, Series, TimeUnit};
use crate::offline::windows::{self, Given};
use crate::offline::{self, peers};
use crate::output;

/// Judge two series of figures as a release would be judged, and write a report
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The baseline's figures: CSV, JSON or .hlog; - reads standard input
    #[arg(required_unless_present = "from", requires = "canary_file")]
    baseline_file: Option<PathBuf>,
    /// The canary's figures over the same time
    #[arg(conflicts_with = "from")]
    canary_file: Option<PathBuf>,
    #[command(flatten)]
    range: RangeArgs,
    /// Preset of bands
    #[arg(long, value_enum, default_value_t = ProfileName::Standard, conflicts_with = "policy")]
    profile: ProfileName,
    /// A taxiway.yaml whose analysis is the policy; with --from its sources are asked
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
    /// Only the intervals of a histogram log with this tag; '' for those without one
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Compare from each side's own beginning: the two have no time in common
    #[arg(long)]
    align: bool,
    /// What another tool would say: kayenta:FILE, argo:FILE, flagger:FILE[+FILE], ratio:2; may be given several times
    #[arg(long = "as", value_name = "PEER:FILE")]
    peers: Vec<String>,
    #[command(flatten)]
    to: Written,
}

/// Ranges of a Prometheus.
#[derive(Debug, clap::Args)]
struct RangeArgs {
    /// Base URL of a Prometheus
    #[arg(long, value_name = "URL", requires = "from")]
    prometheus: Option<String>,
    /// What is judged, in PromQL; a ratio of rates is taken apart into its counters
    #[arg(long, value_name = "PROMQL", requires = "prometheus", conflicts_with = "analysis")]
    query: Option<String>,
    /// All metrics of an analysis: a CanaryConfig or a template, or one of Argo, Flagger or Kayenta; may be given several times
    #[arg(long, value_name = "FILE", requires = "prometheus", conflicts_with = "policy")]
    analysis: Vec<PathBuf>,
    /// A parameter of the analysis; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = parameter, requires = "analysis")]
    with: Vec<(String, String)>,
    /// The canary: its version, or the labels of its series, such as pod=shop-v2
    #[arg(long, value_name = "VERSION|LABEL=VALUE", value_delimiter = ',', value_parser = known, requires = "from")]
    canary: Vec<Known>,
    /// The baseline: its version, or labels
    #[arg(long, value_name = "VERSION|LABEL=VALUE", value_delimiter = ',', value_parser = known, requires = "from")]
    baseline: Vec<Known>,
    /// Beginning: a date, seconds since 1970, or -30m
    #[arg(long, value_name = "TIME", value_parser = time, requires = "canary", requires = "baseline", allow_hyphen_values = true)]
    from: Option<f64>,
    /// End [default: now]
    #[arg(long, value_name = "TIME", value_parser = time, requires = "from", allow_hyphen_values = true)]
    to: Option<f64>,
    /// Beginning for the baseline, if it is of another time
    #[arg(long, value_name = "TIME", value_parser = time, requires = "from", allow_hyphen_values = true)]
    baseline_from: Option<f64>,
    /// End for the baseline [default: as long as the canary's]
    #[arg(long, value_name = "TIME", value_parser = time, requires = "baseline_from", allow_hyphen_values = true)]
    baseline_to: Option<f64>,
    /// Time between two points
    #[arg(long, value_name = "TIME", value_parser = super::span, default_value = "15s")]
    step: std::time::Duration,
    /// Where the secret is: bearer:env:NAME, bearer:file:PATH, basic:USER:env:NAME
    #[arg(long, value_name = "REFERENCE", value_parser = analysis::credentials, requires = "prometheus")]
    credentials: Option<Credentials>,
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

/// What is judged, and by what.
struct Figures {
    /// Both sides' figures by metric, canary first.
    metrics: Vec<(MetricName, [Series; 2])>,
    /// They are answers to the policy's own queries.
    of_query: bool,
    names: [String; 2],
    /// Where they come from.
    of: String,
    policy: AnalysisPolicy,
    notes: Vec<String>,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Exit, CliError> {
    let Figures { metrics, of_query, names, of, policy, mut notes } = figures(args)?;
    let given: Vec<Given<'_>> = metrics
        .iter()
        .map(|(metric, [canary, baseline])| Given { metric, sides: [canary, baseline], of_query })
        .collect();
    let windows = windows::of(&given, args.align)?;
    let weight = args.share.unwrap_or_else(|| counted_share(&windows.seen));
    let has = |what: fn(&Has) -> bool| {
        !of_query && given.iter().any(|given| given.sides.iter().all(|series| what(&series.has)))
    };
    let mut lacks = vec![Lack::Share];
    lacks.extend((!has(|has| has.errors)).then_some(Lack::Errors));
    lacks.extend((!has(|has| has.latency)).then_some(Lack::Latency));
    let [canary, baseline] = names;
    let head = Head {
        format: FORMAT,
        name: format!("share {weight}"),
        of,
        canary,
        baseline: Some(baseline),
        started_us: (windows.started_us > 1_000_000_000_000_000).then_some(windows.started_us),
        steps: vec![Step::of_weight("given", weight, 0)],
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
    report.notes.append(&mut notes);
    for series in metrics.into_iter().flat_map(|(_, sides)| sides) {
        let new: Vec<String> = series.notes.into_iter().filter(|note| !report.notes.contains(note)).collect();
        report.notes.extend(new);
    }
    let peers = peers::read(&args.peers)?;
    if !peers.is_empty() {
        report.judges.push(compare::own_row(&recording, "taxiway", &course));
    }
    for peer in peers {
        report.judges.push(compare::row(&recording, &peer.name, peer.decision(&recording)));
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

fn figures(args: &Args) -> Result<Figures, CliError> {
    let metric = MetricName::new(args.metric.clone())?;
    match &args.range.from {
        Some(from_s) => of_ranges(args, &metric, *from_s),
        None => of_files(args, metric),
    }
}

fn of_files(args: &Args, metric: MetricName) -> Result<Figures, CliError> {
    let (Some(baseline), Some(canary)) = (&args.baseline_file, &args.canary_file) else {
        let why = "two files are needed: the baseline's and the canary's";
        return Err(CliError::new(Code::BadArgument, why).hint("taxiway judge baseline.csv canary.csv"));
    };
    if canary == baseline && canary == Path::new("-") {
        let why = "both sides cannot come from standard input";
        return Err(CliError::new(Code::BadArgument, why).hint("name a file for one of them"));
    }
    let reading = Reading { unit: args.unit, cumulative: args.cumulative, tag: args.tag.as_deref() };
    let of = format!("{}, {}", canary.display(), baseline.display());
    let names = named(canary, baseline);
    let sides = [offline::side(canary, reading)?, offline::side(baseline, reading)?];
    if sides[0].has != sides[1].has {
        let [canary_has, baseline_has] = [0, 1].map(|side| sides[side].has.words());
        let why = format!(
            "the two hold different figures: {} has {canary_has}, {} has {baseline_has}",
            canary.display(),
            baseline.display()
        );
        return Err(CliError::new(Code::BadSeries, why).hint("give both files the same columns"));
    }
    let policy = policy(args, &metric, sides[0].has)?;
    let notes = offline::series::unlike(&sides[0], &sides[1]).into_iter().collect();
    Ok(Figures { metrics: vec![(metric, sides)], of_query: false, names, of, policy, notes })
}

fn of_ranges(args: &Args, metric: &MetricName, from_s: f64) -> Result<Figures, CliError> {
    let range = &args.range;
    let known = [range.canary.as_slice(), range.baseline.as_slice()];
    let names = known.map(analysis::name);
    let now_s = || jiff::Timestamp::now().as_microsecond() as f64 / 1e6;
    let to_s = range.to.unwrap_or_else(now_s);
    let theirs_s = range.baseline_from.unwrap_or(from_s);
    let theirs = [theirs_s, range.baseline_to.unwrap_or(theirs_s + (to_s - from_s))];
    let mut notes = Vec::new();
    if range.baseline_from.is_some() {
        notes
            .push("the baseline is of another time: nobody can tell a bad canary from a bad hour".to_owned());
    }
    let ask = |source: &Source, query: &Query, versions: [&str; 2]| {
        let asked = Asked {
            source,
            versions,
            spans: [[from_s, to_s], theirs],
            step_s: range.step.as_secs_f64().max(1.0),
        };
        asked.check()?;
        asked.read(query)
    };
    let at =
        range.prometheus.as_deref().map(|url| Where { url, credentials: range.credentials.as_ref(), known });
    if let (Some(at), Some(query)) = (&at, &range.query) {
        let source = at.of_query(metric, query)?;
        let query = &source.queries[0];
        let sides = ask(&source, query, [&names[0], &names[1]])?.map_err(|why| {
            let hint = "compare --canary and --baseline with the labels of the series, and --from and --to with the time";
            CliError::new(Code::BadSeries, why).hint(hint)
        })?;
        notes.push(format!("{}: {}", query.text, query.shape.words()));
        let policy = policy(args, metric, sides[0].has)?;
        let metrics = vec![(metric.clone(), sides)];
        return Ok(Figures { metrics, of_query: false, names, of: at.url.to_owned(), policy, notes });
    }
    let mut policy = match (&at, &args.policy) {
        (Some(at), _) if !range.analysis.is_empty() => {
            let with = range.with.iter().cloned().collect();
            let (policy, left) = at.of_files(&range.analysis, &with, args.profile.into())?;
            notes.extend(left);
            policy
        }
        (None, Some(file)) => {
            let mut policy = check::read(file)?.analysis;
            analysis::sources(&mut policy, known);
            policy
        }
        _ => {
            let why = "nothing says what is to be asked";
            return Err(CliError::new(Code::BadArgument, why).hint(
                "--prometheus URL with --query or --analysis FILE, or --policy with a taxiway.yaml that has a source",
            ));
        }
    };
    // A version alone names those of its instances with which the policy compares.
    let beside = match policy.baseline {
        Baseline::Fresh => ids::fresh(&names[1]),
        Baseline::Stable => names[1].clone(),
    };
    let metrics = asked(&policy, |source, query| ask(source, query, [&names[0], &beside]), &mut notes)?;
    let of: Vec<String> = policy.sources.iter().map(|source| source.api.place()).collect();
    if let Some(ratio_bp) = args.exclude {
        policy.exclude = vec![Exclusion { up_to: WeightBp::ALL, ratio_bp }];
    }
    for metric in &mut policy.metrics {
        // A range has no steps: what begins at a later one is judged from the start.
        metric.from_step = 0;
    }
    Ok(Figures { metrics, of_query: true, names, of: of.join(", "), policy, notes })
}

/// What every metric of a policy has in its source; what has nothing is said.
fn asked(
    policy: &AnalysisPolicy,
    ask: impl Fn(&Source, &Query) -> Result<Found, CliError>,
    notes: &mut Vec<String>,
) -> Result<Vec<(MetricName, [Series; 2])>, CliError> {
    let mut metrics = Vec::new();
    let mut without = Vec::new();
    for source in &policy.sources {
        for query in &source.queries {
            match ask(source, query)? {
                Ok(sides) => {
                    notes.push(format!("{}: {}", query.metric, query.shape.words()));
                    metrics.push((query.metric.clone(), sides));
                }
                Err(why) => without.push(format!("{} has no figures: {why}", query.metric)),
            }
        }
    }
    if metrics.is_empty() {
        let why = match without.as_slice() {
            [] => "no metric of the policy has a query".to_owned(),
            _ => without.join("; "),
        };
        let hint = "compare --canary and --baseline with the labels of the series, and --from and --to with the time";
        return Err(CliError::new(Code::BadSeries, why).hint(hint));
    }
    notes.append(&mut without);
    Ok(metrics)
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

/// The canary's part of the requests while both sides had some, or of what most metrics count; half where nobody
/// counts any.
fn counted_share(windows: &[Seen]) -> WeightBp {
    let (mut mine, mut theirs) = (0_u128, 0_u128);
    for Seen { window, .. } in windows {
        let requests = (window.canary_total().requests, window.baseline_total().requests);
        let asked = window.metrics.values().filter(|sample| !matches!(sample, Sample::Scalar { .. }));
        let (canary, baseline) = asked.map(Sample::totals).fold(requests, std::cmp::Ord::max);
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

fn known(text: &str) -> Result<Known, String> {
    match text.split_once('=') {
        None if !text.trim().is_empty() => Ok(Known::Version(text.trim().to_owned())),
        Some((label, value)) if !label.is_empty() => {
            Ok(Known::Label(label.to_owned(), value.trim_matches('"').to_owned()))
        }
        _ => Err(format!("'{text}' is neither a version nor a label such as version=v2")),
    }
}

pub(super) fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("'{text}' is not a value of a parameter such as service=shop")),
    }
}

/// A moment, or so long before now.
fn time(text: &str) -> Result<f64, String> {
    let now_s = || jiff::Timestamp::now().as_microsecond() as f64 / 1e6;
    if text == "now" {
        return Ok(now_s());
    }
    if let Some(before) = text.strip_prefix('-') {
        return super::span(before).map(|before| now_s() - before.as_secs_f64());
    }
    let us = offline::time::read(text);
    us.map(|us| us as f64 / 1e6)
        .ok_or_else(|| format!("'{text}' is not a time such as 2026-11-20T18:40:00Z or -30m"))
}
