//! The built-in proxy, driven over its control socket: one JSON object per line each way
//! ([`taxiway_model::control`]).
//!
//! Every ask is complete and idempotent, so one that got no answer is asked once more on a fresh
//! connection; that is also how a restarted proxy is found again.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use taxiway_engine::ports::traffic::{Error, Traffic};
use taxiway_model::control::{Ask, Reply, Snapshot};
use taxiway_model::ids::{Generation, StreamId};
use taxiway_model::route::{Applied, RouteTable};

/// How long the proxy may take to answer. It answers from memory in well under a millisecond; what
/// takes this long does not answer at all.
const ANSWER_MS_MAX: u64 = 2_000;

/// The longest answer that is read: counts of some thousand endpoint classes with histograms.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Connections kept open between asks; more callers at once open more, which are closed afterwards.
const IDLE_CONNECTIONS_MAX: usize = 4;

/// The built-in proxy behind its control socket.
#[derive(Debug)]
pub struct Builtin {
    socket: PathBuf,
    answer_time_max: Duration,
    idle: Mutex<Vec<BufReader<UnixStream>>>,
}

impl Builtin {
    /// A driver of the proxy that listens on `socket`. Connects with the first ask.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
            answer_time_max: Duration::from_millis(ANSWER_MS_MAX),
            idle: Mutex::default(),
        }
    }

    /// The control socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks anything of the proxy. Fails with [`Error::Unavailable`] when no answer comes in time.
    pub fn ask(&self, ask: &Ask) -> Result<Reply, Error> {
        let mut line = serde_json::to_vec(ask).map_err(|error| Error::Refused(error.to_string()))?;
        line.push(b'\n');
        let kept = self.idle.lock().expect("no holder of this lock panics").pop();
        if let Some(mut connection) = kept
            && let Ok(reply) = exchange(&mut connection, &line)
        {
            self.keep(connection);
            return Ok(reply);
        }
        let mut connection = self.connect()?;
        let reply = exchange(&mut connection, &line).map_err(|error| self.unavailable(&error))?;
        self.keep(connection);
        Ok(reply)
    }

    /// Finishes open requests within `drain_ms` and leaves.
    pub fn shutdown(&self, drain_ms: u64) -> Result<(), Error> {
        match self.ask(&Ask::Shutdown { drain_ms })? {
            Reply::Refused { why, .. } => Err(Error::Refused(why)),
            _ => Ok(()),
        }
    }

    fn connect(&self) -> Result<BufReader<UnixStream>, Error> {
        fail::fail_point!("traffic.connect");
        let connected = UnixStream::connect(&self.socket).and_then(|stream| {
            stream.set_read_timeout(Some(self.answer_time_max))?;
            stream.set_write_timeout(Some(self.answer_time_max))?;
            Ok(stream)
        });
        // A connection that is kept from before a restart of the proxy is of no use any more.
        self.idle.lock().expect("no holder of this lock panics").clear();
        connected.map(BufReader::new).map_err(|error| self.unavailable(&error))
    }

    fn keep(&self, connection: BufReader<UnixStream>) {
        let mut idle = self.idle.lock().expect("no holder of this lock panics");
        if idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push(connection);
        }
    }

    fn unavailable(&self, error: &std::io::Error) -> Error {
        Error::Unavailable(format!("the proxy's control socket {}: {error}", self.socket.display()))
    }

    fn ask_applied(&self, stream: &StreamId, given: Generation, ask: &Ask) -> Result<Applied, Error> {
        match self.ask(ask)? {
            Reply::Applied(applied) => Ok(applied),
            Reply::Refused { generation: Some(current), .. } if current > given => {
                Err(Error::Stale { given, current })
            }
            // Whoever never had a table can have no generation in force.
            Reply::Refused { generation: None, .. } if matches!(ask, Ask::ToBaseline { .. }) => {
                Err(Error::NoTable(stream.clone()))
            }
            Reply::Refused { why, .. } => Err(Error::Refused(why)),
            other => Err(unexpected(&other)),
        }
    }
}

impl Traffic for Builtin {
    fn apply(&self, table: &RouteTable) -> Result<Applied, Error> {
        fail::fail_point!("traffic.apply.before");
        let ask = Ask::Apply { table: Box::new(table.clone()) };
        let applied = self.ask_applied(&table.stream, table.generation, &ask);
        fail::fail_point!("traffic.apply.after");
        applied
    }

    fn to_baseline(&self, stream: &StreamId, generation: Generation) -> Result<Applied, Error> {
        fail::fail_point!("traffic.to_baseline.before");
        let ask = Ask::ToBaseline { stream: stream.clone(), generation };
        let applied = self.ask_applied(stream, generation, &ask);
        fail::fail_point!("traffic.to_baseline.after");
        applied
    }

