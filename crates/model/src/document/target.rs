//! What runs.

use super::fields::Fields;
use super::keys;
use super::problem::Code;
use crate::route::UpstreamProtocol;
use crate::service::{ArtifactRef, Probe, ProbeAsk, ProcessLimits, ProcessTarget};

/// The target, and the warm-up, which the judge and not the supervisor needs.
pub(super) struct Target {
    pub(super) process: ProcessTarget,
    pub(super) warm_up_ms: u64,
}

pub(super) fn read(fields: &Fields<'_, '_>) -> Option<Target> {
    let command = fields.command("command");
    let directory = fields.path("directory");
    let artifact = artifact(fields);
    let port = fields.whole("port");
    let protocol = fields.word("protocol").map(|word| match word {
        "h2c" => UpstreamProtocol::H2c,
        _ => UpstreamProtocol::Http1,
    });
    let readiness = probe(fields, "readiness", 1_000);
    let health = probe(fields, "health", 5_000);
    let env = env(fields);
    let replicas = fields.whole("replicas");
    let stop_grace = fields.span("stop_grace");
    let limits = fields.section("limits").map(|fields| limits(&fields)).unwrap_or_default();
    let warm_up_ms = fields.span("warm_up");
    if artifact.is_none() && fields.given("artifact").is_none() {
        artifact_unnamed(fields, command.as_deref().unwrap_or_default());
    }
    let readiness = match (readiness, fields.given("readiness")) {
        (None, Some(_)) => return None,
        (Some(probe), _) => probe,
        (None, None) => figures(&fields.empty(&keys::PROBE, "readiness"), ProbeAsk::Tcp, 1_000)?,
    };
    let health = match (health, fields.given("health")) {
        (None, Some(_)) => return None,
        (Some(probe), _) => probe,
        (None, None) => Probe { interval_ms: 5_000, ..readiness.clone() },
    };
    Some(Target {
        process: ProcessTarget {
            command: command?,
            directory: directory?,
            artifact,
            port_from: port? as u16,
            protocol: protocol?,
            readiness,
            health,
            env: env.into_iter().collect(),
            replicas: replicas? as u32,
            stop_grace_ms: stop_grace?,
            limits,
        },
        warm_up_ms: warm_up_ms?,
    })
}

fn artifact(fields: &Fields<'_, '_>) -> Option<ArtifactRef> {
    let located = |from: String| match from.split_once("://") {
        Some(("http" | "https", _)) => Some(from),
        Some((scheme, _)) => {
            let message = format!("`{scheme}` is not a scheme an artifact is fetched by");
            fields.problem(Code::BadValue, "artifact", &message, "use a path, http:// or https://");
            None
        }
        None => Some(fields.context.absolute(&from)),
    };
    if fields.short("artifact") {
        let from = located(fields.short_text("artifact")?)?;
        return Some(ArtifactRef { from, digest: None });
    }
    let inner = fields.section("artifact")?;
    let (from, digest) = (inner.text("from"), inner.digest("digest"));
    Some(ArtifactRef { from: located(from?)?, digest })
}

/// `{artifact}` in the command needs an artifact.
fn artifact_unnamed(fields: &Fields<'_, '_>, command: &[String]) {
    if command.iter().any(|word| word.contains("{artifact}")) {
        let message = "the command names `{artifact}`, and there is no `artifact`";
        fields.problem(Code::Conflict, "command", message, "add `artifact:` with its path");
    }
}

fn probe(fields: &Fields<'_, '_>, name: &str, interval_ms: u64) -> Option<Probe> {
    if fields.short(name) {
        let ask = http(fields, name, fields.short_text(name)?)?;
        return figures(&fields.empty(&keys::PROBE, name), ask, interval_ms);
    }
    let inner = fields.section(name)?;
    let ask = match inner.exactly_one() {
        Some("http") => inner.text("http").and_then(|path| http(&inner, "http", path)),
        Some("tcp") => match inner.flag("tcp") {
            Some(false) => {
                inner.problem(
                    Code::BadValue,
                    "tcp",
                    "a probe that asks nothing",
                    "write tcp: true, or another probe",
                );
                None
            }
            flag => flag.map(|_| ProbeAsk::Tcp),
        },
        Some(_) => inner.command("command").map(|command| ProbeAsk::Command { command }),
        None => None,
    };
    figures(&inner, ask?, interval_ms)
}

fn figures(fields: &Fields<'_, '_>, ask: ProbeAsk, interval_ms: u64) -> Option<Probe> {
    let interval = fields.span("interval");
    if fields.given("interval").is_some() && interval == Some(0) {
        fields.problem(Code::OutOfRange, "interval", "a probe without a pause", "write at least 10ms");
    }
    Some(Probe {
        ask,
        interval_ms: interval.unwrap_or(interval_ms).max(1),
        timeout_ms: fields.span("timeout")?,
        success_after: fields.whole("success_after")? as u32,
        failure_after: fields.whole("failure_after")? as u32,
    })
}

fn http(fields: &Fields<'_, '_>, name: &str, path: String) -> Option<ProbeAsk> {
    if path.starts_with('/') {
        return Some(ProbeAsk::Http { path });
    }
    let message = format!("`{path}` is not a path");
    fields.problem(Code::BadValue, name, &message, &format!("write /{}", path.trim_start_matches("./")));
    None
}

fn env(fields: &Fields<'_, '_>) -> Vec<(String, String)> {
    let variables = fields.map("env");
    for (name, _) in &variables {
        let reserved = name == "PORT" || name.starts_with("TAXIWAY_");
        if reserved {
            let message = format!("`{name}` is set by Taxiway");
            fields.problem(Code::Conflict, "env", &message, "choose another name");
        } else if name.is_empty() || name.contains(['=', '\0']) {
            fields.problem(Code::BadValue, "env", &format!("{name:?} is not the name of a variable"), "");
        }
    }
    variables
}

fn limits(fields: &Fields<'_, '_>) -> ProcessLimits {
    ProcessLimits {
        memory_bytes: fields.size("memory"),
        cpu_milli: fields.cores("cpu"),
        open_files: fields.whole("open_files"),
    }
}
