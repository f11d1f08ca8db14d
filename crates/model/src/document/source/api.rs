//! What answers, and where: the kinds of sources and their keys.

use super::super::fields::Fields;
use super::super::problem::Code;
use crate::metrics::{Api, Credentials, Influx, Secret};

/// Between two questions, and what one may take, in milliseconds: 100 ms to 5 min.
const PACE_MS: std::ops::RangeInclusive<u64> = 100..=300_000;

/// Names in a URL's query that say that a secret stands behind them.
const SECRET_WORDS: [&str; 8] =
    ["token", "key", "apikey", "api_key", "api-key", "secret", "password", "access_token"];

/// Widths of buckets, and how late data may come.
const BUCKET_MS: std::ops::RangeInclusive<u64> = 1_000..=3_600_000;

/// How often and how finely a source is asked, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) interval_ms: u64,
    pub(super) timeout_ms: u64,
    pub(super) bucket_ms: u64,
    pub(super) delay_ms: u64,
}

/// The one kind that is given.
pub(super) fn read(fields: &Fields<'_, '_>) -> Option<(Api, Pace)> {
    let kind = fields.exactly_one()?;
    let inner = fields.section(kind)?;
    let by_time = matches!(kind, "datadog" | "cloudwatch" | "newrelic" | "influxdb" | "graphite");
    let pace = pace(&inner, by_time);
    let api = match kind {
        "prometheus" => {
            let (url, credentials) = (url(&inner), credentials(&inner));
            url.map(|url| Api::Prometheus { url, credentials })
        }
        "graphite" => {
            let (url, credentials) = (url(&inner), credentials(&inner));
            url.map(|url| Api::Graphite { url, credentials })
        }
        "json" => {
            let (url, credentials) = (url(&inner), credentials(&inner));
            url.map(|url| Api::Json { url, credentials })
        }
        "datadog" => datadog(&inner),
        "cloudwatch" => cloudwatch(&inner),
        "newrelic" => {
            let (url, account, api_key) = (url(&inner), inner.whole("account"), secret(&inner, "api_key"));
            url.zip(account).zip(api_key).map(|((url, account), api_key)| Api::Newrelic {
                url,
                account,
                api_key,
            })
        }
        "influxdb" => influxdb(&inner),
        "otlp" => otlp(&inner),
        "logs" => Some(Api::Logs { path: inner.path("path") }),
        "command" => inner.command("run").map(|command| Api::Command { command }),
        "csv" => inner.path("path").map(|path| Api::Csv { path }),
        other => unreachable!("`{other}` is a source of the table"),
    };
    api.zip(pace)
}

fn datadog(fields: &Fields<'_, '_>) -> Option<Api> {
    let (url, api) = (url(fields), fields.word("api"));
    let [api_key, application_key] = ["api_key", "application_key"].map(|key| secret(fields, key));
    let version = if api? == "v1" { 1 } else { 2 };
    Some(Api::Datadog { url: url?, version, api_key: api_key?, application_key: application_key? })
}

fn cloudwatch(fields: &Fields<'_, '_>) -> Option<Api> {
    let region = fields.text("region");
    let url = fields.given("url").map(|_| url(fields));
    let [access_key, secret_key] = ["access_key", "secret_key"].map(|key| secret(fields, key));
    let session_token = fields.given("session_token").map(|_| secret(fields, "session_token"));
    let region = region?;
    let period_s = fields.span("bucket").unwrap_or_default() / 1_000;
    if !period_s.is_multiple_of(60) && ![1, 5, 10, 20, 30].contains(&period_s) {
        let hint = "write 1s, 5s, 10s, 20s, 30s or a multiple of 60s";
        fields.problem(Code::OutOfRange, "bucket", "CloudWatch has no period of this length", hint);
    }
    if !region.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        fields.problem(Code::BadValue, "region", "this is not a region", "write one like eu-central-1");
    }
    Some(Api::Cloudwatch {
        region,
        url: url.map_or(Some(None), |url| url.map(Some))?,
        access_key: access_key?,
        secret_key: secret_key?,
        session_token: session_token.map_or(Some(None), |token| token.map(Some))?,
    })
}

fn influxdb(fields: &Fields<'_, '_>) -> Option<Api> {
    let (url, token, own) = (url(fields), fields.given("token"), credentials(fields));
    let credentials = match token {
        Some(_) if fields.given("credentials").is_some() => {
            fields.problem(Code::Conflict, "token", "it is said twice who asks", "remove one of them");
            return None;
        }
        Some(_) => Some(Credentials::Token(secret(fields, "token")?)),
        None => own,
    };
    let of = match fields.exactly_one()? {
        "org" => Influx::Flux { org: fields.text("org")? },
        _ => Influx::Influxql { database: fields.text("database")? },
    };
    Some(Api::Influxdb { url: url?, of, credentials })
}

