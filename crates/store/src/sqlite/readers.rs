//! Connections that read beside the writer, lent to one caller at a time.

use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};

use rusqlite::Connection;
use taxiway_engine::ports::log::Error;

use super::open;

/// A fixed number of reading connections.
pub(super) struct Readers {
    idle: Mutex<Vec<Connection>>,
    returned: Condvar,
}

impl Readers {
    /// Opens `count` connections, at least one.
    pub(super) fn open(path: &Path, count: usize) -> Result<Self, Error> {
        let idle: Result<Vec<Connection>, Error> =
            (0..count.max(1)).map(|_| open::connect_to_read(path)).collect();
        Ok(Self { idle: Mutex::new(idle?), returned: Condvar::new() })
    }

    /// Reads on the next connection that is free; everything `read` sees is of one moment.
    pub(super) fn with<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        let lent = Lent { db: Some(self.borrow()), readers: self };
        let db = lent.db.as_ref().expect("it is given back on drop only");
        let moment = db.unchecked_transaction().map_err(super::failure::at("beginning to read"))?;
        read(&moment)
    }

    fn borrow(&self) -> Connection {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match idle.pop() {
                Some(db) => return db,
                None => idle = self.returned.wait(idle).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// A connection that finds its way back also when its borrower panics.
struct Lent<'a> {
    db: Option<Connection>,
    readers: &'a Readers,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.readers.idle.lock().unwrap_or_else(PoisonError::into_inner).extend(self.db.take());
        self.readers.returned.notify_one();
    }
}
