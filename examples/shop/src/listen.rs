//! The life of the process: bind, serve, stop in order on SIGTERM.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::{Args, Behaviour};
use crate::behaviour::Instance;
use crate::log;

/// Serves until SIGTERM or SIGINT; the exit code is 0 after an orderly stop.
pub(crate) async fn run(args: Args) -> ExitCode {
    let name = format!("{} {}", args.version, args.instance.as_deref().unwrap_or_default());
    if args.behaviour == Behaviour::Crash {
        log::line(&format!("error: {name} cannot read its configuration: currency table is missing"));
        return ExitCode::FAILURE;
    }
    let address = (args.host, args.port.unwrap_or_default());
    let bound = match TcpListener::bind(address).await {
        Ok(listener) => signal(SignalKind::terminate()).and_then(|term| {
            let int = signal(SignalKind::interrupt())?;
            Ok((listener.local_addr()?, listener, term, int))
        }),
        Err(error) => Err(error),
    };
    let (local, listener, term, int) = match bound {
        Ok(bound) => bound,
        Err(error) => {
            log::line(&format!("error: {name} cannot listen on {}:{}: {error}", address.0, address.1));
            return ExitCode::FAILURE;
        }
    };
    log::line(&format!("start: {name} listens on {local}, behaviour {:?}", args.behaviour));
    let grace = Duration::from_secs(args.grace_s);
    serve(Arc::new(Instance::new(args)), listener, term, int, grace).await;
    log::line(&format!("stop: {name}"));
    ExitCode::SUCCESS
}

async fn serve(
    instance: Arc<Instance>,
    listener: TcpListener,
    mut term: Signal,
    mut int: Signal,
    grace: Duration,
) {
    // HTTP/1.1 and, by its preface, HTTP/2 without TLS.
    let server = auto::Builder::new(TokioExecutor::new());
    let open = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = term.recv() => break,
            _ = int.recv() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                log::line(&format!("error: accept: {error}"));
                // Out of file descriptors: without a pause this loop would spin.
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        drop(stream.set_nodelay(true));
        let instance = Arc::clone(&instance);
        let service = service_fn(move |request| crate::service::answer(Arc::clone(&instance), request));
        let connection = server.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        let connection = open.watch(connection);
        tokio::spawn(async move { drop(connection.await) });
    }
    drop(listener);
    if tokio::time::timeout(grace, open.shutdown()).await.is_err() {
        log::line("error: requests were still in progress at the end of the grace period");
    }
}
