//! Which alerts count as which signal, and where machines may report them (R4.5).

use crate::event::Signal;
use crate::metrics::Secret;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a service's owner has declared about signals from machines.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalPolicy {
    /// The first rule that fits an alert says what it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<AlertRule>,
    /// Where webhooks are taken; none: nowhere for this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Hooks>,
}

/// Alerts with all of these labels are this signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertRule {
    /// Labels with the values they must have, exactly.
    #[serde(rename = "match")]
    pub labels: BTreeMap<String, String>,
    /// What such an alert is.
    pub signal: Signal,
}

/// An address for webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hooks {
    /// `ip:port`.
    pub listen: String,
    /// Where the token lies that a sender must present; none: loopback only, and whoever is on this
    /// machine may report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
}

impl SignalPolicy {
    /// Whether nothing is declared.
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }

    /// What an alert with these labels is; none: it is no signal.
    pub fn signal_of(&self, labels: &BTreeMap<String, String>) -> Option<Signal> {
        let fits =
            |rule: &&AlertRule| rule.labels.iter().all(|(name, value)| labels.get(name) == Some(value));
        self.alerts.iter().find(fits).map(|rule| rule.signal)
    }
}

impl Hooks {
    /// Whether only this machine reaches it.
    pub fn is_loopback(&self) -> bool {
        self.listen.parse::<std::net::SocketAddr>().is_ok_and(|address| address.ip().is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rule = |pairs: &[(&str, &str)], signal| AlertRule { labels: labels(pairs), signal };
        let policy = SignalPolicy {
            alerts: vec![
                rule(&[("alertname", "Leak"), ("severity", "page")], Signal::Security),
                rule(&[("alertname", "Leak")], Signal::CriticalBug),
            ],
            hooks: None,
        };
        let of = |pairs: &[(&str, &str)]| policy.signal_of(&labels(pairs));
        assert_eq!(of(&[("alertname", "Leak"), ("severity", "page"), ("x", "y")]), Some(Signal::Security));
        assert_eq!(of(&[("alertname", "Leak"), ("severity", "info")]), Some(Signal::CriticalBug));
        assert_eq!(of(&[("alertname", "leak")]), None);
    }

    #[test]
    fn loopback_is_told_from_the_rest() {
        let at = |listen: &str| Hooks { listen: listen.to_owned(), token: None }.is_loopback();
        assert!(at("127.0.0.1:7780") && at("[::1]:7780"));
        assert!(!at("0.0.0.0:7780") && !at("10.0.0.1:7780") && !at("[::]:7780"));
    }
}
