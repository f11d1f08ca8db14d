//! The log: chained, append-only streams on SQLite, and the same in memory.
//!
//! Implements `taxiway_engine::ports::log::Log` and must never know what an event means: it holds
//! bytes, orders them, chains them and proves that nobody changed them. Read [`sqlite`] first; what
//! both logs share is small and pure: [`tree`] (Merkle tree), [`note`] (signed checkpoints), `head`
//! (what the next record is chained to) and `walk` (whether records follow from each other).

mod head;
mod key;
pub mod memory;
pub mod note;
pub mod points;
pub mod sqlite;
pub mod tree;
mod walk;

pub use sqlite::open;
