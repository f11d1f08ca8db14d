use crate::traffic::Scenario;

/// Which part of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Benchmark B1 on error rates, all judges.
    Verdicts,
    /// The latency table.
    Latency,
    /// Whether the pre-flight's durations give the promised power.
    Power,
    /// The profile `standard` on whole releases.
    Standard,
    /// The threshold tables.
    Calibrate,
}

/// What to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Arguments {
    /// Only the cells 1 % at 100 rps and 0.1 % at 1000 rps, with fewer runs.
    pub quick: bool,
    /// One JSON object per cell and judge instead of tables.
    pub json: bool,
    /// Which part.
    pub part: Part,
    /// Only this scenario, by its name in the output.
    pub scenario: Option<Scenario>,
    /// Of `standard` and `calibrate`, only rows in whose name this occurs.
    pub only: String,
    /// Only our judge, without the peers.
    pub own: bool,
    /// Only cells of this base rate.
    pub base: Option<f64>,
    /// Only cells of so many requests per second.
    pub rps: Option<f64>,
    /// Seed of all runs.
    pub seed: u64,
    /// Canaries per healthy cell (or per entry of the threshold tables).
    pub healthy: u64,
    /// Canaries per faulty cell.
    pub faulty: u64,
}

impl Arguments {
    /// One line on how to call it.
    pub const USAGE: &'static str = "usage: judgebench [latency|standard|power|calibrate] [--quick] [--json] [--own] [--scenario NAME] [--base RATE] [--rps N] [--only TEXT] [--seed N] [--healthy RUNS] [--faulty RUNS]";

    /// Reads the arguments; the message names what is wrong.
    pub fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut parsed = Self {
            quick: false,
            json: false,
            scenario: None,
            own: false,
            base: None,
            rps: None,
            only: String::new(),
            part: Part::Verdicts,
            seed: 20_261_120,
            healthy: 0,
            faulty: 0,
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--quick" => parsed.quick = true,
                "--json" => parsed.json = true,
                "--own" => parsed.own = true,
                "--base" => parsed.base = Some(number(argument, rest.next())?),
                "--rps" => parsed.rps = Some(number(argument, rest.next())?),
                "latency" => parsed.part = Part::Latency,
                "standard" => parsed.part = Part::Standard,
                "power" => parsed.part = Part::Power,
                "calibrate" => parsed.part = Part::Calibrate,
                "--scenario" => parsed.scenario = Some(scenario(rest.next())?),
                "--only" => {
                    parsed.only = rest.next().cloned().ok_or("--only needs a part of a row's name")?;
                }
                "--seed" => parsed.seed = number(argument, rest.next())?,
                "--healthy" => parsed.healthy = number(argument, rest.next())?,
                "--faulty" => parsed.faulty = number(argument, rest.next())?,
                unknown => return Err(format!("unknown argument {unknown:?}")),
            }
        }
        // Ten thousand healthy runs put the upper limit of 1.0 % at 1.2 %, six thousand at 1.3 %.
        let (healthy, faulty) = match (parsed.part, parsed.quick) {
            (Part::Verdicts, true) => (6_000, 300),
            (Part::Verdicts, false) => (10_000, 2_000),
            (Part::Latency, _) => (0, 300),
            // Three hundred healthy runs without a rollback put the upper limit at 1.0 %.
            (Part::Standard, true) => (20, 10),
            (Part::Standard, false) => (300, 60),
            (Part::Power, _) => (0, 1_000),
            (Part::Calibrate, _) => (3_000, 0),
        };
        parsed.healthy = if parsed.healthy == 0 { healthy } else { parsed.healthy };
        parsed.faulty = if parsed.faulty == 0 { faulty } else { parsed.faulty };
        Ok(parsed)
    }
}

fn number<T: std::str::FromStr>(name: &str, value: Option<&String>) -> Result<T, String> {
    let value = value.ok_or_else(|| format!("{name} needs a number"))?;
    value.parse().map_err(|_| format!("{name} needs a number, not {value:?}"))
}

fn scenario(name: Option<&String>) -> Result<Scenario, String> {
    let found = Scenario::ALL.iter().find(|(_, known)| Some(*known) == name.map(String::as_str));
    found.map(|(scenario, _)| *scenario).ok_or_else(|| {
        let known: Vec<&str> = Scenario::ALL.iter().map(|(_, known)| *known).collect();
        format!("--scenario needs one of {}", known.join(", "))
    })
}
