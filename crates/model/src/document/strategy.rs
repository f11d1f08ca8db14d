//! How exposure grows.

use super::checks;
use super::fields::{Fields, as_name};
use super::problem::Code;
use super::traffic::header_rule;
use super::value;
use crate::ids::StepName;
use crate::plan::Step;
use crate::presets::{self, Unavailable};
use crate::route::HeaderRule;
use crate::service::{Strategy, StrategyKind};
use crate::weight::WeightBp;

/// The most that may be held back from the last step: beyond, it is a step of its own.
const HOLDBACK_BP_MAX: u16 = 1_000;

/// Reads the strategy of a service with `replicas` instances; without one it is the canary preset.
pub(super) fn read(file: &Fields<'_, '_>, replicas: u32, internal: Option<&HeaderRule>) -> Option<Strategy> {
    if file.given("strategy").is_none() {
        return preset(file, "strategy", "canary", replicas, internal);
    }
    if file.short("strategy") {
        let name = file.preset("strategy")?;
        return preset(file, "strategy", name, replicas, internal);
    }
    let fields = file.section("strategy")?;
    let own = fields.given("steps").is_some();
    if own && fields.given("preset").is_some() {
        let hint = "remove `preset`, or remove `steps` and change the preset by `bake` and `approval`";
        fields.problem(Code::Conflict, "steps", "a preset brings its own steps", hint);
        return None;
    }
    let retire_after = fields.span("retire_after");
    let mut strategy = if own { custom(&fields, internal)? } else { changed(&fields, replicas, internal)? };
    if let Some(ms) = retire_after {
        strategy.retire_after_ms = ms;
    }
    if let Some(share) = fields.share("holdback") {
        hold_back(&fields, &mut strategy, share);
    }
    Some(strategy)
}

/// Leaves the baseline a share on the last step, so that there is something to compare with.
fn hold_back(fields: &Fields<'_, '_>, strategy: &mut Strategy, share: u16) {
    let problem = |code, message: &str, hint: &str| fields.problem(code, "holdback", message, hint);
    if !matches!(strategy.kind, StrategyKind::Canary | StrategyKind::BlueGreen) {
        problem(
            Code::Conflict,
            "the old version does not run any more on the last step",
            "use it with a canary",
        );
        return;
    }
    if share == 0 || share > HOLDBACK_BP_MAX {
        problem(Code::OutOfRange, "a share above 0% and at most 10% is held back", "1% is usual");
        return;
    }
    let rest = WeightBp::new(WeightBp::ALL.bp() - share).expect("at most a tenth is taken away");
    if strategy.steps.iter().rev().skip(1).any(|step| step.weight > rest) {
        problem(Code::Conflict, "the step before the last has more than would be left", "hold back less");
        return;
    }
    if let Some(last) = strategy.steps.last_mut() {
        last.weight = rest;
        last.analysis = true;
    }
}

fn preset(
    fields: &Fields<'_, '_>,
    key: &str,
    name: &str,
    replicas: u32,
    internal: Option<&HeaderRule>,
) -> Option<Strategy> {
    match presets::expand(name, replicas, internal) {
        Ok(strategy) => Some(strategy),
        Err(why) => {
            let hint = match why {
                Unavailable::InternalUsers => "add `traffic.internal_users` with a header or a cookie",
                Unavailable::Target { .. } | Unavailable::Unknown(_) => "use `canary`, or steps of your own",
            };
            fields.problem(Code::Preset, key, &why.to_string(), hint);
            None
        }
    }
}

/// A preset with what its owner wants otherwise.
fn changed(fields: &Fields<'_, '_>, replicas: u32, internal: Option<&HeaderRule>) -> Option<Strategy> {
    let name = match fields.given("preset") {
        Some(_) => fields.preset("preset")?,
        None => "canary",
    };
    if fields.given("kind").is_some() {
        fields.problem(Code::Conflict, "kind", "the preset says which kind it is", "remove `kind`");
    }
    let mut strategy = preset(fields, "preset", name, replicas, internal)?;
    bake(fields, &mut strategy);
    if let Some(judged) = fields.flag("analysis") {
        for step in strategy.steps.iter_mut().filter(|step| exposes(step)) {
            step.analysis = judged;
        }
    }
    for name in fields.many("approval", |text| as_name(text, StepName::new)) {
        let names = strategy.steps.iter().map(|step| step.name.as_str());
        let hint = format!("its steps: {}", names.collect::<Vec<_>>().join(", "));
        if let Some(step) = strategy.steps.iter_mut().find(|step| step.name == name) {
            step.approval = true;
        } else {
            let message = format!("preset `{}` has no step `{name}`", strategy.preset);
            fields.problem(Code::BadValue, "approval", &message, &hint);
        }
    }
    Some(strategy)
}

