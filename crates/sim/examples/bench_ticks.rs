//! CPU per tick and release with 10 to 5,000 releases in progress in one process, on a real log with fake targets.
//!
//! Time is virtual: a minute of all releases is played as fast as it goes, and the CPU it took is what a second of such a
//! minute would take. Each service has 10 requests a second, 10 % of them to the version under test.

mod fake;

use fake::Fake;
use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use taxiway_decide::plan;
use taxiway_engine::{Engine, Ports};
use taxiway_model::command::Command;
use taxiway_model::document;
use taxiway_model::ids::{Digest, StreamId, VersionName};
use taxiway_model::record::Actor;
use taxiway_model::service::{Provenance, ServiceSpec, Version};
use taxiway_store::sqlite::{Options, Store};

const PAGE_KIB: u64 = 4;
/// How finely virtual time passes; the engine asks for a second at most.
const STEP_MS: u64 = 50;
/// Until every release stands in its long step and its baseline is known.
const SETTLE_MS: u64 = 30_000;
const MEASURED_MS: u64 = 60_000;
/// The first version is there at once; a release is in progress for hours.
const AT_ONCE: &str = "[{name: all, weight: 100%, bake: 0s, analysis: false}]";
const FOR_HOURS: &str = "[{name: some, weight: 10%, bake: 4h}, {name: all, weight: 100%, bake: 1h}]";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    println!(
        "{:>9}{:>9}{:>12}{:>14}{:>9}{:>8}",
        "releases", "ticks/s", "us/tick", "us/release/s", "cores", "MiB"
    );
    let counts = std::env::args()
        .nth(1)
        .and_then(|word| word.parse().ok())
        .map_or(vec![10, 100, 1_000, 5_000], |n| vec![n]);
    for releases in counts {
        if let Err(error) = measure(releases) {
            eprintln!("{releases} releases: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn measure(releases: usize) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("taxiway-bench-ticks-{}", std::process::id()));
    let measured = in_folder(&folder, releases);
    std::fs::remove_dir_all(&folder)?;
    measured
}

fn in_folder(folder: &Path, releases: usize) -> Result<()> {
    let fake = Arc::new(Fake::default());
    let log = Arc::new(Store::open(folder, Options::default())?);
    let engine = Engine::open(ports(&fake, log), "bench")?;
    let services: Vec<ServiceSpec> =
        (0..releases).map(|number| service(number, AT_ONCE)).collect::<Result<_>>()?;
    let mut drive = Drive { engine: &engine, fake: &fake, due: BTreeSet::new(), ticks: 0 };
    for spec in &services {
        drive.start(spec, "v1")?;
    }
    drive.play(SETTLE_MS);
    for number in 0..releases {
        drive.start(&service(number, FOR_HOURS)?, "v2")?;
    }
    drive.play(SETTLE_MS);
    let (cpu, ticks) = (cpu_seconds()?, drive.ticks);
    drive.play(MEASURED_MS);
    let (cpu, ticks) = (cpu_seconds()? - cpu, drive.ticks - ticks);
    let in_progress = engine.streams().iter().filter(|id| engine.state(id).flight.is_some()).count();
    if in_progress != releases {
        return Err(format!("only {in_progress} are still in progress").into());
    }
    let seconds = MEASURED_MS as f64 / 1_000.0;
    println!(
        "{releases:>9}{:>9.0}{:>12.1}{:>14.0}{:>9.3}{:>8}",
        ticks as f64 / seconds,
        cpu * 1e6 / ticks as f64,
        cpu * 1e6 / seconds / releases as f64,
        cpu / seconds,
        resident_mib()?
    );
    Ok(())
}

fn ports(fake: &Arc<Fake>, log: Arc<Store>) -> Ports {
    Ports { log, workload: fake.clone(), traffic: fake.clone(), checks: fake.clone(), clock: fake.clone() }
}

fn service(number: usize, steps: &str) -> Result<ServiceSpec> {
    let text = format!(
        "name: service-{number}\nowner: bench\nenvironment: test\ntarget:\n  command: [serve]\ntraffic:\n  listen: 127.0.0.1:{}\n\
         strategy:\n  steps: {steps}\n",
        1_024 + number
    );
    document::read(text.as_bytes(), "/").map_err(|problems| format!("{problems:?}").into())
}

/// One engine ticked by hand, so that what it costs is all there is.
struct Drive<'a> {
    engine: &'a Engine,
    fake: &'a Fake,
    due: BTreeSet<(u64, StreamId)>,
    ticks: u64,
}

impl Drive<'_> {
    fn start(&mut self, spec: &ServiceSpec, name: &str) -> Result<()> {
        let id = StreamId { service: spec.name.clone(), environment: spec.environment.clone() };
        let version = Version {
            name: VersionName::new(name)?,
            digest: Digest::of(name.as_bytes()),
            target: spec.target.clone(),
            provenance: Provenance::default(),
        };
        let plan = plan::resolve(spec, version, &self.engine.state(&id));
        let command = Command::Start { plan: Box::new(plan), again: false };
        self.engine.submit(&id, &command, Actor::Person("bench".to_owned()), "bench", "")?;
        self.due.insert((self.fake.now_ms(), id));
        Ok(())
    }

    fn play(&mut self, span_ms: u64) {
        let end_ms = self.fake.now_ms() + span_ms;
        while self.fake.now_ms() < end_ms {
            let now_ms = self.fake.now_ms();
            while self.due.first().is_some_and(|(at_ms, _)| *at_ms <= now_ms) {
                let Some((_, id)) = self.due.pop_first() else { break };
                let again_ms = self.engine.tick(&id);
                self.ticks += 1;
                if let Some(in_ms) = again_ms {
                    self.due.insert((now_ms + in_ms.max(1), id));
                }
            }
            self.fake.pass(STEP_MS);
        }
    }
}

/// Time on a core of this process's living threads, in the kernel's nanoseconds. None of them ends while measured.
fn cpu_seconds() -> Result<f64> {
    let mut nanoseconds = 0.0;
    for thread in std::fs::read_dir("/proc/self/task")? {
        let stat = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        nanoseconds += stat.split(' ').next().ok_or("no time on a core")?.parse::<f64>()?;
    }
    Ok(nanoseconds / 1e9)
}

fn resident_mib() -> Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split(' ').nth(1).ok_or("no resident pages")?.parse()?;
    Ok(pages * PAGE_KIB / 1_024)
}
