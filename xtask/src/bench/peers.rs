//! The programs that are compared, each configured for the same job: 90 % of the users to v1, 10 % to v2, keep-alive on
//! both sides, `X-Forwarded-For`, one worker per core, no access log.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::Process;
use crate::needs::Need;
use crate::shell::Error;

/// What the bench needs from Debian.
pub(super) const NEEDS: &[Need] = &[
    Need { program: "nginx", package: "nginx-light", why: "the peer, and the server behind every proxy" },
    Need { program: "haproxy", package: "haproxy", why: "the second peer" },
    Need { program: "wrk", package: "wrk", why: "it loads the proxies" },
];

/// Where everything listens.
#[derive(Clone, Copy)]
pub(super) struct Addresses {
    pub(super) v1: SocketAddr,
    pub(super) v2: SocketAddr,
    pub(super) front: SocketAddr,
}

/// One of the compared programs.
pub(super) struct Peer {
    pub(super) name: &'static str,
    pub(super) program: PathBuf,
    start: fn(&Path, &Path, Addresses) -> Result<Process, Error>,
}

impl Peer {
    pub(super) fn nginx(program: PathBuf) -> Self {
        Self { name: "nginx", program, start: start_nginx }
    }

    pub(super) fn haproxy(program: PathBuf) -> Self {
        Self { name: "HAProxy", program, start: start_haproxy }
    }

    /// Starts it and waits until it listens; its files go into `folder`.
    pub(super) fn start(&self, folder: &Path, addresses: Addresses) -> Result<Process, Error> {
        (self.start)(&self.program, folder, addresses)?.listening(addresses.front)
    }

    /// The version it reports, with its name.
    pub(super) fn version(&self) -> String {
        // nginx reports on stderr.
        let output = Command::new(&self.program).arg("-v").output();
        let text = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let number = text.split([' ', '/', '\n']).find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        format!("{} {}", self.name, number.unwrap_or("of unknown version"))
    }
}

fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|error| Error::new(format!("cannot write {}: {error}", path.display())))
}

fn nginx(program: &Path, folder: &Path, name: &str, http: &str, workers: usize) -> Result<Process, Error> {
    let at = folder.join(name);
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}-{kind};", at.display()));
    let pid = format!("{}.pid", at.display());
    let text = format!(
        "worker_processes {workers};\npid {pid};\nerror_log stderr warn;\ndaemon off;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\naccess_log off;\nkeepalive_requests 1000000000;\nkeepalive_timeout 600s;\n{}\n{http}\n}}\n",
        paths.join("\n")
    );
    let file = folder.join(format!("{name}.conf"));
    write(&file, &text)?;
    let mut command = Command::new(program);
    command.arg("-p").arg(folder).arg("-c").arg(&file).args(["-e", "stderr"]);
    Process::start(name, &mut command, &folder.join(format!("{name}.log")))
}

/// The cheapest server there is for 1 KiB: both versions in one nginx with one worker.
pub(super) fn start_upstream(program: &Path, folder: &Path, addresses: Addresses) -> Result<Process, Error> {
    let body = "x".repeat(1_024);
    let server = |version: &str, address: SocketAddr| {
        format!(
            "server {{ listen {address} backlog=4096; add_header x-version {version}; \
             location / {{ return 200 \"{body}\"; }} }}\n"
        )
    };
    let http = server("v1", addresses.v1) + &server("v2", addresses.v2);
    nginx(program, folder, "upstream", &http, 1)?.listening(addresses.v1)
}

fn start_nginx(program: &Path, folder: &Path, addresses: Addresses) -> Result<Process, Error> {
    let Addresses { v1, v2, front } = addresses;
    let upstream = |name: &str, address: SocketAddr| {
        format!("upstream {name} {{ server {address}; keepalive 256; keepalive_requests 1000000000; }}\n")
    };
    let http = format!(
        "{}{}split_clients $http_x_user $side {{ 10% canary; * baseline; }}\n\
         server {{ listen {front} reuseport backlog=4096;\n\
         location / {{ proxy_pass http://$side; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
         proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
         proxy_set_header X-Forwarded-Proto $scheme; }} }}",
        upstream("baseline", v1),
        upstream("canary", v2)
    );
    nginx(program, folder, "nginx", &http, workers())
}

fn start_haproxy(program: &Path, folder: &Path, addresses: Addresses) -> Result<Process, Error> {
    let Addresses { v1, v2, front } = addresses;
    let text = format!(
        "global\n  nbthread {}\n  maxconn 8000\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 600s\n  timeout server 60s\n\
         \x20 option forwardfor\n  http-reuse always\n\
         frontend front\n  bind {front} backlog 4096\n  default_backend versions\n\
         backend versions\n  balance hdr(x-user)\n  http-request set-header X-Forwarded-Proto http\n\
         \x20 server v1 {v1} weight 90\n  server v2 {v2} weight 10\n",
        workers()
    );
    let file = folder.join("haproxy.cfg");
    write(&file, &text)?;
    let mut command = Command::new(program);
    command.args(["-db", "-q", "-f"]).arg(&file);
    Process::start("HAProxy", &mut command, &folder.join("haproxy.log"))
}
