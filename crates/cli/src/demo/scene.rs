//! The demo's folder: a description and a file for each version, as a user would have them.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use taxiway_api::OutcomeWord;

use super::parts::Parts;
use crate::commands::stop;
use crate::data::{Data, NAME};
use crate::error::{CliError, Code};

/// The description, as it lies in the repository.
const DESCRIPTION: &str = include_str!("../../../../examples/shop/taxiway.yaml");

/// The address in it.
const ADDRESS: &str = "127.0.0.1:8080";

/// Marks a folder as the demo's own, which the next demo may clear.
const MARK: &str = ".taxiway-demo";

/// Behaviours of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Scenario {
    /// Nothing is wrong with it
    Healthy,
    /// Fails 5 % of its requests
    Errors,
    /// Takes three times as long
    Slow,
    /// Ends right after its start
    Crash,
    /// Keeps memory until it runs out
    Leak,
    /// Needs five seconds to get ready
    SlowStart,
    /// Fails from the 40th second on
    Late,
    /// Fails at one endpoint only
    OneEndpoint,
    /// Breaks at half of the traffic
    Overload,
    /// Is fine, but what all versions depend on goes down
    Outage,
}

impl Scenario {
    /// Arguments of the shop.
    fn arguments(self) -> &'static str {
        match self {
            Self::Healthy => "--behaviour healthy",
            Self::Errors => "--behaviour errors",
            Self::Slow => "--behaviour slow",
            Self::Crash => "--behaviour crash",
            Self::Leak => "--behaviour leak --heap-limit-mib 256",
            Self::SlowStart => "--behaviour slow-start",
            Self::Late => "--behaviour late",
            Self::OneEndpoint => "--behaviour one-endpoint",
            // One instance serves a tenth of the usual traffic well, and half of it not at all.
            Self::Overload => "--behaviour overload --capacity 450",
            Self::Outage => "--behaviour outage",
        }
    }

    fn about(self) -> &'static str {
        match self {
            Self::Healthy => "it is healthy",
            Self::Errors => "it fails 5 % of its requests",
            Self::Slow => "it takes three times as long",
            Self::Crash => "it ends right after its start",
            Self::Leak => "it keeps memory until it runs out",
            Self::SlowStart => "it needs five seconds to get ready",
            Self::Late => "it fails from the 40th second on",
            Self::OneEndpoint => "it fails 30 % of the requests to /checkout",
            Self::Overload => "it breaks at half of the traffic",
            Self::Outage => "it is fine, but the stock database is about to go down for every version",
        }
    }
}

/// The demo's folder.
#[derive(Debug)]
pub(super) struct Scene {
    shown: PathBuf,
    folder: PathBuf,
    address: String,
    moved: bool,
    scenario: Option<Scenario>,
}

impl Scene {
    /// Writes the folder, clearing what an earlier demo left there.
    pub(super) fn set(dir: &Path, parts: &Parts, scenario: Option<Scenario>) -> Result<Self, CliError> {
        let failed =
            |error: std::io::Error| CliError::new(Code::BadFile, format!("{}: {error}", dir.display()));
        clear(dir)?;
        std::fs::create_dir_all(dir.join("versions")).map_err(failed)?;
        std::fs::write(dir.join(MARK), "Written by `taxiway demo`, which may clear it.\n").map_err(failed)?;
        let folder = dir.canonicalize().map_err(failed)?;
        let (address, moved) = address().map_err(failed)?;
        let scene = Self { shown: dir.to_owned(), folder, address, moved, scenario };
        std::fs::write(scene.file(), scene.description()).map_err(failed)?;
        std::fs::write(scene.dependency(), "up\n").map_err(failed)?;
        scene.write_versions(parts).map_err(failed)?;
        Ok(scene)
    }

