//! Services that are not ours and come from PyPI (`cargo xtask test` gets them): CloudWatch as moto emulates it, which
//! also checks who asks, and a Graphite of carbon and graphite-web.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::UNIX_EPOCH;

use serde_json::json;
use taxiway_adapters::metrics::Sources;
use taxiway_engine::ports::metrics::Metrics;
use taxiway_model::ids::MetricName;
use taxiway_model::metrics::{Api, Order, Query, Sample, Secret, Shape, Source};

use super::world::{find_or_skip, order_of, stream, until};

/// A Python program of our own, ended with the test.
struct Program(Child);

impl Program {
    fn start(command: &mut Command) -> Self {
        let quiet = Stdio::null;
        // Bytecode is kept: it was not made when the program was installed.
        command.env_remove("PYTHONDONTWRITEBYTECODE").stdin(quiet()).stdout(quiet()).stderr(quiet());
        Self(command.spawn().unwrap())
    }

    /// Waits for the port, as long as the program lives.
    fn listens(&mut self, port: u16) {
        until("a program that listens", || {
            assert_eq!(self.0.try_wait().unwrap(), None, "it ended");
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn second() -> u64 {
    UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// Asks in buckets of a second for errors among requests.
fn order(name: &str, api: Api, bad: &str, total: &str) -> Order {
    let labels = BTreeMap::from([("version".to_owned(), "{version}".to_owned())]);
    let shape = Shape::Counts { bad: bad.to_owned(), total: total.to_owned(), scale_micro: 1_000_000 };
    order_of(Source {
        name: name.to_owned(),
        api,
        interval_ms: 300,
        timeout_ms: 10_000,
        bucket_ms: 1_000,
        delay_ms: 0,
        canary: labels.clone(),
        baseline: labels,
        queries: vec![Query { metric: MetricName::new("errors").unwrap(), text: String::new(), shape }],
    })
}

/// Asks until three seconds are counted; in each the canary had ten requests of which one failed, the baseline 100.
fn counts_three_seconds(sources: &Sources, order: &Order, mut meanwhile: impl FnMut()) {
    let stream = stream("shop/production");
    sources.want(&stream, order);
    let counted = until("sums of three seconds", || {
        meanwhile();
        let reading = sources.latest(&stream)?;
        assert!(reading.trouble.is_empty(), "{reading:?}");
        let sample = reading.samples.values().next().cloned();
        sample.filter(|sample| sample.totals().0 >= 30)
    });
    let Sample::Counts { canary, baseline } = counted else { panic!("{counted:?}") };
    assert_eq!((canary.total, canary.total * 10), (canary.bad * 10, baseline.total));
    assert_eq!(baseline.bad * 50, baseline.total);
}

fn trouble(sources: &Sources, order: &Order) -> String {
    let stream = stream("shop/production");
    sources.want(&stream, order);
    until("trouble", || sources.latest(&stream)?.trouble.into_values().next())
}

/// A server of moto's.
struct Moto {
    port: u16,
    _program: Program,
}

impl Moto {
    fn start(test: &str) -> Option<Self> {
        let program = find_or_skip(test, "moto_server")?;
        let port = free_port();
        let mut program =
            Program::start(Command::new(program).args(["-H", "127.0.0.1", "-p", &port.to_string()]));
        program.listens(port);
        Some(Self { port, _program: program })
    }

    /// What is answered before anybody has to be somebody.
    fn post(&self, path: &str, service: &str, headers: &str, body: &str) -> String {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}\r\nauthorization: \
             AWS4-HMAC-SHA256 Credential=a/20261121/eu-central-1/{service}/aws4_request, SignedHeaders=host, \
             Signature=0\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all((head + body).as_bytes()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
        said
    }

    /// A user who may do this alone: the two keys.
    fn user(&self, name: &str, action: &str) -> [String; 2] {
        let of_iam = |form: &str| {
            let form = format!("Version=2010-05-08&UserName={name}&{form}");
            self.post("/", "iam", "content-type: application/x-www-form-urlencoded", &form)
        };
        of_iam("Action=CreateUser");
        let document = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": action, "Resource": "*"}]});
        // Of what a form cannot carry as it is, the document has only these.
        let document = document.to_string().replace('*', "%2A");
        of_iam(&format!("Action=PutUserPolicy&PolicyName=all&PolicyDocument={document}"));
        let said = of_iam("Action=CreateAccessKey");
        ["AccessKeyId", "SecretAccessKey"].map(|tag| {
            let after = said.split_once(&format!("<{tag}>")).expect("a key").1;
            after.split_once('<').expect("its end").0.to_owned()
        })
    }

    /// Puts sums of each of these seconds.
    fn put(&self, seconds: std::ops::Range<u64>) {
        let one = |name: &str, version: &str, at: u64, value: u64| {
            json!({"MetricName": name, "Dimensions": [{"Name": "Version", "Value": version}], "Timestamp": at,
                "Value": value})
        };
        let of = |at: u64| {
            let (of_v2, of_v1) = ([("Requests", 10), ("Errors", 1)], [("Requests", 100), ("Errors", 2)]);
            let of_v2 = of_v2.map(|(name, value)| one(name, "v2", at, value));
            of_v2.into_iter().chain(of_v1.map(|(name, value)| one(name, "v1", at, value)))
        };
        let data: Vec<_> = seconds.flat_map(of).collect();
        let body = json!({"Namespace": "Shop", "MetricData": data}).to_string();
        let headers = "content-type: application/x-amz-json-1.0\r\nx-amz-target: \
                       GraniteServiceVersion20100801.PutMetricData";
        self.post("/", "monitoring", headers, &body);
    }
}

/// moto computes the signature of a request anew, with botocore: that ours is the same is checked by somebody else.
#[test]
fn an_emulated_cloudwatch_is_counted_for_who_may_and_tells_who_may_not() {
    let test =
        "adapters::metrics::emulated::an_emulated_cloudwatch_is_counted_for_who_may_and_tells_who_may_not";
    let Some(moto) = Moto::start(test) else { return };
    // At Amazon these begin with `cloudwatch:`; moto takes the service that a request is signed for.
    let ours = moto.user("ours", "monitoring:GetMetricData");
    let others = moto.user("others", "monitoring:ListMetrics");
    // Seconds that will have been when they are asked for; nobody may put any later on.
    moto.put(second()..second() + 60);
    moto.post("/moto-api/reset-auth", "moto", "content-type: text/plain", "0");

    let folder = tempfile::tempdir().unwrap();
    let key = |name: &str, value: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, value).unwrap();
        Secret::File(path.display().to_string())
    };
    let order = |access_key: &str, secret_key: &str| {
        let api = Api::Cloudwatch {
            region: "eu-central-1".to_owned(),
            url: Some(format!("http://127.0.0.1:{}", moto.port)),
            access_key: key(&format!("access-{access_key}"), access_key),
            secret_key: key(&format!("secret-{access_key}"), secret_key),
            session_token: None,
        };
        let of = |name: &str| format!("Shop:{name}{{Version=\"{{version}}\"}} Sum");
        self::order("cloudwatch", api, &of("Errors"), &of("Requests"))
    };
    let sources = Sources::start().unwrap();
    counts_three_seconds(&sources, &order(&ours[0], &ours[1]), || ());

    // Somebody else's secret; one who may do something else; nobody.
    let nobody = "AKIAIOSFODNN7EXAMPLE".to_owned();
    for [access_key, secret_key] in [[&ours[0], &others[1]], [&others[0], &others[1]], [&nobody, &ours[1]]] {
        let said = trouble(&sources, &order(access_key, secret_key));
        assert!(said.starts_with("the credentials are refused: it answers 403 Forbidden"), "{said}");
        assert!(!said.contains(secret_key.as_str()), "{said}");
    }
}

/// Carbon, which takes values by time, and graphite-web, which answers.
struct Graphite {
    carbon_port: u16,
    port: u16,
    _programs: [Program; 2],
    _room: tempfile::TempDir,
}

impl Graphite {
    fn start(test: &str) -> Option<Self> {
        let carbon = find_or_skip(test, "carbon-cache.py")?;
        // Debian's has no Python of its own beside it.
        let python = Some(carbon.with_file_name("python")).filter(|python| python.is_file());
        let python = python.unwrap_or_else(|| PathBuf::from("python3"));
        let room = tempfile::tempdir().unwrap();
        let [carbon_port, query_port, port] = [free_port(), free_port(), free_port()];
        prepare(room.path(), carbon_port, query_port, port);
        let mut receiver = Program::start(
            Command::new(&python)
                .arg(carbon)
                .arg(format!("--config={}", room.path().join("carbon.conf").display()))
                .arg(format!("--pidfile={}", room.path().join("carbon.pid").display()))
                .args(["--nodaemon", "start"]),
        );
        receiver.listens(carbon_port);
        let mut web = Program::start(Command::new(python).arg(room.path().join("web.py")));
        web.listens(port);
        Some(Self { carbon_port, port, _programs: [receiver, web], _room: room })
    }

    fn put(&self, lines: &str) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.carbon_port)).unwrap();
        stream.write_all(lines.as_bytes()).unwrap();
    }
}

