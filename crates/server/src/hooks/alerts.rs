//! Alerts of Alertmanager (webhook version 4) and of Grafana's unified alerting (version 1), which
//! have one shape.

use std::collections::BTreeMap;

use serde::Deserialize;
use taxiway_api::{Done, HookAnswer, Problem};
use taxiway_model::feedback::cleaned;
use taxiway_model::time::Timestamp;

use super::{Outcome, Report, SIGNALS, not_understood, read, signal_of, unknown};
use crate::desk::Desk;

/// What Grafana's rules become that have no data, or could not be asked: alerts of these names, with
/// all the labels of the rule, the one that names a signal among them.
const NO_VALUE: [&str; 2] = ["DatasourceNoData", "DatasourceError"];

/// Characters of an alert's name that are repeated.
const NAME_CHARS_MAX: usize = 100;

/// A webhook's body. What is not needed is left out.
#[derive(Debug, Deserialize)]
struct Group {
    version: String,
    #[serde(default, rename = "truncatedAlerts", deserialize_with = "null_is_nothing")]
    truncated: u64,
    #[serde(deserialize_with = "null_is_nothing")]
    alerts: Vec<Alert>,
}

#[derive(Debug, Deserialize)]
struct Alert {
    status: String,
    #[serde(default, deserialize_with = "null_is_nothing")]
    labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "null_is_nothing")]
    annotations: BTreeMap<String, String>,
    #[serde(default, rename = "startsAt")]
    starts_at: Option<String>,
    #[serde(default)]
    fingerprint: Option<String>,
}

/// An empty map or list of Go may be written as `null`.
fn null_is_nothing<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// Who sends alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    Alertmanager,
    Grafana,
}

impl Sender {
    fn word(self) -> &'static str {
        match self {
            Self::Alertmanager => "alertmanager",
            Self::Grafana => "grafana",
        }
    }

    /// The version of its body that is understood.
    fn version(self) -> &'static str {
        match self {
            Self::Alertmanager => "4",
            Self::Grafana => "1",
        }
    }
}

impl Desk {
    /// Acts on each alert of a webhook.
    pub(super) fn alerts(&self, body: &[u8], sender: Sender) -> Result<HookAnswer, Problem> {
        let group: Group = read(body)?;
        if group.version != sender.version() {
            let why = format!(
                "the body has version {:?}, and version {:?} of {} is understood",
                cleaned(&group.version, 20),
                sender.version(),
                sender.word()
            );
            return Err(unknown(
                why,
                "use the path that fits the sender: /v1/hooks/alertmanager or /v1/hooks/grafana",
            ));
        }
        let mut outcomes = Vec::new();
        for alert in &group.alerts {
            outcomes.push(self.alert(alert, sender)?);
        }
        if group.truncated > 0 {
            let said = format!("{} alerts were left out by {}", group.truncated, sender.word());
            outcomes.push(Outcome::new("truncated", Done::Unknown, said));
        }
        self.told(outcomes, sender.word())
    }

    fn alert(&self, alert: &Alert, sender: Sender) -> Result<Outcome, Problem> {
        let name = alert.labels.get("alertname").map_or("an alert without a name", String::as_str);
        let name = cleaned(name, NAME_CHARS_MAX);
        if alert.status != "firing" {
            return Ok(Outcome::new(&name, Done::Nothing, "it is over"));
        }
        if let Some(why) = is_test(alert, sender) {
            return Ok(Outcome::new(&name, Done::Nothing, why));
        }
        let label =
            |names: &[&str]| names.iter().find_map(|name| alert.labels.get(*name)).map(String::as_str);
        let service = label(&["taxiway_service", "service"]);
        let release = label(&["taxiway_release", "release"]).filter(|_| {
            service.is_none() || label(&["taxiway_release"]).is_some() || self.is_release(label(&["release"]))
        });
        if service.is_none() && release.is_none() {
            let why =
                "it has no label `service` (nor `taxiway_service`, nor `release`) that says what it is about";
            return Ok(Outcome::new(&name, Done::Unknown, why));
        }
        let environment = label(&["taxiway_environment", "environment"]);
        let stream = match self.stream_meant(service, environment, release) {
            Ok(stream) => stream,
            Err(problem) => {
                let problem = not_understood(problem);
                return Ok(Outcome::new(&name, Done::Unknown, format!("{}; {}", problem.why, problem.next)));
            }
        };
        if let Some((rule, why)) = without_value(alert, sender) {
            return Ok(Outcome::new(&rule, Done::Nothing, why).of(&stream, None));
        }
        let signal = match self.meaning(alert, &stream, &name) {
            Ok(signal) => signal,
            Err(why) => return Ok(Outcome::new(&name, Done::Unknown, why).of(&stream, None)),
        };
        let said = ["summary", "description", "message"];
        let said = said.iter().find_map(|name| alert.annotations.get(*name)).map(String::as_str);
        let detail = match said {
            Some(said) => format!("alert {name}: {said}"),
            None => format!("alert {name}"),
        };
        let began = alert.starts_at.as_deref().and_then(time);
        let key = alert.fingerprint.as_ref().map(|fingerprint| {
            format!("{} {fingerprint} {}", sender.word(), alert.starts_at.as_deref().unwrap_or_default())
        });
        let report = Report {
            what: &name,
            signal,
            detail: &detail,
            release,
            version: label(&["taxiway_version", "version"]),
            began,
            key: key.as_deref(),
        };
        self.report(&stream, &report, sender.word())
    }

