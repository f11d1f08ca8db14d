//! A folder with a service in it, and the binary run there.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(40);

/// The example service, built once.
pub(crate) fn shop() -> &'static Path {
    static SHOP: OnceLock<PathBuf> = OnceLock::new();
    SHOP.get_or_init(|| {
        let folder = Path::new(env!("CARGO_BIN_EXE_taxiway")).parent().unwrap().to_owned();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "-p", "taxiway-example-shop", "-p", "taxiway-example-load"]);
        cargo.arg("--target-dir").arg(folder.parent().unwrap());
        cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
        assert!(cargo.status().unwrap().success(), "the example programs are built");
        folder.join("shop")
    })
}

/// What the binary said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// As it stands in a snapshot.
    pub(crate) fn shown(&self, bed: &Bed) -> String {
        let text = format!("exit {}\n--- out\n{}--- err\n{}", self.code, self.out, self.err);
        text.replace(&bed.folder().display().to_string(), "<bed>").replace(&bed.port.to_string(), "<port>")
    }
}

/// A folder with a service; everything in it is stopped when it goes.
pub(crate) struct Bed {
    folder: tempfile::TempDir,
    pub(crate) port: u16,
    env: Vec<(String, String)>,
}

impl Bed {
    /// Steps of a tenth, a half and all, each half a second of evidence and not judged: what is
    /// tested here is the way, not the verdict.
    pub(crate) const QUICK: &'static str = "
strategy:
  steps:
    - {name: tenth, weight: 10%, bake: 500ms, analysis: false}
    - {name: half, weight: 50%, bake: 500ms, analysis: false}
    - {name: all, weight: 100%, bake: 0s, analysis: false}
";

    /// A first step that only a person ends.
    pub(crate) const ASKS: &'static str = "
strategy:
  steps:
    - {name: tenth, weight: 10%, bake: 0s, analysis: false, approval: true}
    - {name: all, weight: 100%, bake: 0s, analysis: false}
";

    pub(crate) fn new(strategy: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let bed = Self { folder, port, env: Vec::new() };
        std::fs::create_dir(bed.folder().join("versions")).unwrap();
        let yaml = format!(
            "name: shop\nowner: team-shop\ntarget:\n  artifact: versions/{{version}}\n  \
             command: [sh, '{{artifact}}', --port, '{{port}}', --version, '{{version}}']\n  \
             readiness: {{http: /readyz, interval: 50ms}}\n  health: /healthz\n  replicas: 2\n  stop_grace: 2s\n\
             traffic:\n  listen: 127.0.0.1:{port}\ndeadlines:\n  ready: 20s\n{strategy}"
        );
        std::fs::write(bed.file(), yaml).unwrap();
        bed
    }