fn bake(fields: &Fields<'_, '_>, strategy: &mut Strategy) {
    let times = fields.many("bake", value::span_ms);
    let list = fields.given("bake").is_some() && !fields.short("bake");
    let steps: Vec<&mut Step> = strategy.steps.iter_mut().filter(|step| exposes(step)).collect();
    match times.as_slice() {
        [] => {}
        [one] if !list => steps.into_iter().for_each(|step| step.bake_ms = *one),
        times if times.len() == steps.len() => {
            steps.into_iter().zip(times).for_each(|(step, ms)| step.bake_ms = *ms);
        }
        times => {
            let message = format!("{} times for {} steps with requests", times.len(), steps.len());
            let names: Vec<_> = steps.iter().map(|step| step.name.as_str()).collect();
            let hint = format!("one time for all, or one for each of: {}", names.join(", "));
            fields.problem(Code::Conflict, "bake", &message, &hint);
        }
    }
}

/// Whether any request can reach the canary on this step: without, no evidence can come.
fn exposes(step: &Step) -> bool {
    step.weight > WeightBp::ZERO || step.header.is_some() || step.mirror > WeightBp::ZERO
}

fn custom(fields: &Fields<'_, '_>, internal: Option<&HeaderRule>) -> Option<Strategy> {
    for key in ["bake", "analysis", "approval"] {
        if fields.given(key).is_some() {
            let message = format!("`{key}` here changes a preset");
            fields.problem(Code::Conflict, key, &message, "say it on each step");
        }
    }
    let kind = match fields.word("kind") {
        Some("blue_green") => StrategyKind::BlueGreen,
        Some("rolling") => StrategyKind::Rolling,
        Some("recreate") => StrategyKind::Recreate,
        _ => StrategyKind::Canary,
    };
    let listed = fields.sections("steps");
    if listed.is_empty() {
        fields.problem(Code::BadValue, "steps", "there are no steps", "the last one needs weight: 100%");
        return None;
    }
    let mut steps: Vec<(Step, &Fields<'_, '_>)> = Vec::new();
    let mut broken = false;
    for inner in &listed {
        match step(inner, internal) {
            Some(step) => steps.push((step, inner)),
            None => broken = true,
        }
    }
    rising(&steps);
    distinct(&mut steps);
    if let Some((last, inner)) = steps.last()
        && last.weight != WeightBp::ALL
        && !broken
    {
        let message = format!("the last step has {}", last.weight);
        inner.problem(Code::NotRising, "weight", &message, "add a step with weight: 100%");
    }
    let steps = steps.into_iter().map(|(step, _)| step).collect();
    Some(Strategy { kind, preset: "custom".to_owned(), steps, retire_after_ms: 0 })
}

/// Each weight must be above the one before it; at the beginning there may be several at 0%.
fn rising(steps: &[(Step, &Fields<'_, '_>)]) {
    for pair in steps.windows(2) {
        let ((before, _), (step, inner)) = (&pair[0], &pair[1]);
        if step.weight <= before.weight && step.weight != WeightBp::ZERO
            || step.weight == WeightBp::ZERO && before.weight != WeightBp::ZERO
        {
            let message = format!("{} after {} exposes no more", step.weight, before.weight);
            let hint = format!("steps rise: write more than {}, or change their order", before.weight);
            inner.problem(Code::NotRising, "weight", &message, &hint);
        }
    }
}

