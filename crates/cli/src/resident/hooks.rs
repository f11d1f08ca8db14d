//! Where machines may report and push metrics: the addresses that services declare, and the one of
//! `start --listen`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use taxiway_adapters::metrics::Sources;
use taxiway_api::{ListenRequest, Listening, Problem};
use taxiway_engine::Engine;
use taxiway_model::metrics::{Api, Secret};
use taxiway_model::signals::Hooks as Wanted;
use taxiway_server::Desk;
use taxiway_server::hooks::{Hook, serve};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::data::Data;
use crate::error::{CliError, Code};

/// Time between two looks whether other addresses are wanted; one is opened within it after the
/// release that brings it was accepted.
const LOOK: Duration = Duration::from_secs(1);

/// The listeners of this process.
pub(super) struct Hooks {
    file: PathBuf,
    engine: Engine,
    desk: Desk,
    runtime: Handle,
    metrics: Arc<Sources>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: BTreeMap<String, Open>,
    failed: BTreeMap<String, String>,
    /// Addresses for metrics that could not be opened, with the reason.
    deaf: BTreeMap<String, String>,
    /// The others.
    hearing: BTreeMap<String, bool>,
}

/// An open address. It closes when this goes.
struct Open {
    at: String,
    secrets: Arc<Mutex<Vec<Secret>>>,
    _close: oneshot::Sender<()>,
}

impl Hooks {
    pub(super) fn new(
        data: &Data,
        engine: Engine,
        desk: Desk,
        runtime: Handle,
        metrics: Arc<Sources>,
    ) -> Self {
        Self { file: data.hooks(), engine, desk, runtime, metrics, state: Mutex::default() }
    }

