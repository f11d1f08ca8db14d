//! A judge as a person names it: `kayenta:FILE`, `argo:FILE,success-rate=success_rate`, `ratio:2`.

use std::collections::BTreeMap;

use taxiway_model::document::Problem;
use taxiway_model::document::plain::{Misfit, Plain, documents};

use crate::kayenta::{self, Faith, Kayenta};
use crate::policy::Policy;
use crate::ratio::Rule;
use crate::signal::Signal;
use crate::{argo, flagger, span};

/// What a person wrote, taken apart; files are not read here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// `kayenta`, `argo`, `flagger` or `ratio`.
    pub peer: String,
    /// Paths of its files; for `ratio` its factor.
    pub files: Vec<String>,
    /// Settings and signals by name.
    pub settings: BTreeMap<String, String>,
}

/// Why a judge cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problems {
    /// The words after `--as` are not understood.
    #[error("{0}")]
    Words(String),
    /// A file is not YAML or JSON; its index among the files, and what is wrong.
    #[error("{1}")]
    Syntax(usize, Box<Problem>),
    /// A file does not say what is needed; its index among the files.
    #[error("{1}")]
    Misfit(usize, Misfit),
}

/// The judges that can be named.
pub const PEERS: &[&str] = &["kayenta", "argo", "flagger", "ratio"];

impl Named {
    /// Takes `PEER:FILE[+FILE…][,KEY=VALUE…]` apart.
    pub fn parse(words: &str) -> Result<Self, Problems> {
        let wrong = |message: String| Err(Problems::Words(message));
        let Some((peer, rest)) = words.split_once(':') else {
            return wrong(format!(
                "`{words}` names no file: write {}:FILE",
                words.split(',').next().unwrap_or(words)
            ));
        };
        if !PEERS.contains(&peer) {
            return wrong(format!("`{peer}` is not known here; there are {}", PEERS.join(", ")));
        }
        let mut parts = rest.split(',');
        let files: Vec<String> = parts.next().unwrap_or_default().split('+').map(str::to_owned).collect();
        if files.iter().any(String::is_empty) {
            return wrong(format!("`{words}` names no file: write {peer}:FILE"));
        }
        let mut settings = BTreeMap::new();
        for part in parts {
            let Some((key, value)) = part.split_once('=') else {
                return wrong(format!("`{part}` is not a setting: write {part}=VALUE"));
            };
            settings.insert(key.trim().to_owned(), value.trim().to_owned());
        }
        Ok(Self { peer: peer.to_owned(), files, settings })
    }

    /// Whether its files are to be read: all but the ratio rule's factor.
    pub fn has_files(&self) -> bool {
        self.peer != "ratio"
    }

    /// The judge, from the contents of its files in their order. Metrics of which nothing is known on a recording are
    /// answered beside it: they do not take part.
    pub fn policy(&self, contents: &[Vec<u8>]) -> Result<(Policy, Vec<String>), Problems> {
        if self.peer == "ratio" {
            return self.rule().map(|rule| (Policy::Ratio(rule), Vec::new()));
        }
        let mut found: Vec<(usize, Plain)> = Vec::new();
        for (index, bytes) in contents.iter().enumerate() {
            let documents = documents(bytes).map_err(|problems| {
                let first = problems.into_iter().next().expect("a file is read, or there is a problem");
                Problems::Syntax(index, Box::new(first))
            })?;
            found.extend(documents.into_iter().map(|document| (index, document)));
        }
        match self.peer.as_str() {
            "kayenta" => self.kayenta(&found),
            "argo" => self.argo(&found),
            _ => self.flagger(&found),
        }
    }

    fn signals(&self) -> BTreeMap<String, Signal> {
        self.settings.iter().map(|(name, words)| (name.clone(), Signal::of_words(words))).collect()
    }

    fn rule(&self) -> Result<Rule, Problems> {
        let times = self.files[0].trim_end_matches('x').parse::<f64>().ok().filter(|it| *it > 0.0);
        let mut rule = Rule {
            times: times
                .ok_or_else(|| Problems::Words(format!("`{}` is not a factor like 2", self.files[0])))?,
            ..Rule::TWICE
        };
        for (key, value) in &self.settings {
            let ms = || {
                let read = span::parse_ms(value).filter(|ms| *ms > 0);
                read.ok_or_else(|| Problems::Words(format!("`{value}` is not a time like 5m")))
            };
            match key.as_str() {
                "window" => rule.window_ms = Some(ms()?),
                "every" => rule.every_ms = ms()?,
                _ => return Err(Problems::Words(format!("`{key}` is no setting of ratio: window, every"))),
            }
        }
        Ok(rule)
    }