/// Names must differ; those nobody chose are made to.
pub(super) fn distinct(steps: &mut [(Step, &Fields<'_, '_>)]) {
    for i in 1..steps.len() {
        let taken: Vec<StepName> = steps[..i].iter().map(|(step, _)| step.name.clone()).collect();
        let (step, inner) = &mut steps[i];
        if !taken.contains(&step.name) {
            continue;
        }
        if inner.given("name").is_some() {
            let message = format!("another step is called `{}`", step.name);
            inner.problem(Code::DuplicateName, "name", &message, "choose another name");
            continue;
        }
        let numbered =
            (2..).map(|n| format!("{}-{n}", step.name)).filter_map(|name| StepName::new(name).ok());
        step.name = numbered.into_iter().find(|name| !taken.contains(name)).expect("some number is free");
    }
}

fn step(fields: &Fields<'_, '_>, internal: Option<&HeaderRule>) -> Option<Step> {
    let name = fields.given("name").map(|_| fields.name("name", StepName::new));
    let weight = fields.share("weight").and_then(|bp| WeightBp::new(bp).ok());
    let header = only(fields, internal);
    let mirror = fields.share("mirror").and_then(|bp| WeightBp::new(bp).ok());
    let [instances, baseline_instances] =
        ["instances", "baseline_instances"].map(|key| fields.whole(key).map(|n| n as u32));
    let (analysis, approval, bake) = (fields.flag("analysis"), fields.flag("approval"), fields.span("bake"));
    let (before, after) = (checks::read(fields, "before", false), checks::read(fields, "after", false));
    let (weight, mirror, header) = (weight?, mirror?, header.ok()?);
    let default_name = match (&header, mirror) {
        _ if weight > WeightBp::ZERO => presets::name_for(weight),
        (Some(_), _) => "internal".to_owned(),
        (None, WeightBp::ZERO) => "dark".to_owned(),
        (None, _) => "mirror".to_owned(),
    };
    let mut step = Step {
        name: match name {
            Some(given) => given?,
            None => StepName::new(default_name).expect("made of letters, digits and a point"),
        },
        weight,
        instances,
        baseline_instances,
        header,
        mirror,
        bake_ms: bake?,
        analysis: false,
        approval: approval?,
        before,
        after,
    };
    step.analysis = analysis.unwrap_or(exposes(&step));
    hold_together(fields, &mut step);
    Some(step)
}

/// What one step asks for must be possible.
fn hold_together(fields: &Fields<'_, '_>, step: &mut Step) {
    if !exposes(step) {
        for (key, asked) in [("bake", step.bake_ms > 0), ("analysis", step.analysis)] {
            if asked && fields.given(key).is_some() {
                let hint = "give it weight, `only` or `mirror`, or remove this";
                fields.problem(Code::Conflict, key, "no request reaches the canary on this step", hint);
            }
        }
        // The usual bake time is one with evidence, and here none can come.
        step.bake_ms = 0;
    }
    if step.mirror > WeightBp::ZERO && step.weight == WeightBp::ALL {
        fields.problem(
            Code::Conflict,
            "mirror",
            "at 100% there is no baseline to copy from",
            "remove `mirror`",
        );
    }
    if step.instances == Some(0) && exposes(step) {
        fields.problem(Code::OutOfRange, "instances", "requests without an instance", "write at least 1");
    }
    if step.baseline_instances == Some(0) && step.weight < WeightBp::ALL && exposes(step) {
        let message = "the baseline has requests and no instance";
        fields.problem(Code::OutOfRange, "baseline_instances", message, "write at least 1");
    }
}

/// The rule of requests that go to the canary whatever the weight; the error is noted.
fn only(fields: &Fields<'_, '_>, internal: Option<&HeaderRule>) -> Result<Option<HeaderRule>, ()> {
    if fields.given("only").is_none() {
        return Ok(None);
    }
    if !fields.short("only") {
        return fields.section("only").and_then(|inner| header_rule(&inner)).map(Some).ok_or(());
    }
    fields.word("only").ok_or(())?;
    if internal.is_none() {
        let hint = "add `traffic.internal_users` with a header or a cookie";
        fields.problem(Code::Conflict, "only", "no internal users are declared", hint);
    }
    internal.cloned().map(Some).ok_or(())
}