    /// Sees to it that what is wanted is open, as long as the process lives.
    pub(super) async fn keep(self: Arc<Self>) {
        loop {
            let hooks = Arc::clone(&self);
            let looked = tokio::task::spawn_blocking(move || hooks.look()).await;
            if looked.is_err() {
                tracing::error!("the look after the hooks' addresses failed");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Opens an address for good, or closes the one that was opened so.
    pub(super) fn listen(&self, request: &ListenRequest) -> Result<Listening, Problem> {
        let Some(listen) = &request.listen else {
            let unusable = |error: std::io::Error| self.unusable(&error);
            match std::fs::remove_file(&self.file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unusable(error)),
                _ => {}
            }
            self.look();
            return Ok(self.listening());
        };
        let wanted = Wanted { listen: listen.clone(), token: request.token.clone() };
        sound(&wanted).map_err(|error| error.problem())?;
        if let Some(secret) = &wanted.token {
            secret_of(secret).map_err(|why| CliError::new(Code::BadArgument, why).problem())?;
        }
        let bytes = serde_json::to_vec(&wanted).expect("an address is plain data");
        let before = std::fs::read(&self.file).ok();
        std::fs::write(&self.file, bytes).map_err(|error| self.unusable(&error))?;
        self.look();
        let failed = self.state().failed.get(listen).cloned();
        if let Some(why) = failed {
            let _ = match before {
                Some(before) => std::fs::write(&self.file, before),
                None => std::fs::remove_file(&self.file),
            };
            self.look();
            let error = CliError::new(Code::BadArgument, why).hint("name another address");
            return Err(error.problem());
        }
        Ok(self.listening())
    }

    fn listening(&self) -> Listening {
        Listening { addresses: self.state().open.values().map(|open| open.at.clone()).collect() }
    }

    /// A line for each address, and for each that could not be opened.
    pub(super) fn lines(&self) -> Vec<String> {
        let state = self.state();
        let open = state.open.values().map(|open| {
            let locked = |secrets: MutexGuard<'_, Vec<Secret>>| !secrets.is_empty();
            let secrets = open.secrets.lock().unwrap_or_else(PoisonError::into_inner);
            let who = if locked(secrets) { "with a token" } else { "from this machine only" };
            format!("http://{} takes webhooks, {who}", open.at)
        });
        let failed = state.failed.iter().map(|(listen, why)| format!("{listen} takes no webhooks: {why}"));
        let hearing = state.hearing.iter().map(|(listen, token)| {
            let who = if *token { "with a token" } else { "from this machine only" };
            format!("http://{listen} takes metrics over OTLP, {who}")
        });
        let deaf = state.deaf.iter().map(|(listen, why)| format!("{listen} takes no metrics: {why}"));
        open.chain(failed).chain(hearing).chain(deaf).collect()
    }

    /// What could not be opened, a line each.
    pub(super) fn troubles(&self) -> Vec<String> {
        let state = self.state();
        let hooks = state.failed.iter().map(|(listen, why)| format!("webhooks at {listen}: {why}"));
        hooks.chain(state.deaf.iter().map(|(listen, why)| format!("metrics at {listen}: {why}"))).collect()
    }

    /// Opens what is wanted and not open, closes what no longer is.
    fn look(&self) {
        self.attend();
        let wanted = self.wanted();
        let mut state = self.state();
        state.open.retain(|listen, _| wanted.contains_key(listen));
        state.failed.retain(|listen, _| wanted.contains_key(listen));
        for (listen, secrets) in wanted {
            if let Some(open) = state.open.get(&listen) {
                *open.secrets.lock().unwrap_or_else(PoisonError::into_inner) = secrets;
                continue;
            }
            match self.open(&listen, secrets) {
                Ok(open) => {
                    tracing::info!(address = open.at, "webhooks are taken");
                    state.failed.remove(&listen);
                    state.open.insert(listen, open);
                }
                Err(why) => {
                    let known = state.failed.insert(listen.clone(), why.clone());
                    if known.as_ref() != Some(&why) {
                        tracing::error!(address = listen, why, "webhooks are not taken");
                    }
                }
            }
        }
    }

    /// Listens to what the sources of the services are pushed, also while nothing is in flight: who
    /// pushes is answered from the start, and what it has counted before a release is known.
    fn attend(&self) {
        let of_service = |stream| {
            let state = self.engine.state(&stream);
            let newest = state.queue.last().map(|waiting| waiting.plan.analysis.sources.clone());
            newest.or_else(|| Some(state.plan?.analysis.sources))
        };
        let sources = self.engine.streams().into_iter().filter_map(of_service).flatten();
        let pushed: Vec<_> = sources.filter(|source| matches!(source.api, Api::Otlp { .. })).collect();
        let deaf: BTreeMap<String, String> = self.metrics.attend(&pushed).into_iter().collect();
        let mut hearing = BTreeMap::new();
        for source in &pushed {
            if let Api::Otlp { listen, token } = &source.api
                && !deaf.contains_key(listen)
            {
                *hearing.entry(listen.clone()).or_default() |= token.is_some();
            }
        }
        let mut state = self.state();
        for (listen, why) in deaf.iter().filter(|(listen, why)| state.deaf.get(*listen) != Some(*why)) {
            tracing::error!(address = listen, why, "metrics are not taken");
        }
        for listen in hearing.keys().filter(|listen| !state.hearing.contains_key(*listen)) {
            tracing::info!(address = listen, "metrics are taken over OTLP");
        }
        (state.deaf, state.hearing) = (deaf, hearing);
    }

    /// Every address that somebody wants, with the places of all the tokens that open it. One of
    /// them is enough; where one service asks for a token, nobody comes in without.
    fn wanted(&self) -> BTreeMap<String, Vec<Secret>> {
        let by_hand = std::fs::read(&self.file).ok();
        let by_hand = by_hand.and_then(|bytes| serde_json::from_slice::<Wanted>(&bytes).ok());
        let of_service = |stream| {
            let state = self.engine.state(&stream);
            let newest = state.queue.last().map(|waiting| waiting.plan.signals.clone());
            newest.or_else(|| Some(state.plan?.signals)).and_then(|signals| signals.hooks)
        };
        let declared = self.engine.streams().into_iter().filter_map(of_service);
        let mut wanted: BTreeMap<String, Vec<Secret>> = BTreeMap::new();
        for hooks in by_hand.into_iter().chain(declared).filter(|hooks| sound(hooks).is_ok()) {
            let secrets = wanted.entry(hooks.listen).or_default();
            secrets.extend(hooks.token.filter(|token| !secrets.contains(token)));
        }
        wanted
    }

    fn open(&self, listen: &str, secrets: Vec<Secret>) -> Result<Open, String> {
        let cannot = |error: std::io::Error| format!("cannot listen on {listen}: {error}");
        let listener = std::net::TcpListener::bind(listen).map_err(cannot)?;
        listener.set_nonblocking(true).map_err(cannot)?;
        let at = listener.local_addr().map_err(cannot)?.to_string();
        let _inside = self.runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener).map_err(cannot)?;
        let secrets = Arc::new(Mutex::new(secrets));
        let mine = Arc::clone(&secrets);
        let tokens = move || {
            let secrets = mine.lock().unwrap_or_else(PoisonError::into_inner).clone();
            secrets.iter().map(secret_of).collect::<Result<Vec<_>, _>>()
        };
        let (close, closed) = oneshot::channel::<()>();
        let hook = Hook { desk: self.desk.clone(), tokens: Box::new(tokens) };
        self.runtime.spawn(serve(listener, hook, async move {
            // The other end goes when the address is no longer wanted.
            let _ = closed.await;
        }));
        Ok(Open { at, secrets, _close: close })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unusable(&self, error: &std::io::Error) -> Problem {
        CliError::new(Code::DataUnusable, format!("{}: {error}", self.file.display())).problem()
    }
}

/// Whether an address may be opened: from other machines only with a token.
fn sound(hooks: &Wanted) -> Result<(), CliError> {
    if hooks.listen.parse::<std::net::SocketAddr>().is_err() {
        let why = format!("`{}` is not an address such as 127.0.0.1:7780", hooks.listen);
        return Err(CliError::new(Code::BadArgument, why));
    }
    if hooks.token.is_none() && !hooks.is_loopback() {
        let why =
            format!("{} is reached from other machines, and anybody there could roll back", hooks.listen);
        return Err(CliError::new(Code::BadArgument, why)
            .hint("add --token-file FILE or --token-env NAME, or listen on 127.0.0.1"));
    }
    Ok(())
}

/// Reads a token where it lies.
fn secret_of(secret: &Secret) -> Result<String, String> {
    let text = match secret {
        Secret::Env(name) => std::env::var(name).map_err(|_| {
            format!("{secret} is not set in the resident process, which took its environment from whoever started it")
        })?,
        Secret::File(path) => {
            std::fs::read_to_string(path).map_err(|error| format!("{secret} cannot be read: {error}"))?
        }
    };
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.trim().is_empty() { Err(format!("{secret} holds an empty token")) } else { Ok(text.to_owned()) }
}