/// Writes the settings of both, for files within the room.
fn prepare(room: &Path, carbon_port: u16, query_port: u16, port: u16) {
    let folder = room.display();
    let carbon = format!(
        "[cache]\nSTORAGE_DIR = {folder}/\nLOCAL_DATA_DIR = {folder}/whisper/\nCONF_DIR = {folder}/\nLOG_DIR = {folder}/\n\
         PID_DIR = {folder}/\nUSER =\nENABLE_UDP_LISTENER = False\nENABLE_TAGS = False\nMAX_CREATES_PER_MINUTE = inf\n\
         LINE_RECEIVER_INTERFACE = 127.0.0.1\nLINE_RECEIVER_PORT = {carbon_port}\nPICKLE_RECEIVER_PORT = 0\n\
         CACHE_QUERY_INTERFACE = 127.0.0.1\nCACHE_QUERY_PORT = {query_port}\nCARBON_METRIC_INTERVAL = 0\n"
    );
    let settings = format!(
        "from graphite.settings import *\nSECRET_KEY = 'of a test'\nSTORAGE_DIR = LOG_DIR = CONF_DIR = '{folder}'\n\
         WHISPER_DIR = '{folder}/whisper'\nSTANDARD_DIRS = [WHISPER_DIR]\nINDEX_FILE = '{folder}/index'\n\
         CARBONLINK_HOSTS = ['127.0.0.1:{query_port}']\nALLOWED_HOSTS = ['*']\nDATABASES = {{}}\n"
    );
    let web = format!(
        "import os, sys\nsys.path.insert(0, '{folder}')\nos.environ['DJANGO_SETTINGS_MODULE'] = 'of_test'\n\
         os.environ['GRAPHITE_SETTINGS_MODULE'] = 'nothing_local'\nfrom wsgiref.simple_server import make_server\n\
         from graphite.wsgi import application\nmake_server('127.0.0.1', {port}, application).serve_forever()\n"
    );
    std::fs::create_dir(room.join("whisper")).unwrap();
    for (name, content) in [
        ("carbon.conf", carbon.as_str()),
        ("storage-schemas.conf", "[all]\npattern = .*\nretentions = 1s:1h\n"),
        ("of_test.py", &settings),
        ("nothing_local.py", ""),
        ("web.py", &web),
    ] {
        std::fs::write(room.join(name), content).unwrap();
    }
}

