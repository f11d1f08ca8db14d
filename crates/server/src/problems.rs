//! Problems this crate tells by itself.

use taxiway_api::{Class, Problem};
use taxiway_engine::SubmitError;
use taxiway_engine::ports::log;
use taxiway_model::ids::StreamId;

/// A problem without places.
pub(crate) fn problem(code: &str, class: Class, title: &str, why: String, next: &str) -> Problem {
    Problem {
        code: code.to_owned(),
        class,
        title: title.to_owned(),
        why,
        next: next.to_owned(),
        places: Vec::new(),
    }
}

pub(crate) fn no_stream(stream: &StreamId) -> Problem {
    let why = format!("nothing was ever released to {stream}");
    problem("no_service", Class::NotFound, "no such service", why, "`taxiway status` lists what there is")
}

pub(crate) fn bad_argument(why: String) -> Problem {
    problem("bad_argument", Class::BadInput, "an argument is wrong", why, "")
}

pub(crate) fn of_log(error: &log::Error) -> Problem {
    let why = error.to_string();
    match error {
        log::Error::Full(_) => problem(
            "store_full",
            Class::Unavailable,
            "the disk is full",
            why,
            "free some space; everything goes on by itself",
        ),
        log::Error::ReadOnly(_) | log::Error::Damaged(_) | log::Error::Fenced { .. } => problem(
            "store_unusable",
            Class::Defect,
            "the log cannot be used",
            why,
            "`taxiway log verify` names the damage; the baseline is served meanwhile",
        ),
        log::Error::Conflict { .. } | log::Error::Unavailable(_) => {
            problem("unreachable", Class::Unavailable, "the log does not answer", why, "try again")
        }
    }
}

pub(crate) fn not_submitted(error: SubmitError) -> Problem {
    match error {
        SubmitError::Refused(refusal) => refusal.into(),
        SubmitError::Log(error) => of_log(&error),
        SubmitError::Quarantined(why) => problem(
            "store_unusable",
            Class::Unavailable,
            "the stream is closed",
            why,
            "the baseline serves on; use the program version that wrote the log",
        ),
    }
}