    pub(crate) fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder().join(".taxiway")
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder().join("taxiway.yaml")
    }

    /// Writes a version that behaves like this.
    pub(crate) fn version(&self, name: &str, behaviour: &str) {
        let text = format!("exec '{}' --behaviour {behaviour} \"$@\"\n# {name}\n", shop().display());
        std::fs::write(self.folder().join("versions").join(name), text).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_taxiway"));
        command.args(arguments).current_dir(self.folder()).stdin(Stdio::null());
        command.env_remove("TAXIWAY_DATA").env("NO_COLOR", "1");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a verb to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        Said {
            code: status.code().unwrap_or(-1),
            out: String::from_utf8(stdout).unwrap(),
            err: String::from_utf8(stderr).unwrap(),
        }
    }

    /// Runs a verb that has to succeed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> Said {
        let said = self.run(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {said:?}\n{}", self.output());
        said
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// v1 is up and serves.
    pub(crate) fn with_v1(self) -> Self {
        self.version("v1", "healthy");
        self.ok(&["release", "--version", "v1", "--timeout", "40s"]);
        self
    }

    pub(crate) fn status(&self) -> Value {
        self.ok(&["status", "--json"]).json()[0].clone()
    }

    /// Waits until the status is as wanted.
    pub(crate) fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if wanted(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "{what}: {status:#}\n{}", self.output());
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// One request over a connection of its own: the status code and the version that answered.
    pub(crate) fn ask(&self) -> std::io::Result<(u16, String)> {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let code = text.get(9..12).and_then(|code| code.parse().ok());
        let version = text.lines().find_map(|line| line.strip_prefix("x-version: "));
        let bad = || std::io::Error::other(format!("not an answer: {text:?}"));
        Ok((code.ok_or_else(bad)?, version.unwrap_or_default().trim().to_owned()))
    }

    /// The holder of a role, from its lock file.
    pub(crate) fn pid(&self, role: &str) -> Option<i32> {
        let text = std::fs::read_to_string(self.data().join(format!("{role}.lock"))).ok()?;
        let pid = serde_json::from_str::<Value>(&text).ok()?["pid"].as_i64()?;
        is_alive(i32::try_from(pid).unwrap()).then_some(i32::try_from(pid).unwrap())
    }

    /// Every process that has anything to do with this folder.
    pub(crate) fn processes(&self) -> Vec<(i32, String)> {
        let here = self.folder().display().to_string();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
            let read = |what: &str| std::fs::read(entry.path().join(what)).unwrap_or_default();
            let command = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
            let env = String::from_utf8_lossy(&read("environ")).into_owned();
            let cwd = std::fs::read_link(entry.path().join("cwd")).unwrap_or_default();
            let mine = command.contains(&here) || env.contains(&here) || cwd.starts_with(&here);
            if mine && is_alive(pid) {
                found.push((pid, command));
            }
        }
        found
    }

    /// What the processes have written, for a failing test.
    pub(crate) fn output(&self) -> String {
        let mut text = String::new();
        for role in ["resident", "keeper", "proxy"] {
            let lines = std::fs::read_to_string(self.data().join(format!("{role}.log"))).unwrap_or_default();
            let lines: Vec<&str> = lines.lines().collect();
            for part in ["--- ", role, "\n", &lines[lines.len().saturating_sub(25)..].join("\n"), "\n"] {
                text += part;
            }
        }
        let log = self.run(&["log", "--last", "40"]);
        text + "--- log\n" + &log.out + &log.err
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if self.data().is_dir() {
            let _ = self.command(&["stop"]).env_remove("TAXIWAY_CRASH_AT").output();
        }
        // Only what belongs to this folder, each by its own number.
        for (pid, _) in self.processes() {
            kill(pid, "KILL");
        }
    }
}

/// Whether a process runs, and does not only wait to be reaped.
pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// Sends a signal to one process.
pub(crate) fn kill(pid: i32, signal: &str) {
    let signal: nix::sys::signal::Signal = format!("SIG{signal}").parse().unwrap();
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
}

/// Waits until something holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// Waits for a child to end; the test fails when it does not.
pub(crate) fn ended(mut child: Child) -> Said {
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() >= deadline {
            let _ = child.kill();
            panic!("it did not end: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    Said {
        code: status.code().unwrap_or(-1),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

/// Light, steady traffic that counts what came back.
pub(crate) struct Traffic {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    thread: Option<std::thread::JoinHandle<Counted>>,
}

/// What came back.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) requests: u64,
    /// Longest time without an answer below 500, milliseconds.
    pub(crate) silence_ms_max: u128,
    pub(crate) failed: Vec<String>,
}

impl Traffic {
    pub(crate) fn on(bed: &std::sync::Arc<Bed>) -> Self {
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (bed, stopped) = (std::sync::Arc::downgrade(bed), std::sync::Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut counted = Counted::default();
            let mut last = Instant::now();
            while !stopped.load(std::sync::atomic::Ordering::SeqCst) {
                let Some(bed) = bed.upgrade() else { break };
                counted.requests += 1;
                match bed.ask() {
                    Ok((code, _)) if code < 500 => {
                        counted.silence_ms_max = counted.silence_ms_max.max(last.elapsed().as_millis());
                        last = Instant::now();
                    }
                    Ok((code, version)) => counted.failed.push(format!("{code} by {version:?}")),
                    Err(error) => counted.failed.push(error.to_string()),
                }
                drop(bed);
                std::thread::sleep(Duration::from_millis(5));
            }
            counted.silence_ms_max = counted.silence_ms_max.max(last.elapsed().as_millis());
            counted
        });
        Self { stop, thread: Some(thread) }
    }

    pub(crate) fn end(mut self) -> Counted {
        self.stop.store(true, std::sync::atomic::Ordering::SeqCst);
        self.thread.take().expect("it ends once").join().unwrap()
    }
}

impl Drop for Traffic {
    /// Waited for, so that it never holds the last of a bed: one that is dropped while the tests' process
    /// ends leaves everything running.
    fn drop(&mut self) {
        self.stop.store(true, std::sync::atomic::Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