    /// Whether this is the name of a release: other tools use the label `release` for other things.
    fn is_release(&self, name: Option<&str>) -> bool {
        name.is_some_and(|name| self.stream_meant(None, None, Some(name)).is_ok())
    }

    /// What the alert is: by its own label, else by the rules its service's owner has declared.
    fn meaning(
        &self,
        alert: &Alert,
        stream: &taxiway_model::ids::StreamId,
        name: &str,
    ) -> Result<taxiway_model::event::Signal, String> {
        let said = ["taxiway_signal", "signal"].iter().find_map(|name| alert.labels.get(*name));
        if let Some(word) = said {
            return signal_of(word)
                .ok_or_else(|| format!("its label `signal` is {:?}, not {SIGNALS}", cleaned(word, 40)));
        }
        let state = self.engine.state(stream);
        let plan = state.flight.as_ref().map(|flight| &flight.plan).or(state.plan.as_ref());
        plan.and_then(|plan| plan.signals.signal_of(&alert.labels)).ok_or_else(|| {
            format!(
                "no rule says what it means; add to taxiway.yaml `signals: {{alerts: [{{match: {{alertname: {name}}}, \
                 signal: critical-bug}}]}}` and release, or give the alert a label `signal`"
            )
        })
    }
}

/// Whether it is what Grafana sends for the button *Test* of a contact point.
fn is_test(alert: &Alert, sender: Sender) -> Option<&'static str> {
    let label = |name: &str| alert.labels.get(name).map(String::as_str);
    let is = (label("alertname"), label("instance")) == (Some("TestAlert"), Some("Grafana"));
    (sender == Sender::Grafana && is).then_some("it is a test, and it came through")
}

/// The rule that has no value, and why that is no report: it says nothing about the service.
fn without_value(alert: &Alert, sender: Sender) -> Option<(String, String)> {
    let name = alert.labels.get("alertname").filter(|name| NO_VALUE.contains(&name.as_str()))?;
    let rule = cleaned(alert.labels.get("rulename").unwrap_or(name), NAME_CHARS_MAX);
    let why = format!("{name}: the rule has no value now, which is neither good nor bad news of the service");
    (sender == Sender::Grafana).then_some((rule, why))
}

/// A time as JSON has it; the zero of Go's clock is none.
fn time(text: &str) -> Option<Timestamp> {
    let at: jiff::Timestamp = text.parse().ok()?;
    (at.as_second() > 0).then(|| Timestamp(at.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checked against grafana/alerting, `templates/template_data.go` and `receivers/webhook/v1/webhook.go`.
    #[test]
    fn a_body_is_read_whatever_is_null_in_it() {
        let body = r#"{"receiver":"r","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"a"},
            "annotations":null,"startsAt":"0001-01-01T00:00:00Z","endsAt":"0001-01-01T00:00:00Z",
            "generatorURL":"","fingerprint":"f","silenceURL":"","dashboardURL":"","panelURL":"","values":null,
            "valueString":"","orgId":1,"enrichments":{"x":1}}],"groupLabels":null,"commonLabels":null,
            "commonAnnotations":null,"externalURL":"","appVersion":"12.3.0","version":"1","groupKey":"g",
            "truncatedAlerts":0,"orgId":1,"title":"t","state":"alerting","message":"m"}"#;
        let group: Group = read(body.as_bytes()).expect("Grafana's");
        assert_eq!((group.alerts.len(), group.truncated, group.alerts[0].annotations.len()), (1, 0, 0));
        let empty = r#"{"version":"4","alerts":null,"truncatedAlerts":null}"#;
        assert!(read::<Group>(empty.as_bytes()).expect("nothing").alerts.is_empty());
    }

    #[test]
    fn a_rule_without_a_value_is_no_report() {
        let alert = |labels: &[(&str, &str)]| Alert {
            status: "firing".to_owned(),
            labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            annotations: BTreeMap::new(),
            starts_at: None,
            fingerprint: None,
        };
        let gone =
            alert(&[("alertname", "DatasourceNoData"), ("rulename", "Orders"), ("signal", "security")]);
        let (rule, why) = without_value(&gone, Sender::Grafana).expect("it has none");
        assert!(rule == "Orders" && why.starts_with("DatasourceNoData"), "{rule}: {why}");
        assert_eq!(without_value(&gone, Sender::Alertmanager), None);
        assert_eq!(without_value(&alert(&[("alertname", "Orders")]), Sender::Grafana), None);
        let test = alert(&[("alertname", "TestAlert"), ("instance", "Grafana")]);
        assert!(is_test(&test, Sender::Grafana).is_some() && is_test(&test, Sender::Alertmanager).is_none());
    }

    #[test]
    fn times_are_read_as_senders_write_them() {
        assert_eq!(time("2026-11-20T21:00:00Z"), Some(Timestamp(1_795_208_400_000_000)));
        assert_eq!(time("2026-11-20T22:00:00.123456789+01:00"), Some(Timestamp(1_795_208_400_123_456)));
        assert_eq!(time("0001-01-01T00:00:00Z"), None);
        assert_eq!(time("yesterday"), None);
    }
}
