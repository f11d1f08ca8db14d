//! The routes: one line each, all of them JSON.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use taxiway_api::{CommandRequest, FeedbackRequest, ListenRequest, Problem, StartRequest};
use taxiway_model::ids::{EnvironmentName, ReleaseId, ServiceName, StreamId};
use tokio::net::UnixListener;

use crate::desk::Desk;
use crate::problems::{bad_argument, of_log, problem};
use crate::updates::{self, Following};

/// Bytes of a request; a plan of a hundred steps with checks has some hundred kilobytes.
const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Records of the log given at once.
const LOG_MAX: usize = 10_000;

/// Serves until `leave` is done; answers under way are finished.
pub async fn serve(
    listener: UnixListener,
    desk: Desk,
    leave: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(desk)).with_graceful_shutdown(leave).await
}

fn router(desk: Desk) -> Router {
    Router::new()
        .route("/v1/hello", get(hello))
        .route("/v1/releases", post(start))
        .route("/v1/commands", post(command))
        .route("/v1/retry", post(retry))
        .route("/v1/status", get(statuses))
        .route("/v1/status/{service}/{environment}", get(status))
        .route("/v1/explain/{service}/{environment}", get(explain))
        .route("/v1/history/{service}/{environment}", get(history))
        .route("/v1/normal/{service}/{environment}", get(normal))
        .route("/v1/replay/{service}/{environment}", get(replay))
        .route("/v1/log", get(log))
        .route("/v1/log/verify", post(verify))
        .route("/v1/log/checkpoint", get(checkpoint))
        .route("/v1/updates", get(follow))
        .route("/v1/awake", post(awake))
        .route("/v1/feedback", post(feedback))
        .route("/v1/listen", post(listen))
        .route("/v1/stop", post(stop))
        .fallback(async || {
            let why = "there is nothing at this path".to_owned();
            told(&problem("bad_argument", taxiway_api::Class::NotFound, "no such path", why, ""))
        })
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .with_state(desk)
}

/// Runs what blocks (the log, the engine's lock) where blocking harms nobody.
pub(crate) async fn answer<T: Serialize + Send + 'static>(
    ask: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Response {
    match tokio::task::spawn_blocking(ask).await {
        Ok(Ok(value)) => json(StatusCode::OK, "application/json", &value),
        Ok(Err(problem)) => told(&problem),
        Err(error) => told(&problem(
            "internal",
            taxiway_api::Class::Defect,
            "a defect",
            format!("the answer was given up: {error}"),
            "please report it with the resident process's output",
        )),
    }
}

fn told(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.class.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    json(status, "application/problem+json", problem)
}

pub(crate) fn json<T: Serialize>(status: StatusCode, kind: &'static str, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => (status, [(header::CONTENT_TYPE, kind)], bytes).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| bad_argument(format!("the request is not understood: {error}")))
}

fn stream_of(service: String, environment: String) -> Result<StreamId, Problem> {
    let name = |error: taxiway_model::ids::InvalidName| bad_argument(error.to_string());
    Ok(StreamId {
        service: ServiceName::new(service).map_err(name)?,
        environment: EnvironmentName::new(environment).map_err(name)?,
    })
}

type Named = Path<(String, String)>;

#[derive(Serialize)]
struct Hello {
    pid: u32,
    program: &'static str,
}

async fn hello() -> Response {
    json(
        StatusCode::OK,
        "application/json",
        &Hello { pid: std::process::id(), program: env!("CARGO_PKG_VERSION") },
    )
}

async fn start(State(desk): State<Desk>, body: Bytes) -> Response {
    answer(move || desk.start(&read::<StartRequest>(&body)?)).await
}

async fn command(State(desk): State<Desk>, body: Bytes) -> Response {
    answer(move || desk.command(&read::<CommandRequest>(&body)?)).await
}

async fn retry(State(desk): State<Desk>, body: Bytes) -> Response {
    answer(move || desk.retry(&read::<CommandRequest>(&body)?)).await
}