/// Whoever may push errors can roll back: other machines need a token, as for webhooks.
fn otlp(fields: &Fields<'_, '_>) -> Option<Api> {
    let listen = fields.address("listen");
    let given = fields.given("token").is_some();
    let token = secret(fields, "token");
    let listen = listen?;
    let loopback = listen.parse::<std::net::SocketAddr>().is_ok_and(|at| at.ip().is_loopback());
    if !loopback && !given {
        let message = format!("{listen} is reached from other machines, and anybody there could roll back");
        let hint = "add `token: {file: …}`, or listen on 127.0.0.1";
        fields.problem(Code::Conflict, "listen", &message, hint);
    }
    (token.is_some() || !given).then_some(Api::Otlp { listen, token })
}

fn pace(fields: &Fields<'_, '_>, by_time: bool) -> Option<Pace> {
    let within = |key: &str, bounds: &std::ops::RangeInclusive<u64>, words: &str| {
        let ms = fields.span(key);
        if ms.is_some_and(|ms| !bounds.contains(&ms)) {
            fields.problem(
                Code::OutOfRange,
                key,
                &format!("it lies between {words}"),
                "leave it out if unsure",
            );
        }
        ms
    };
    let [interval, timeout] = ["interval", "timeout"].map(|key| within(key, &PACE_MS, "100ms and 5m"));
    let (bucket, delay) = if by_time {
        (within("bucket", &BUCKET_MS, "1s and 1h"), within("delay", &(0..=3_600_000), "0s and 1h"))
    } else {
        (Some(0), Some(0))
    };
    if bucket.is_some_and(|ms| ms % 1_000 != 0) {
        fields.problem(Code::OutOfRange, "bucket", "a bucket is whole seconds wide", "write one like 10s");
    }
    Some(Pace { interval_ms: interval?, timeout_ms: timeout?, bucket_ms: bucket?, delay_ms: delay? })
}

/// An address over HTTP without a secret in it.
fn url(fields: &Fields<'_, '_>) -> Option<String> {
    let url = fields.text("url")?.trim_end_matches('/').to_owned();
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let Some(rest) = rest else {
        let hint = format!("write http://{url}");
        fields.problem(Code::BadValue, "url", &format!("`{url}` is not an http(s) URL"), &hint);
        return Some(url);
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let arguments = rest.split_once('?').map(|(_, arguments)| arguments).unwrap_or_default();
    let named = arguments.split('&').filter_map(|argument| Some(argument.split_once('=')?.0.to_lowercase()));
    if authority.contains('@') || named.into_iter().any(|name| SECRET_WORDS.contains(&name.as_str())) {
        let message = "a secret must not stand in this file, and an address is shown to everybody";
        let hint = "name it: credentials: {bearer: {env: NAME}}, or basic, or header";
        fields.unquoted_problem("url", message, hint);
        return None;
    }
    Some(url)
}

fn credentials(fields: &Fields<'_, '_>) -> Option<Credentials> {
    let fields = fields.section("credentials")?;
    match fields.exactly_one()? {
        "bearer" => secret(&fields, "bearer").map(Credentials::Bearer),
        "basic" => {
            let inner = fields.section("basic")?;
            let (user, password) = (inner.text("user"), secret(&inner, "password"));
            Some(Credentials::Basic { user: user?, password: password? })
        }
        _ => {
            let inner = fields.section("header")?;
            let (name, value) = (inner.text("name"), secret(&inner, "value"));
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            if name.as_ref().is_some_and(|name| !name.chars().all(fits)) {
                inner.problem(
                    Code::BadValue,
                    "name",
                    "this is not the name of a header",
                    "write one like X-Api-Key",
                );
            }
            Some(Credentials::Header { name: name?, value: value? })
        }
    }
}

/// Where a secret is kept; one that is written down is refused, and not repeated.
pub(in crate::document) fn secret(fields: &Fields<'_, '_>, key: &str) -> Option<Secret> {
    if fields.short(key) {
        fields.unquoted_problem(key, "a secret must not stand in this file", SECRET_HINT);
        return None;
    }
    let inner = fields.section(key)?;
    match inner.exactly_one()? {
        "env" => {
            let name = inner.text("env")?;
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if !name.chars().all(fits) || name.starts_with(|c: char| c.is_ascii_digit()) {
                inner.unquoted_problem("env", "this is not the name of a variable", SECRET_HINT);
                return None;
            }
            Some(Secret::Env(name))
        }
        _ => inner.path("file").map(Secret::File),
    }
}

const SECRET_HINT: &str = "name where it is kept: {env: NAME} or {file: path}";