#[test]
fn a_real_graphite_is_counted_and_its_refusals_are_told() {
    let test = "adapters::metrics::emulated::a_real_graphite_is_counted_and_its_refusals_are_told";
    let Some(graphite) = Graphite::start(test) else { return };
    let api = Api::Graphite { url: format!("http://127.0.0.1:{}", graphite.port), credentials: None };
    let mut written = second();
    let write = || {
        let now = second();
        let mut lines = String::new();
        for at in written..=now {
            let of_v2 = [("v2.requests", 10), ("v2.errors.a", 1)];
            let of_v1 = [("v1.requests", 100), ("v1.errors.a", 1), ("v1.errors.b", 1)];
            for (series, value) in of_v2.into_iter().chain(of_v1) {
                writeln!(lines, "shop.{series} {value} {at}").unwrap();
            }
        }
        if !lines.is_empty() {
            graphite.put(&lines);
        }
        written = now + 1;
    };
    let sources = Sources::start().unwrap();
    let (bad, total) = ("sumSeries(shop.{version}.errors.*)", "shop.{version}.requests");
    // A second is written down when it begins, and may be asked for before the write has come through.
    let mut ours = order("graphite", api.clone(), bad, total);
    ours.sources[0].delay_ms = 2_000;
    counts_three_seconds(&sources, &ours, write);

    let said = trouble(&sources, &order("graphite", api, "nonsense(shop.{version}.errors)", total));
    assert!(said.contains("400 Bad Request") && said.contains("unknown function: nonsense"), "{said}");
}