async fn statuses(State(desk): State<Desk>) -> Response {
    answer(move || Ok(desk.statuses())).await
}

async fn status(State(desk): State<Desk>, Path((service, environment)): Named) -> Response {
    answer(move || desk.status(&stream_of(service, environment)?)).await
}

async fn explain(State(desk): State<Desk>, Path((service, environment)): Named) -> Response {
    answer(move || desk.explain(&stream_of(service, environment)?)).await
}

async fn normal(State(desk): State<Desk>, Path((service, environment)): Named) -> Response {
    answer(move || Ok(desk.normal(&stream_of(service, environment)?))).await
}

#[derive(Deserialize)]
struct Limit {
    limit: Option<usize>,
}

async fn history(
    State(desk): State<Desk>,
    Path((service, environment)): Named,
    Query(Limit { limit }): Query<Limit>,
) -> Response {
    answer(move || desk.history(&stream_of(service, environment)?, limit.unwrap_or(LOG_MAX))).await
}

#[derive(Deserialize)]
struct Only {
    release: Option<String>,
}

async fn replay(
    State(desk): State<Desk>,
    Path((service, environment)): Named,
    Query(Only { release }): Query<Only>,
) -> Response {
    answer(move || {
        let release =
            release.map(ReleaseId::new).transpose().map_err(|error| bad_argument(error.to_string()))?;
        desk.replay(&stream_of(service, environment)?, release.as_ref())
    })
    .await
}

#[derive(Deserialize)]
struct Place {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
    service: Option<String>,
    environment: Option<String>,
    #[serde(default)]
    figures: bool,
}

impl Place {
    fn only(&self) -> Result<Option<StreamId>, Problem> {
        match (&self.service, &self.environment) {
            (Some(service), Some(environment)) => stream_of(service.clone(), environment.clone()).map(Some),
            _ => Ok(None),
        }
    }
}

async fn log(State(desk): State<Desk>, Query(place): Query<Place>) -> Response {
    answer(move || {
        let only = place.only()?;
        desk.log(place.after, place.limit.unwrap_or(LOG_MAX).min(LOG_MAX), only.as_ref())
    })
    .await
}

#[derive(Deserialize)]
struct Kept {
    checkpoint: Option<String>,
}

async fn verify(State(desk): State<Desk>, body: Bytes) -> Response {
    answer(move || desk.verify(read::<Kept>(&body)?.checkpoint.as_deref())).await
}

#[derive(Serialize)]
struct Checkpoint {
    size: u64,
    root: taxiway_model::ids::Digest,
    note: String,
}

async fn checkpoint(State(desk): State<Desk>) -> Response {
    answer(move || {
        let made = desk.engine.log().checkpoint().map_err(|error| of_log(&error))?;
        Ok(Checkpoint { size: made.size, root: made.root, note: made.note })
    })
    .await
}

async fn follow(State(desk): State<Desk>, Query(place): Query<Place>) -> Response {
    let only = match place.only() {
        Ok(only) => only,
        Err(problem) => return told(&problem),
    };
    let lines = updates::lines(Following { desk, from: place.after, only, figures: place.figures });
    ([(header::CONTENT_TYPE, "application/jsonl")], Body::from_stream(lines)).into_response()
}

#[derive(Deserialize)]
struct Who {
    actor: String,
    origin: String,
}

async fn feedback(
    State(desk): State<Desk>,
    Query(Who { actor, origin }): Query<Who>,
    body: Bytes,
) -> Response {
    answer(move || desk.feedback(&read::<FeedbackRequest>(&body)?, &actor, &origin)).await
}

async fn listen(State(desk): State<Desk>, body: Bytes) -> Response {
    answer(move || desk.house.listen(&read::<ListenRequest>(&body)?)).await
}

async fn awake(State(desk): State<Desk>) -> Response {
    answer(move || desk.house.awake()).await
}

async fn stop(State(desk): State<Desk>) -> Response {
    answer(move || {
        desk.house.stop();
        Ok(())
    })
    .await
}