    fn kayenta(&self, found: &[(usize, Plain)]) -> Result<(Policy, Vec<String>), Problems> {
        let (index, document) = one(found, kayenta::config::is_config, "a canary configuration of Kayenta")?;
        let config = kayenta::config::read(document).map_err(|misfit| Problems::Misfit(index, misfit))?;
        let named = self.signals();
        let mut signals = BTreeMap::new();
        let mut unknown = Vec::new();
        for metric in &config.metrics {
            let guessed = named.get(&metric.name).cloned().or_else(|| kayenta_signal(metric));
            match guessed {
                Some(signal) => _ = signals.insert(metric.name.clone(), signal),
                None => unknown.push(metric.name.clone()),
            }
        }
        let mut stage = Kayenta::new(config, Faith::default(), signals);
        for (key, value) in &self.settings {
            if stage.config.metrics.iter().any(|metric| metric.name == *key) {
                continue;
            }
            if !kayenta::play::set(&mut stage, key, value).map_err(Problems::Words)? {
                let message =
                    format!("`{key}` is neither a metric nor one of every, step, pass, marginal, faithful");
                return Err(Problems::Words(message));
            }
        }
        Ok((Policy::Kayenta(stage), unknown))
    }

    fn argo(&self, found: &[(usize, Plain)]) -> Result<(Policy, Vec<String>), Problems> {
        let templates: Vec<(usize, &Plain)> = found
            .iter()
            .filter(|(_, document)| argo::template::is_template(document))
            .map(|(index, document)| (*index, document))
            .collect();
        if templates.is_empty() {
            one(found, argo::template::is_template, "an AnalysisTemplate of Argo Rollouts")?;
        }
        let template = argo::template::read_all(&templates, &self.settings)
            .map_err(|(index, misfit)| Problems::Misfit(index, misfit))?;
        let (analysis, unknown) = argo::Analysis::new(template, &self.signals());
        Ok((Policy::Argo(analysis), unknown))
    }

    fn flagger(&self, found: &[(usize, Plain)]) -> Result<(Policy, Vec<String>), Problems> {
        let (index, document) = one(found, flagger::canary::is_canary, "a Canary of Flagger")?;
        let templates = found
            .iter()
            .filter(|(_, document)| flagger::canary::is_template(document))
            .map(|(index, document)| {
                flagger::canary::read_template(document).map_err(|misfit| Problems::Misfit(*index, misfit))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let canary = flagger::canary::read(document, &templates);
        let canary = canary.map_err(|misfit| Problems::Misfit(index, misfit))?;
        let (mut analysis, unknown) = flagger::Analysis::new(canary, &self.signals());
        for webhook in &analysis.canary.webhooks {
            match (webhook.kind.as_str(), self.settings.get(&webhook.name).map(String::as_str)) {
                (_, None | Some("passes")) | ("rollback", Some("closed")) => {}
                (kind, Some("open")) if kind != "rollback" => {}
                (_, Some("open" | "fails" | "closed")) => _ = analysis.against.insert(webhook.name.clone()),
                (_, Some(other)) => {
                    let why = format!(
                        "`{other}` is no answer of the webhook `{}`: fails, passes, open, closed",
                        webhook.name
                    );
                    return Err(Problems::Words(why));
                }
            }
        }
        Ok((Policy::Flagger(analysis), unknown))
    }
}

fn one<'a>(
    found: &'a [(usize, Plain)],
    is_it: fn(&Plain) -> bool,
    what: &str,
) -> Result<(usize, &'a Plain), Problems> {
    let mut fitting = found.iter().filter(|(_, document)| is_it(document));
    match (fitting.next(), fitting.next()) {
        (Some((index, document)), None) => Ok((*index, document)),
        (None, _) => {
            let index = found.first().map_or(0, |(index, _)| *index);
            let misfit = Misfit { line: 1, column: 1, message: format!("this is not {what}") };
            Err(Problems::Misfit(index, misfit))
        }
        (Some(_), Some((index, second))) => {
            Err(Problems::Misfit(*index, second.misfit(format!("a second document is {what}; give one"))))
        }
    }
}

/// Kayenta's queries are in the words of its sources; inline PromQL is recognised, and so are names like ours.
fn kayenta_signal(metric: &kayenta::Metric) -> Option<Signal> {
    let query = metric.query.as_ref()?;
    let inline = query.text_of("customInlineTemplate").ok().flatten();
    let recognised = inline.as_deref().and_then(Signal::of_query);
    recognised.or_else(|| match Signal::of_words(&metric.name) {
        Signal::Named(_) => None,
        known => Some(known),
    })
}
