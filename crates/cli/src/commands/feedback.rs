//! `taxiway feedback`: what a user said, kept with release and step.

use taxiway_api::{CommandAnswer, FeedbackRequest, Status};
use taxiway_model::feedback;

use crate::cli::Global;
use crate::client::{Client, Need};
use crate::data::Data;
use crate::error::{CliError, Code};
use crate::exit::Exit;
use crate::output;

/// Keep what a user said; a spike of problems rolls back
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The service, or a release (`shop-production-3`)
    #[arg(value_name = "SERVICE|RELEASE")]
    about: Option<String>,
    /// The environment, where the service has several
    #[arg(long)]
    environment: Option<String>,
    /// 1 (bad) to 5 (good)
    #[arg(long, value_name = "1..5", value_parser = clap::value_parser!(u8).range(1..=5), required_unless_present_any = ["text", "kind"])]
    rating: Option<u8>,
    /// What was said
    #[arg(long, default_value = "")]
    text: String,
    /// What it is; without it the rating says so: 1 and 2 are a problem, 4 and 5 praise
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// What tells users apart, so that each counts once; only a digest of it is kept
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// The version the user had; a problem of another version than the one in flight does not count against it
    #[arg(long = "of-version", value_name = "VERSION")]
    version: Option<String>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// Something does not work
    Problem,
    /// Something is good
    Praise,
    /// Neither
    Remark,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Exit, CliError> {
    let client = Client::connect(&Data::find(global.data.as_deref())?, Need::Act)?;
    let (service, release) = about(&client, args)?;
    let request = FeedbackRequest {
        service,
        environment: args.environment.clone(),
        release,
        version: args.version.clone(),
        kind: args.kind.map(|kind| match kind {
            Kind::Problem => feedback::Kind::Problem,
            Kind::Praise => feedback::Kind::Praise,
            Kind::Remark => feedback::Kind::Remark,
        }),
        rating: args.rating,
        text: args.text.clone(),
        user: args.user.clone(),
        key: None,
    };
    let actor = output::actor();
    // Names of users hold nothing that a query must not.
    let actor: String = actor.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let answer: CommandAnswer = client.post(&format!("/v1/feedback?actor={actor}&origin=cli"), &request)?;
    if global.json {
        output::json(&answer);
    } else {
        let release = answer.release.as_ref().map_or_else(String::new, |release| format!("{release}: "));
        output::line(&format!("{release}{}", crate::view::clean(&answer.said)));
    }
    Ok(Exit::Done)
}

/// Whether a service or a release was named: what is the name of a service is one.
fn about(client: &Client, args: &Args) -> Result<(Option<String>, Option<String>), CliError> {
    let Some(about) = &args.about else { return Ok((None, None)) };
    let all: Vec<Status> = client.get("/v1/status")?;
    if all.iter().any(|status| status.service.as_str() == about) {
        return Ok((Some(about.clone()), None));
    }
    let is_of = |status: &&Status| about.starts_with(&format!("{}-{}-", status.service, status.environment));
    if let Some(status) = all.iter().find(is_of) {
        return Ok((Some(status.service.to_string()), Some(about.clone())));
    }
    let names: Vec<String> = all.iter().map(|status| status.service.to_string()).collect();
    let why = format!("{about} is neither a service nor a release here; there is {}", names.join(", "));
    Err(CliError::new(Code::NoService, why).hint("`taxiway history` names the releases"))
}
