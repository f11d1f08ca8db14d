//! Where clients connect, and how requests are divided.

use super::fields::Fields;
use super::problem::Code;
use super::value;
use crate::route::{ActiveHealth, EndpointClass, HeaderRule, HeaderSource, Limits, Listen, Sticky, Tls};
use std::collections::BTreeSet;

/// What listens, and who the internal users are.
pub(super) struct Traffic {
    pub(super) listen: Listen,
    pub(super) internal_users: Option<HeaderRule>,
}

pub(super) fn read(fields: &Fields<'_, '_>) -> Option<Traffic> {
    let addresses = fields.many("listen", value::address);
    unique(fields, "listen", addresses.iter());
    let tls = match (fields.section("tls"), fields.given("tls")) {
        (Some(inner), _) => Some(Tls { certificate: inner.path("certificate")?, key: inner.path("key")? }),
        (None, Some(_)) => return None,
        (None, None) => None,
    };
    let internal_users = fields.section("internal_users").and_then(|inner| header_rule(&inner));
    let limits = fields.section_or_empty("limits").and_then(|inner| limits(&inner));
    let sticky = sticky(fields);
    let listen = Listen {
        addresses,
        tls,
        sticky: sticky?,
        trusted_proxies: fields.many("trusted_proxies", value::network),
        limits: limits?,
        endpoint_classes: endpoints(fields),
        health: fields.section("health").and_then(|inner| health(&inner)),
    };
    Some(Traffic { listen, internal_users })
}

/// Notes a value that stands twice.
fn unique<'v>(fields: &Fields<'_, '_>, key: &str, values: impl Iterator<Item = &'v String>) {
    let mut seen = BTreeSet::new();
    for value in values {
        if !seen.insert(value) {
            let message = format!("`{value}` stands twice");
            fields.problem(Code::DuplicateName, key, &message, "remove one of them");
        }
    }
}

fn sticky(fields: &Fields<'_, '_>) -> Option<Sticky> {
    let (by, name) = if fields.given("sticky").is_none() || fields.short("sticky") {
        (fields.word("sticky")?, None)
    } else {
        let inner = fields.section("sticky")?;
        let (by, name) = (inner.word("by"), inner.text("name"));
        let by = by?;
        if name.is_some() && matches!(by, "none" | "address") {
            inner.problem(Code::Conflict, "name", &format!("`by: {by}` has no name"), "remove it");
        }
        (by, name)
    };
    match by {
        "cookie" => Some(Sticky::Cookie { name: name.unwrap_or_else(|| "taxiway".to_owned()) }),
        "header" => {
            if name.is_none() {
                let hint = "write sticky: {by: header, name: x-user-id}";
                fields.problem(Code::MissingKey, "sticky", "the header is not named", hint);
            }
            Some(Sticky::Header { name: name? })
        }
        "address" => Some(Sticky::Address),
        _ => Some(Sticky::None),
    }
}

/// A rule on a header or a cookie.
pub(super) fn header_rule(fields: &Fields<'_, '_>) -> Option<HeaderRule> {
    let from = fields.exactly_one()?;
    let name = fields.text(from)?;
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)) {
        let message = format!("`{name}` is not the name of a {from}");
        fields.problem(Code::BadValue, from, &message, "names have letters, digits and `-`");
        return None;
    }
    let values = fields.many("values", |text| Ok(text.to_owned()));
    let source = if from == "header" { HeaderSource::Header } else { HeaderSource::Cookie };
    Some(HeaderRule { from: source, name, values })
}

fn endpoints(fields: &Fields<'_, '_>) -> Vec<EndpointClass> {
    let mut classes = Vec::new();
    let mut names = BTreeSet::new();
    for inner in fields.sections("endpoints") {
        let (name, prefix) = (inner.name("name", crate::ids::MetricName::new), inner.text("prefix"));
        let (Some(name), Some(prefix)) = (name, prefix) else { continue };
        if name.as_str() == "other" {
            inner.problem(Code::Conflict, "name", "`other` is what no class claims", "choose another name");
        }
        if !names.insert(name.clone()) {
            inner.problem(
                Code::DuplicateName,
                "name",
                &format!("another class is called `{name}`"),
                "choose another name",
            );
        }
        if !prefix.starts_with('/') {
            inner.problem(
                Code::BadValue,
                "prefix",
                &format!("`{prefix}` is not a path"),
                &format!("write /{prefix}"),
            );
        }
        classes.push(EndpointClass { name: name.to_string(), prefix });
    }
    // The longest prefix wins, whatever the order of the file.
    classes.sort_by_key(|class| std::cmp::Reverse(class.prefix.len()));
    classes
}

fn health(fields: &Fields<'_, '_>) -> Option<ActiveHealth> {
    Some(ActiveHealth {
        path: fields.text("path")?,
        interval_ms: fields.span("interval")?.max(1),
        timeout_ms: fields.span("timeout")?,
        unhealthy_after: fields.whole("unhealthy_after")? as u32,
        healthy_after: fields.whole("healthy_after")? as u32,
    })
}

fn limits(fields: &Fields<'_, '_>) -> Option<Limits> {
    let header_bytes = fields.size("header_size")?;
    let Ok(header_bytes_max) = u32::try_from(header_bytes) else {
        fields.problem(Code::OutOfRange, "header_size", "a request head of 4 GiB or more", "64KiB is usual");
        return None;
    };
    Some(Limits {
        header_bytes_max,
        header_count_max: fields.whole("headers")? as u32,
        body_bytes_max: fields.size("body_size")?,
        connections_max: fields.whole("connections")? as u32,
        header_ms_max: fields.span("header_time")?,
        body_idle_ms_max: fields.span("body_idle")?,
        response_ms_max: fields.span("response_time")?,
        idle_ms_max: fields.span("idle")?,
        h2_streams_max: fields.whole("h2_streams")? as u32,
    })
}
