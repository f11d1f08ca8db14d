//! The programs under supervision: this test binary, started again with a role.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The variable that turns a run of this binary into a program under supervision.
pub(crate) const ROLE: &str = "TEST_ROLE";

/// The command that plays a role.
pub(crate) fn command() -> Vec<String> {
    let me = std::env::current_exe().unwrap().display().to_string();
    [me.as_str(), "process::role::play", "--exact", "--nocapture"].map(str::to_owned).into()
}

#[test]
fn play() {
    let Ok(role) = std::env::var(ROLE) else { return };
    match role.as_str() {
        "server" => serve(),
        "eater" => eat(),
        "spinner" => spin(),
        "doomed" => super::crash_points::live_and_die(),
        "checker" => crate::checks::commands::check_for_ever(),
        "https" => crate::checks::https::ask(),
        "supervisor" => super::adoption::supervise(),
        other => panic!("there is no role {other}"),
    }
}

/// The directory by which a test steers its instances, through files in it.
fn control() -> PathBuf {
    PathBuf::from(std::env::var("TEST_CONTROL").unwrap())
}

fn is_set(control: &Path, name: &str) -> bool {
    control.join(name).exists()
}

/// Answers every GET with 200 and its environment, but for what the files in the control directory say.
fn serve() {
    let control = control();
    while is_set(&control, "do-not-listen") {
        std::thread::sleep(Duration::from_millis(5));
    }
    let port: u16 = std::env::var("PORT").unwrap().parse().unwrap();
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap_or_else(|error| {
        eprintln!("cannot listen: {error}");
        std::process::exit(4);
    });
    println!("listening on {port}");
    for stream in listener.incoming().flatten() {
        let control = control.clone();
        std::thread::spawn(move || answer(stream, &control));
    }
}

fn answer(mut stream: TcpStream, control: &Path) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    lines.by_ref().take_while(|line| !line.is_empty()).for_each(drop);
    let path = first.split(' ').nth(1).unwrap_or_default();
    if path == "/crash" || is_set(control, "crash") {
        println!("the last words of this instance");
        std::process::exit(3);
    }
    if path == "/readyz" && is_set(control, "hang") {
        std::thread::sleep(Duration::from_secs(20));
    }
    let unready = path == "/readyz" && is_set(control, "unready");
    let sick = path == "/healthz" && is_set(control, "sick");
    let status = if unready || sick { "503 Unavailable" } else { "200 OK" };
    let environment: Vec<String> =
        std::env::vars().map(|(name, value)| format!("{name}={value}\n")).collect();
    let body = format!("pid={}\n{}", std::process::id(), environment.concat());
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    drop(stream.write_all((head + &body).as_bytes()));
}

/// Keeps 8 MiB more every few milliseconds, up to 512 MiB.
fn eat() {
    let mut kept = Vec::new();
    for _ in 0..64 {
        kept.push(vec![1_u8; 8 << 20]);
        std::thread::sleep(Duration::from_millis(30));
    }
    std::thread::sleep(Duration::from_secs(20));
    drop(kept);
}

/// Uses a whole core for some seconds.
fn spin() {
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while std::time::Instant::now() < end {
        std::hint::spin_loop();
    }
}
