//! Which alerts are signals, and where webhooks are taken.

use super::fields::Fields;
use super::problem::Code;
use super::source;
use crate::event::Signal;
use crate::signals::{AlertRule, Hooks, SignalPolicy};

/// Reads the signals; without them nothing is declared.
pub(super) fn read(fields: &Fields<'_, '_>) -> SignalPolicy {
    let alerts = fields.sections("alerts").iter().filter_map(alert).collect();
    let listen = fields.address("listen");
    let token = source::secret(fields, "token");
    if token.is_some() && fields.given("listen").is_none() {
        let hint = "add `listen`, or leave the token to `taxiway start --listen … --token-file …`";
        fields.problem(Code::Conflict, "token", "a token without an address guards nothing", hint);
    }
    let hooks = listen.map(|listen| Hooks { listen, token: token.clone() });
    if let Some(hooks) = &hooks
        && !hooks.is_loopback()
        && token.is_none()
    {
        let message =
            format!("{} is reached from other machines, and anybody there could roll back", hooks.listen);
        let hint = "add `token: {file: …}`, or listen on 127.0.0.1";
        fields.problem(Code::Conflict, "listen", &message, hint);
    }
    SignalPolicy { alerts, hooks }
}

fn alert(fields: &Fields<'_, '_>) -> Option<AlertRule> {
    let labels: std::collections::BTreeMap<_, _> = fields.map("match").into_iter().collect();
    if labels.is_empty() && fields.given("match").is_some() {
        let hint = "write at least one, such as `alertname: HighErrors`";
        fields.problem(Code::BadValue, "match", "without a label every alert would roll back", hint);
        return None;
    }
    let signal = match fields.word("signal")? {
        "data-integrity" => Signal::DataIntegrity,
        "security" => Signal::Security,
        "critical-bug" => Signal::CriticalBug,
        _ => Signal::UserReports,
    };
    Some(AlertRule { labels, signal })
}
