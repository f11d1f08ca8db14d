//! Smoke tests and hooks.

use super::fields::Fields;
use super::problem::Code;
use super::value;
use crate::ids::StepName;
use crate::plan::{Check, CheckAt, CheckRun, OnFailure};
use std::collections::BTreeSet;

/// The checks in a list; `placed` ones belong to the service and say when they run, the others to
/// a step.
pub(super) fn read(fields: &Fields<'_, '_>, key: &str, placed: bool) -> Vec<Check> {
    let mut names = BTreeSet::new();
    let mut checks = Vec::new();
    for inner in fields.sections(key) {
        let Some(check) = check(&inner, placed) else { continue };
        if !names.insert(check.name.clone()) {
            let message = format!("another check here is called `{}`", check.name);
            inner.problem(Code::DuplicateName, "name", &message, "choose another name");
        }
        checks.push(check);
    }
    checks
}

fn check(fields: &Fields<'_, '_>, placed: bool) -> Option<Check> {
    let name = fields.name("name", StepName::new);
    let at = fields.word("at");
    if !placed && at.is_some() {
        let hint = "it runs where it stands, `before` or `after`; remove `at`";
        fields.problem(Code::Conflict, "at", "a check of a step does not choose its place", hint);
    }
    let run = match fields.exactly_one() {
        Some("http") => http(fields),
        Some(_) => command(fields),
        None => None,
    };
    let timeout = fields.span("timeout");
    if timeout == Some(0) {
        fields.problem(Code::OutOfRange, "timeout", "a check without any time", "write at least 1ms");
    }
    let (retries, on_failure) = (fields.whole("retries"), fields.word("on_failure"));
    Some(Check {
        name: name?.to_string(),
        at: match at {
            _ if !placed => CheckAt::Step,
            Some("each_step") => CheckAt::EachStep,
            Some("end") => CheckAt::End,
            _ => CheckAt::Start,
        },
        run: run?,
        timeout_ms: timeout?,
        retries: retries? as u32,
        on_failure: match on_failure? {
            "continue" => OnFailure::Continue,
            "hold" => OnFailure::Hold,
            _ => OnFailure::Rollback,
        },
    })
}

fn command(fields: &Fields<'_, '_>) -> Option<CheckRun> {
    let directory = fields.path("directory");
    Some(CheckRun::Command { command: fields.command("command")?, directory: directory? })
}

fn http(fields: &Fields<'_, '_>) -> Option<CheckRun> {
    if fields.given("directory").is_some() {
        fields.problem(Code::Conflict, "directory", "a request has no working directory", "remove it");
    }
    if fields.short("http") {
        let inner = fields.empty(&super::keys::HTTP_CHECK, "http");
        return request(&inner, url(fields, "http", fields.short_text("http")?)?);
    }
    let inner = fields.section("http")?;
    let url = inner.text("url").and_then(|text| url(&inner, "url", text));
    request(&inner, url?)
}

fn url(fields: &Fields<'_, '_>, key: &str, text: String) -> Option<String> {
    if text.starts_with("http://") || text.starts_with("https://") {
        return Some(text);
    }
    let message = format!("`{text}` is not an http(s) URL");
    let hint = if text.starts_with('/') {
        format!("write http://{{canary}}{text}")
    } else {
        format!("write http://{text}")
    };
    fields.problem(Code::BadValue, key, &message, &hint);
    None
}

fn request(fields: &Fields<'_, '_>, url: String) -> Option<CheckRun> {
    let method = fields.text("method")?;
    if !method.bytes().all(|b| b.is_ascii_uppercase()) {
        let hint = format!("write {}", method.to_ascii_uppercase());
        fields.problem(Code::BadValue, "method", &format!("`{method}` is not a method"), &hint);
    }
    let statuses = fields.many("expect_status", |text| value::whole(text, 100, 599));
    Some(CheckRun::Http {
        method,
        url,
        headers: fields.map("headers"),
        body: fields.text("body"),
        expect_status: statuses.into_iter().map(|status| status as u16).collect(),
        expect_body: fields.text("expect_body"),
    })
}
