//! What SQLite's errors mean for the engine.

use rusqlite::ffi;
use taxiway_engine::ports::log::Error;

/// The engine's word for a failure of SQLite while it did `what`.
pub(super) fn told(what: &str, error: &rusqlite::Error) -> Error {
    let text = format!("{what}: {error}");
    let (Some(code), Some(extended)) = (error.sqlite_error_code(), error.sqlite_extended_error_code()) else {
        // Not SQLite but the conversion of a value: a column holds what nobody wrote there.
        return Error::Damaged(text);
    };
    match code {
        ffi::ErrorCode::DiskFull => Error::Full(text),
        ffi::ErrorCode::ReadOnly
        | ffi::ErrorCode::PermissionDenied
        | ffi::ErrorCode::AuthorizationForStatementDenied => Error::ReadOnly(text),
        ffi::ErrorCode::DatabaseCorrupt
        | ffi::ErrorCode::NotADatabase
        | ffi::ErrorCode::ConstraintViolation
        | ffi::ErrorCode::TypeMismatch => Error::Damaged(text),
        ffi::ErrorCode::SystemIoFailure if is_damage(extended) => Error::Damaged(text),
        // The index of the write-ahead log could not grow, for which there is one reason only.
        ffi::ErrorCode::SystemIoFailure if extended == ffi::SQLITE_IOERR_SHMSIZE => Error::Full(text),
        _ => Error::Unavailable(text),
    }
}

/// A page that reads shorter than it is, or whose checksum the file system refuses, is gone; other
/// I/O errors may pass.
fn is_damage(extended: i32) -> bool {
    [ffi::SQLITE_IOERR_SHORT_READ, ffi::SQLITE_IOERR_DATA, ffi::SQLITE_IOERR_CORRUPTFS].contains(&extended)
}

/// `map_err` with [`told`].
pub(super) fn at(what: &str) -> impl Fn(rusqlite::Error) -> Error {
    move |error| told(what, &error)
}
