//! Payloads that are taken out while the chain holds.

use std::fs;

use taxiway_engine::ports::log::Log as _;
use taxiway_model::ids::Digest;
use taxiway_model::record::NewRecord;
use taxiway_model::time::Timestamp;

use crate::samples::{all, append_one, damages, fill, folder, open, record, stream};

fn secret(number: u64) -> NewRecord {
    NewRecord { payload: b"the secret of Ada Lovelace".to_vec(), ..record(number) }
}

#[test]
fn a_redacted_payload_is_gone_and_the_log_intact() {
    let dir = folder();
    let log = open(dir.path());
    fill(&log, "shop", 0, 3);
    log.append(&stream("shop"), 3, 0, vec![secret(3), record(4), secret(5)]).expect("appended");
    let (before, kept) = (all(&log), log.checkpoint().expect("signed"));
    let digest = Digest::of(&secret(3).payload);
    assert_eq!(log.redact(digest, "asked for by its subject").expect("redacted"), 2);
    let after = all(&log);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(after.is_withheld(), after.payload_digest == digest);
        assert_eq!(
            (after.hash, after.seq, &after.record.reason),
            (before.hash, before.seq, &before.record.reason)
        );
    }
    assert_eq!(log.checkpoint().expect("signed").root, kept.root);
    assert_eq!(damages(&log, Some(&kept.note)), Vec::<String>::new());
    append_one(&log, "shop", 6).expect("the chain goes on");
    assert_eq!(log.redact(Digest::of(b"never seen"), "x").expect("asked"), 0);
    drop(log);
    for entry in fs::read_dir(dir.path()).expect("listed").flatten() {
        let bytes = fs::read(entry.path()).expect("read");
        assert!(!bytes.windows(10).any(|window| window == b"of Ada Lov"), "{:?}", entry.path());
    }
}

#[test]
fn what_is_redacted_may_be_appended_anew() {
    let dir = folder();
    let log = open(dir.path());
    log.append(&stream("shop"), 0, 0, vec![secret(1)]).expect("appended");
    log.redact(Digest::of(&secret(1).payload), "once").expect("redacted");
    log.append(&stream("shop"), 1, 0, vec![secret(2)]).expect("appended");
    let withheld: Vec<bool> =
        all(&log).iter().map(taxiway_model::record::StoredRecord::is_withheld).collect();
    assert_eq!(withheld, [true, false]);
}

#[test]
fn payloads_expire_by_kind_and_time() {
    let dir = folder();
    let log = open(dir.path());
    let evidence = |number| NewRecord { kind: "evidence".to_owned(), ..record(number) };
    let records = vec![evidence(0), record(1), evidence(2), evidence(3)];
    let times: Vec<Timestamp> = records.iter().map(|record| record.at).collect();
    log.append(&stream("shop"), 0, 0, records).expect("appended");
    assert_eq!(log.expire("evidence", times[3]).expect("expired"), 2);
    assert_eq!(log.expire("evidence", times[3]).expect("expired"), 0);
    let withheld: Vec<bool> =
        all(&log).iter().map(taxiway_model::record::StoredRecord::is_withheld).collect();
    assert_eq!(withheld, [true, false, true, false]);
    assert_eq!(damages(&log, None), Vec::<String>::new());
    drop(log);
    assert_eq!(damages(&open(dir.path()), None), Vec::<String>::new());
}
