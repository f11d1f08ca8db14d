//! Reading everything there is and comparing every digest, hash, sequence and link.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use taxiway_engine::ports::log::{Error, Verified};
use taxiway_model::ids::StreamId;

use super::data_dir::DataDir;
use super::group::lease_digest;
use super::{open, rows, schema, snapshots, withhold};
use crate::note::Key;
use crate::tree::Tree;
use crate::walk::Walk;

/// Verifies the log as the disk has it: a connection of its own reads past every cache of the others.
/// Besides the checkpoint given, the one kept beside the log is compared.
pub(super) fn verify(data_dir: &DataDir, key: &Key, kept: Option<&str>) -> Result<Verified, Error> {
    let (kept, complaint) = match kept.map(|note| key.read(note)).transpose() {
        Ok(kept) => (kept, None),
        Err(error) => (None, Some(error.to_string())),
    };
    let (beside, complaint_beside) = match data_dir.stated(key) {
        Ok(beside) => (beside, None),
        Err(error) => (None, Some(error.to_string())),
    };
    let mut walk = Walk::new(kept, beside);
    complaint.into_iter().chain(complaint_beside).for_each(|what| walk.damage(what));
    let db = open::connect_to_read(&data_dir.database())?;
    let moment = db.unchecked_transaction().map_err(super::failure::at("beginning to verify"))?;
    sound(&moment, &mut walk);
    records(&moment, &mut walk);
    for (what, look) in LOOKS {
        if let Err(error) = look(&moment, key, &mut walk) {
            walk.damage(format!("{what} cannot be read: {error}"));
        }
    }
    Ok(walk.finish())
}

type Look = fn(&Connection, &Key, &mut Walk) -> rusqlite::Result<()>;

/// What is compared with the records once these were read.
const LOOKS: &[(&str, Look)] = &[
    ("the table of streams", streams),
    ("the tree", tree),
    ("the payloads", payloads),
    ("the leases", leases),
    ("the snapshots", snapshots_kept),
];

/// SQLite's own check: pages, indexes, uniqueness, types; and that the tables are those of a new log.
fn sound(db: &Connection, walk: &mut Walk) {
    let check = db.prepare("PRAGMA integrity_check(20)").and_then(|mut statement| {
        statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<String>, _>>()
    });
    match check {
        Ok(lines) => {
            for line in lines.iter().filter(|line| *line != "ok") {
                walk.damage(format!("SQLite: {line}"));
            }
        }
        Err(error) => walk.damage(format!("SQLite cannot check the database: {error}")),
    }
    let same = schema::described(db).map(|found| found == schema::pristine());
    let version = schema::version(db).is_ok_and(|version| version == schema::newest());
    let kind = schema::application_id(db).is_ok_and(|id| id == schema::APPLICATION_ID);
    if !(matches!(same, Ok(true)) && version && kind) {
        walk.damage("the database's tables are not those of a log");
    }
}

/// Reads record by record, and on past one that makes no sense.
fn records(db: &Connection, walk: &mut Walk) {
    let mut read = || -> rusqlite::Result<()> {
        let mut statement = db.prepare(rows::AFTER_GLOBAL)?;
        let mut rows = statement.query(params![-1_i64, i64::MAX])?;
        while let Some(row) = rows.next()? {
            match rows::decode(row) {
                Ok((stored, payload)) => walk.step(&stored, payload),
                Err(why) => {
                    let global = rows::place(row).unwrap_or(walk.last_global() + 1);
                    walk.damage(format!("record {global}: {why}"));
                    walk.skip(global);
                }
            }
        }
        Ok(())
    };
    if let Err(error) = read() {
        let last = walk.last_global();
        walk.damage(format!("what follows record {last} cannot be read: {error}"));
    }
}

fn streams(db: &Connection, _: &Key, walk: &mut Walk) -> rusqlite::Result<()> {
    let mut statement = db.prepare("SELECT stream, seq FROM streams")?;
    let mut rows = statement.query([])?;
    let mut listed: BTreeMap<StreamId, u64> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        match rows::stream(row) {
            Ok((stream, seq)) => drop(listed.insert(stream, seq)),
            Err(why) => walk.damage(format!("the table of streams: {why}")),
        }
    }
    let met = walk.streams().clone();
    for (stream, seq) in &met {
        if listed.get(stream) != Some(seq) {
            let told =
                listed.get(stream).map_or("not listed".to_owned(), |listed| format!("listed as #{listed}"));
            walk.damage(format!("{stream} ends at #{seq}, but is {told}"));
        }
    }
    for stream in listed.keys().filter(|stream| !met.contains_key(*stream)) {
        walk.damage(format!("{stream} is listed, but has no record"));
    }
    Ok(())
}

fn tree(db: &Connection, _: &Key, walk: &mut Walk) -> rusqlite::Result<()> {
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?));
    let (size, frontier) = db.query_row("SELECT size, frontier FROM tree", [], read)?;
    let kept = u64::try_from(size).ok().and_then(|size| Tree::from_frontier(size, &frontier));
    if kept.as_ref() != Some(walk.tree()) {
        walk.damage(format!("the tree of {size} records is not that of the records"));
    }
    Ok(())
}

fn payloads(db: &Connection, key: &Key, walk: &mut Walk) -> rusqlite::Result<()> {
    withhold::damages(db, key)?.into_iter().for_each(|what| walk.damage(what));
    Ok(())
}

fn leases(db: &Connection, _: &Key, walk: &mut Walk) -> rusqlite::Result<()> {
    let mut statement = db.prepare("SELECT epoch, owner, digest FROM leases ORDER BY epoch")?;
    let mut rows = statement.query([])?;
    let mut last = 0;
    while let Some(row) = rows.next()? {
        let (epoch, owner, digest): (i64, String, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if epoch != last + 1 || lease_digest(epoch, &owner).0[..] != digest[..] {
            walk.damage(format!("the lease of epoch {epoch} is not the one that was taken"));
        }
        last = epoch;
    }
    Ok(())
}

fn snapshots_kept(db: &Connection, _: &Key, walk: &mut Walk) -> rusqlite::Result<()> {
    let mut statement = db.prepare("SELECT stream, format, seq, bytes, digest FROM snapshots")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (stream, format, seq): (String, u32, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (bytes, digest): (Vec<u8>, Vec<u8>) = (row.get(3)?, row.get(4)?);
        if snapshots::digest(&stream, format, seq, &bytes).0[..] != digest[..] {
            walk.damage(format!("the snapshot of {stream} is not the one that was kept (it is disposable)"));
        }
    }
    Ok(())
}
