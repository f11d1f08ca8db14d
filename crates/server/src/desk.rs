//! What can be asked of the resident process, as plain blocking calls.

use std::path::PathBuf;
use std::sync::Arc;

use taxiway_api::{
    CommandAnswer, CommandRequest, ListenRequest, Listening, NormalAnswer, Problem, StartAnswer,
    StartRequest, Status,
};
use taxiway_decide::{environment::Environment, plan, preflight};
use taxiway_engine::Engine;
use taxiway_engine::ports::clock::Clock;
use taxiway_model::command::Command;
use taxiway_model::event::Event;
use taxiway_model::ids::{ReleaseId, StreamId, VersionName};
use taxiway_model::plan::Plan;
use taxiway_model::record::Actor;
use taxiway_model::service::{Provenance, ServiceSpec, Stage, StrategyKind, Version};
use taxiway_model::time::Timestamp;

use crate::hooks::Reports;
use crate::problems::{no_stream, not_submitted};
use crate::{sentence, status};

/// What the API needs of the process it lives in.
pub trait House: Send + Sync + 'static {
    /// The version of a service by this name: its artifact fetched, its digest taken.
    fn resolve(
        &self,
        service: &ServiceSpec,
        version: &VersionName,
        provenance: &Provenance,
    ) -> Result<Version, Problem>;

    /// Sees to it that everything runs: somebody wants to change something after a `stop`.
    fn awake(&self) -> Result<(), Problem>;

    /// Something was submitted to this stream.
    fn changed(&self, stream: &StreamId);

    /// Begins to stop everything. Returns at once; the process ends when all is stopped.
    fn stop(&self);

    /// What of this process does not answer, a line each.
    fn troubles(&self) -> Vec<String>;

    /// Takes webhooks at an address from now on, also after a restart.
    fn listen(&self, request: &ListenRequest) -> Result<Listening, Problem>;

    /// Where webhooks are taken, or why not, a line each.
    fn hooks(&self) -> Vec<String>;
}

/// Answers for one engine.
#[derive(Clone)]
pub struct Desk {
    pub(crate) engine: Engine,
    pub(crate) house: Arc<dyn House>,
    clock: Arc<dyn Clock>,
    /// Reports that did nothing.
    pub(crate) reports: Arc<Reports>,
}

impl Desk {
    /// A desk for an engine in its house.
    pub fn new(engine: Engine, clock: Arc<dyn Clock>, house: Arc<dyn House>) -> Self {
        Self { engine, house, clock, reports: Arc::default() }
    }

    /// The same, with reports that did nothing kept in a file.
    #[must_use]
    pub fn remembering(self, file: PathBuf) -> Self {
        Self { reports: Arc::new(Reports::at(file)), ..self }
    }

    /// Releases a version, or says what its plan would be.
    pub fn start(&self, request: &StartRequest) -> Result<StartAnswer, Problem> {
        let version = self.house.resolve(&request.service, &request.version, &request.provenance)?;
        let stream = StreamId {
            service: request.service.name.clone(),
            environment: request.service.environment.clone(),
        };
        let state = self.engine.state(&stream);
        let plan = plan::resolve(&request.service, version, &state);
        plan::sound(&plan)?;
        let normal = self.engine.normal(&stream);
        let forecast = normal
            .as_ref()
            .filter(|_| plan.baseline.is_some())
            .and_then(|normal| preflight::forecast(&plan, normal, request.detect_bp));
        let mut warnings = warnings(&plan);
        warnings.extend(preflight::start_warnings(&plan, normal.as_ref()));
        if !request.dry_run {
            preflight::permitted(&plan, normal.as_ref())?;
        }
        let mut answer = StartAnswer {
            stream: stream.clone(),
            release: None,
            plan_digest: plan.digest(),
            behind: in_flight(&state),
            warnings,
            forecast: forecast.map(Box::new),
            plan: Box::new(plan),
        };
        if request.dry_run {
            return Ok(answer);
        }
        self.house.awake()?;
        let command = Command::Start { plan: answer.plan.clone(), again: request.again };
        let actor = Actor::Person(request.actor.clone());
        let events = self
            .engine
            .submit(&stream, &command, actor, &request.origin, &request.reason)
            .map_err(not_submitted)?;
        answer.release = accepted(&events);
        self.house.changed(&stream);
        Ok(answer)
    }

    /// How the running version has answered lately; of a stream nobody knows, nothing.
    pub fn normal(&self, stream: &StreamId) -> NormalAnswer {
        NormalAnswer {
            stream: stream.clone(),
            baseline: self.engine.state(stream).stable,
            normal: self.engine.normal(stream).map(Box::new),
        }
    }

    /// Changes something on a stream.
    pub fn command(&self, request: &CommandRequest) -> Result<CommandAnswer, Problem> {
        let actor = Actor::Person(request.actor.clone());
        self.submit(&request.stream, &request.command, actor, &request.origin, &request.reason)
    }

    /// Puts a command to a stream.
    pub(crate) fn submit(
        &self,
        stream: &StreamId,
        command: &Command,
        actor: Actor,
        origin: &str,
        reason: &str,
    ) -> Result<CommandAnswer, Problem> {
        self.house.awake()?;
        let view = self.engine.view(stream).ok_or_else(|| no_stream(stream))?;
        let events = self.engine.submit(stream, command, actor, origin, reason).map_err(not_submitted)?;
        self.house.changed(stream);
        let after = self.engine.state(stream);
        let said: Vec<String> = events.iter().map(|event| sentence::of(event, after.plan.as_ref())).collect();
        Ok(CommandAnswer {
            stream: stream.clone(),
            release: accepted(&events).or_else(|| in_flight(&view.state)),
            seq: (!events.is_empty()).then_some(after.seq),
            said: if said.is_empty() { "nothing had to change".to_owned() } else { said.join("; ") },
        })
    }

    /// Where every stream is.
    pub fn statuses(&self) -> Vec<Status> {
        self.engine.streams().iter().filter_map(|stream| self.status(stream).ok()).collect()
    }

    /// Where a stream is.
    pub fn status(&self, stream: &StreamId) -> Result<Status, Problem> {
        let view = self.engine.view(stream).ok_or_else(|| no_stream(stream))?;
        if view.state.releases == 0 {
            return Err(no_stream(stream));
        }
        let mut status = status::of(&view, self.now());
        status.unreachable.extend(self.house.troubles());
        Ok(status)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

fn in_flight(state: &Environment) -> Option<ReleaseId> {
    state.flight.as_ref().map(|flight| flight.release.clone())
}

fn accepted(events: &[Event]) -> Option<ReleaseId> {
    events.iter().find_map(|event| match event {
        Event::ReleaseAccepted { release, .. } => Some(release.clone()),
        _ => None,
    })
}

/// What is allowed but should be known.
fn warnings(plan: &Plan) -> Vec<String> {
    let mut warnings = Vec::new();
    if plan.baseline.is_none() {
        warnings.push(format!(
            "this is the first release of {}: there is no baseline to compare with or to go back to",
            plan.stream
        ));
    }
    let replicas = plan.version.target.replicas;
    if plan.stage == Stage::Production && replicas == 1 && plan.strategy != StrategyKind::BlueGreen {
        warnings.push(
            "one replica: an instance that dies takes its whole version away until it is restarted"
                .to_owned(),
        );
    }
    for pair in plan.steps.windows(2) {
        let (step, last) = (&pair[0], &pair[1]);
        if !step.analysis && !step.approval && step.bake_ms == 0 && last.weight > step.weight {
            warnings.push(format!("step {} is passed without waiting, judging or asking anybody", step.name));
        }
    }
    warnings
}
