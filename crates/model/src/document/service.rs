//! The whole file.

use super::by_query::{self, Included};
use super::fields::{Context, Fields};
use super::keys;
use super::node::Node;
use super::openslo::Objectives;
use super::{analysis, checks, signals, strategy, target, traffic};
use crate::ids::{EnvironmentName, ServiceName};
use crate::metrics::TakeApart;
use crate::service::{Concurrency, Deadlines, RiskTier, ServiceSpec, Stage};

/// Reads the whole file; none where a needed part could not be read, the problems noted.
pub(super) fn read(
    root: &Node,
    context: &Context<'_>,
    included: Option<Included<'_>>,
    promql: Option<&TakeApart<'_>>,
    slos: Option<&Objectives>,
) -> Option<ServiceSpec> {
    let file = Fields::open(context, &keys::SERVICE, root, "")?;
    // Every part is read before any is missed, so that all problems are told at once.
    let name = file.name("name", ServiceName::new);
    let owner = file.text("owner");
    let tier = file.word("tier").map(tier);
    let environment = file.name("environment", EnvironmentName::new);
    let stage = stage(&file, environment.as_ref());
    let target = file.section("target").and_then(|fields| target::read(&fields));
    let traffic = file.section("traffic").and_then(|fields| traffic::read(&fields));
    let replicas = target.as_ref().map_or(1, |target| target.process.replicas);
    let internal_users = traffic.as_ref().and_then(|traffic| traffic.internal_users.clone());
    let strategy = by_query::strategy(&file, included)
        .or_else(|| strategy::read(&file, replicas, internal_users.as_ref()));
    let around = analysis::Around {
        strategy: strategy.as_ref(),
        traffic: traffic.as_ref(),
        limits: target.as_ref().map(|target| &target.process.limits),
        included,
        promql,
        slos,
    };
    let mut analysis = file.section_or_empty("analysis").and_then(|fields| analysis::read(&fields, &around));
    let checks = checks::read(&file, "checks", true);
    let deadlines = file.section_or_empty("deadlines").and_then(|fields| deadlines(&fields));
    let concurrency = file.word("concurrency").map(concurrency);
    let signals = file.section_or_empty("signals").map(|fields| signals::read(&fields));
    if let (Some(analysis), Some(target)) = (&mut analysis, &target) {
        analysis.warm_up_ms = target.warm_up_ms;
    }
    let traffic = traffic?;
    Some(ServiceSpec {
        name: name?,
        owner: owner?,
        tier: tier?,
        environment: environment?,
        stage: stage?,
        target: target?.process,
        listen: traffic.listen,
        internal_users: traffic.internal_users,
        strategy: strategy?,
        analysis: analysis?,
        checks,
        deadlines: deadlines?,
        concurrency: concurrency?,
        signals: signals?,
    })
}

fn tier(word: &str) -> RiskTier {
    match word {
        "low" => RiskTier::Low,
        "medium" => RiskTier::Medium,
        "high" => RiskTier::High,
        _ => RiskTier::Critical,
    }
}

/// The stage given; else the environment where it is one of the stages; else production, whose
/// rules are the strict ones.
fn stage(file: &Fields<'_, '_>, environment: Option<&EnvironmentName>) -> Option<Stage> {
    let given = file.word("stage");
    let word = if file.given("stage").is_some() { given? } else { environment?.as_str() };
    Some(match word {
        "development" => Stage::Development,
        "test" => Stage::Test,
        "staging" => Stage::Staging,
        _ => Stage::Production,
    })
}

fn concurrency(word: &str) -> Concurrency {
    match word {
        "supersede" => Concurrency::Supersede,
        "refuse" => Concurrency::Refuse,
        _ => Concurrency::Queue,
    }
}

fn deadlines(fields: &Fields<'_, '_>) -> Option<Deadlines> {
    let [ready, routed, samples, source, drain, abort_window, suppression] =
        ["ready", "routed", "samples", "source", "drain", "abort_window", "suppression"]
            .map(|key| fields.span(key));
    Some(Deadlines {
        ready_ms: ready?,
        routed_ms: routed?,
        samples_ms: samples?,
        source_ms: source?,
        drain_ms: drain?,
        abort_window_ms: abort_window?,
        suppression_ms: suppression?,
    })
}