    fn write_versions(&self, parts: &Parts) -> std::io::Result<()> {
        let usual = [("v1", Scenario::Healthy), ("v2", Scenario::Healthy), ("v3", Scenario::Errors)];
        let played = [("v1", Scenario::Healthy), ("v2", self.scenario.unwrap_or(Scenario::Healthy))];
        let versions: &[(&str, Scenario)] = if self.scenario.is_some() { &played } else { &usual };
        for (version, scenario) in versions {
            let mut arguments = scenario.arguments().to_owned();
            if self.scenario == Some(Scenario::Outage) {
                arguments = format!("{arguments} --dependency '{}'", self.dependency().display());
            }
            let text = format!(
                "#!/bin/sh\n# Version {version} of the shop: {}.\nexec '{}' {arguments} \"$@\"\n",
                scenario.about(),
                parts.shop.display()
            );
            std::fs::write(self.folder.join("versions").join(version), text)?;
        }
        Ok(())
    }

    fn description(&self) -> String {
        let mut text = DESCRIPTION.replace(ADDRESS, &self.address);
        if self.scenario == Some(Scenario::Late) {
            // A fault that shows after 40 seconds needs somebody who looks for longer than that.
            text = text.replace("weight: 10%, bake: 6s", "weight: 10%, bake: 50s");
        }
        text
    }

    /// What is about to happen, for people.
    pub(super) fn introduction(&self) -> String {
        let mut text = format!(
            "A shop with two instances behind the built-in proxy at {}, with traffic on it. Files: {}",
            self.url(),
            self.shown.display()
        );
        if self.moved {
            text += "\n(";
            text += ADDRESS;
            text += " is taken, so another port is used)";
        }
        text
    }

    /// The releases after v1, with what is to be expected of them.
    pub(super) fn releases(&self) -> Vec<(&'static str, &'static str, Option<OutcomeWord>)> {
        match self.scenario {
            Some(scenario) => vec![("v2", scenario.about(), None)],
            None => vec![
                ("v2", Scenario::Healthy.about(), Some(OutcomeWord::Released)),
                ("v3", Scenario::Errors.about(), Some(OutcomeWord::RolledBack)),
            ],
        }
    }

    /// Whether it is worth waiting for what happens when nobody answers: an instance that runs out of memory again and
    /// again is a crash loop.
    pub(super) fn goes_on_without_a_person(&self) -> bool {
        self.scenario == Some(Scenario::Leak)
    }

    /// Takes down what all versions depend on, a while from now.
    pub(super) fn outage_after(&self, wait: Duration) {
        let file = self.dependency();
        std::thread::spawn(move || {
            std::thread::sleep(wait);
            if let Err(error) = std::fs::write(&file, "down\n") {
                tracing::warn!(%error, "the outage did not happen");
            }
        });
    }

    fn dependency(&self) -> PathBuf {
        self.folder.join("stock.db")
    }

    /// The description.
    pub(super) fn file(&self) -> PathBuf {
        self.folder.join("taxiway.yaml")
    }

    /// The description as the user would type it.
    pub(super) fn shown_file(&self) -> String {
        self.shown.join("taxiway.yaml").display().to_string()
    }

    /// The folder as the user would type it.
    pub(super) fn shown_dir(&self) -> String {
        self.shown.display().to_string()
    }

    /// Where clients connect.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What the load generator says.
    pub(super) fn load_output(&self) -> PathBuf {
        self.folder.join("load.log")
    }
}

/// Clears what an earlier demo left, and nothing else.
fn clear(dir: &Path) -> Result<(), CliError> {
    if !dir.exists() {
        return Ok(());
    }
    let failed = |error: std::io::Error| CliError::new(Code::BadFile, format!("{}: {error}", dir.display()));
    let empty = std::fs::read_dir(dir).map_err(failed)?.next().is_none();
    if !dir.join(MARK).exists() && !empty {
        return Err(CliError::new(Code::FileExists, format!("{} is not of an earlier demo", dir.display()))
            .hint("name another folder with --dir"));
    }
    let data = Data::at(&dir.join(NAME))?;
    if data.path().is_dir() {
        stop::everything(&data)?;
    }
    std::fs::remove_dir_all(dir).map_err(failed)
}

/// The usual address, or a free one; and whether it is another one.
fn address() -> std::io::Result<(String, bool)> {
    if TcpListener::bind(ADDRESS).is_ok() {
        return Ok((ADDRESS.to_owned(), false));
    }
    let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    Ok((free.to_string(), true))
}