    fn counts(&self, stream: &StreamId) -> Result<Snapshot, Error> {
        match self.ask(&Ask::Counts { stream: stream.clone() })? {
            Reply::Counts(snapshot) => Ok(*snapshot),
            Reply::Refused { generation: None, .. } => Err(Error::NoTable(stream.clone())),
            Reply::Refused { why, .. } => Err(Error::Refused(why)),
            other => Err(unexpected(&other)),
        }
    }

    fn remove(&self, stream: &StreamId) -> Result<(), Error> {
        match self.ask(&Ask::Remove { stream: stream.clone() })? {
            Reply::Refused { generation: None, .. } => Err(Error::NoTable(stream.clone())),
            Reply::Refused { why, .. } => Err(Error::Refused(why)),
            _ => Ok(()),
        }
    }
}

fn unexpected(reply: &Reply) -> Error {
    let kind = serde_json::to_value(reply).ok().and_then(|value| Some(value.get("reply")?.to_string()));
    Error::Unavailable(format!("the proxy answered {} to another question", kind.unwrap_or_default()))
}

fn exchange(connection: &mut BufReader<UnixStream>, line: &[u8]) -> std::io::Result<Reply> {
    connection.get_mut().write_all(line)?;
    let mut answer = Vec::new();
    connection.by_ref().take(ANSWER_BYTES_MAX).read_until(b'\n', &mut answer)?;
    if answer.last() != Some(&b'\n') {
        return Err(std::io::Error::new(
            std::io::ErrorKind::UnexpectedEof,
            "the connection ended within an answer",
        ));
    }
    serde_json::from_slice(&answer).map_err(std::io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::thread::JoinHandle;
    use taxiway_model::ids::{EnvironmentName, ServiceName};
    use taxiway_model::time::Timestamp;
    use taxiway_model::weight::WeightBp;

    fn stream() -> StreamId {
        let service = ServiceName::new("shop").unwrap();
        StreamId { service, environment: EnvironmentName::new("production").unwrap() }
    }

    /// A proxy that gives these answers, one connection for each inner list.
    fn serve(folder: &Path, answers: Vec<Vec<Reply>>) -> (Builtin, JoinHandle<Vec<Ask>>) {
        let socket = folder.join("proxy.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let served = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for answers in answers {
                let (stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream);
                for answer in answers {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    asked.push(serde_json::from_str(&line).unwrap());
                    let mut text = serde_json::to_string(&answer).unwrap();
                    text.push('\n');
                    reader.get_mut().write_all(text.as_bytes()).unwrap();
                }
            }
            asked
        });
        (Builtin::new(socket), served)
    }

    fn applied(generation: u64) -> Applied {
        let generation = Generation(generation);
        Applied { generation, weight: WeightBp::ZERO, lease_ended: false, since: Timestamp(0) }
    }

    #[test]
    fn a_restarted_proxy_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let answers = vec![vec![Reply::Applied(applied(1))], vec![Reply::Applied(applied(2))]];
        let (proxy, served) = serve(folder.path(), answers);
        assert_eq!(proxy.to_baseline(&stream(), Generation(1)), Ok(applied(1)));
        assert_eq!(proxy.to_baseline(&stream(), Generation(2)), Ok(applied(2)));
        assert_eq!(served.join().unwrap().len(), 2);
    }

    #[test]
    fn an_old_order_and_an_unknown_stream_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let stale = Reply::Refused { why: "old".to_owned(), generation: Some(Generation(7)) };
        let unknown = Reply::Refused { why: "unknown".to_owned(), generation: None };
        let (proxy, served) = serve(folder.path(), vec![vec![stale, unknown.clone(), unknown]]);
        let expected = Error::Stale { given: Generation(3), current: Generation(7) };
        assert_eq!(proxy.to_baseline(&stream(), Generation(3)), Err(expected));
        assert_eq!(proxy.to_baseline(&stream(), Generation(3)), Err(Error::NoTable(stream())));
        assert_eq!(proxy.counts(&stream()), Err(Error::NoTable(stream())));
        served.join().unwrap();
    }

    #[test]
    fn nobody_there_is_said_with_the_place() {
        let folder = tempfile::tempdir().unwrap();
        let proxy = Builtin::new(folder.path().join("proxy.sock"));
        let Err(Error::Unavailable(why)) = proxy.counts(&stream()) else { panic!("nobody answers") };
        assert!(why.contains("proxy.sock"), "{why}");
    }
}
