//! The programs that are compared, each configured for the same job: 90 % of the users to v1, 10 % to v2, keep-alive on
//! both sides, `X-Forwarded-For`, one worker per core, no access log.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::process::Process;
use crate::needs::Need;
use crate::shell::{self, Error};

const OURS: &str = "Taxiway";

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

    /// Our own, built for release as the example that runs the proxy alone.
    pub(super) fn taxiway(root: &Path) -> Result<Self, Error> {
        let mut build = shell::cargo(root);
        shell::run(build.args(["build", "-q", "--release", "-p", "taxiway-proxy", "--example", "proxy"]))?;
        Ok(Self {
            name: OURS,
            program: shell::target(root).join("release/examples/proxy"),
            start: start_taxiway,
        })
    }

    /// Starts it and waits until it listens; its files go into `folder`.
    pub(super) fn start(&self, folder: &Path, addresses: Addresses) -> Result<Process, Error> {
        (self.start)(&self.program, folder, addresses)?.listening(addresses.front)
    }

    /// The version it reports, with its name.
    pub(super) fn version(&self) -> String {
        if self.name == OURS {
            return "Taxiway of this commit".to_owned();
        }
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

fn start_taxiway(program: &Path, folder: &Path, addresses: Addresses) -> Result<Process, Error> {
    let data = folder.join("taxiway");
    // A table kept from the round before would be served on its old port.
    let _ = fs::remove_dir_all(&data);
    let file = folder.join("table.json");
    write(&file, &table(addresses).to_string())?;
    let mut command = Command::new(program);
    command.arg(&data).arg(&file);
    Process::start(OURS, &mut command, &folder.join("taxiway.log"))
}

/// A table as the engine sends it in the middle of a canary, with everything switched on that every request passes
/// through: sticky users, a rule for internal users, endpoint classes, forwarded headers, limits, health checks, a lease.
fn table(addresses: Addresses) -> serde_json::Value {
    let backend = |address: SocketAddr| json!([{"address": address, "protocol": "http1", "accepting": true}]);
    json!({
        "stream": {"service": "bench", "environment": "local"},
        "generation": 1,
        "listen": {
            "addresses": [addresses.front],
            "tls": null,
            "sticky": {"by": "header", "name": "x-user"},
            "trusted_proxies": ["10.0.0.0/8"],
            "limits": {},
            "endpoint_classes": [{"name": "checkout", "prefix": "/checkout"}, {"name": "item", "prefix": "/item"}],
            "health": {"path": "/health", "interval_ms": 1_000, "timeout_ms": 500, "unhealthy_after": 3, "healthy_after": 1}
        },
        "baseline": "v1",
        "canary": {
            "version": "v2",
            "weight": 1_000,
            "header": {"from": "header", "name": "x-internal", "values": ["yes"]},
            "mirror": 0,
            "lease_ms": 60_000,
            "drain_ms": 10_000
        },
        "backends": {"v1": backend(addresses.v1), "v2": backend(addresses.v2)}
    })
}
