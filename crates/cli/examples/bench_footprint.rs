//! What the program costs when it does nothing: time to its help, and memory of all its processes
//! with one idle service. `cargo xtask bench footprint` prints one JSON object.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

const HELPS: usize = 21;

const SERVICE: &str = "name: shop
owner: bench
target:
  command: [SHOP, --port, \"{port}\", --version, \"{version}\"]
  replicas: 1
  readiness: {http: /readyz}
traffic:
  listen: [\"127.0.0.1:0\"]
";

fn main() {
    let program = built();
    let shop = program.with_file_name("shop");
    let mut help_ms: Vec<f64> = (0..HELPS).map(|_| timed_help(&program)).collect();
    help_ms.sort_by(f64::total_cmp);
    let dir = tempfile::tempdir().expect("a directory for temporary files");
    let file = dir.path().join("taxiway.yaml");
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port");
    let text = SERVICE
        .replace("SHOP", shop.to_str().expect("a path in UTF-8"))
        .replace("127.0.0.1:0", &address.to_string());
    std::fs::write(&file, text).expect("a file in a fresh directory");
    let data = dir.path().join("data");
    let released =
        run(&program, &data, &["release", file.to_str().expect("a path in UTF-8"), "--version", "v1"]);
    assert!(released.status.success(), "{}", String::from_utf8_lossy(&released.stderr));
    let processes = processes(&data);
    let total_kib: u64 = processes.iter().map(|(_, kib)| kib).sum();
    run(&program, &data, &["stop"]);
    println!(
        "{}",
        serde_json::json!({"bench": "footprint", "help_ms_median": help_ms[HELPS / 2], "help_ms_max": help_ms[HELPS - 1],
            "help_ms_target": 50, "idle_pss_kib": processes, "idle_pss_kib_total": total_kib, "idle_target_kib": 60 * 1024})
    );
}

/// The release binary, built together with the example service.
fn built() -> PathBuf {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "-p", "taxiway", "-p", "taxiway-example-shop"])
        .status()
        .expect("cargo runs");
    assert!(built.success(), "the program does not build");
    let examples = std::env::current_exe().expect("this program has a path");
    examples.parent().and_then(Path::parent).expect("target/release/examples/…").join("taxiway")
}

fn timed_help(program: &Path) -> f64 {
    let from = Instant::now();
    let output = Command::new(program).arg("--help").output().expect("the program runs");
    assert!(output.status.success());
    from.elapsed().as_secs_f64() * 1e3
}

fn run(program: &Path, data: &Path, args: &[&str]) -> Output {
    Command::new(program).args(args).arg("--data").arg(data).output().expect("the program runs")
}

/// Our processes of this data directory with their proportional memory, by role. The service's own
/// instances are its business.
fn processes(data: &Path) -> Vec<(String, u64)> {
    let data = data.to_str().expect("a path in UTF-8");
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("Linux").flatten() {
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else { continue };
        let words: Vec<String> =
            line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        if words.len() < 2 || !words.iter().any(|word| word == data) || !words[0].ends_with("taxiway") {
            continue;
        }
        let rollup = std::fs::read_to_string(entry.path().join("smaps_rollup")).unwrap_or_default();
        let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kib = pss.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse().ok());
        found.push((words[1].clone(), kib.unwrap_or(0)));
    }
    found.sort();
    found
}
