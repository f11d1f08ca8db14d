//! What every log promises, asked of each of them.

use std::sync::Barrier;
use std::thread;

use taxiway_engine::ports::log::Error;
use taxiway_model::ids::Digest;
use taxiway_model::record::{Actor, NewRecord, chain_hash};
use taxiway_model::time::Timestamp;

use crate::samples::{Opened, all, damages, fill, keyed, memory, record, sqlite, stream};

macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        mod on_memory { $(#[test] fn $name() { super::$name(&super::memory()); })* }
        mod on_sqlite { $(#[test] fn $name() { super::$name(&super::sqlite()); })* }
    };
}

contract!(
    an_empty_log_is_intact,
    what_is_appended_is_read_back,
    streams_count_by_themselves_and_the_log_over_all,
    limits_and_places_are_kept,
    an_append_needs_the_expected_sequence,
    an_append_is_all_or_nothing,
    a_dedup_key_is_one_record,
    a_repeated_append_is_answered_whatever_it_expects,
    a_key_twice_in_one_append_is_one_record,
    a_known_key_among_new_ones_needs_the_expected_sequence,
    an_empty_key_is_no_key,
    keys_belong_to_their_stream,
    log_time_never_goes_back,
    the_end_of_time_is_refused,
    the_chain_holds_over_all_streams,
    an_old_epoch_is_fenced,
    snapshots_are_by_stream_and_format,
    a_snapshot_beyond_the_stream_is_none,
    an_older_snapshot_does_not_replace_a_newer,
    a_kept_checkpoint_stays_good,
    a_foreign_or_forged_checkpoint_is_a_damage,
    odd_bytes_survive,
    many_writers_lose_nothing,
);

fn an_empty_log_is_intact(opened: &Opened) {
    let log = &opened.log;
    assert!(all(log.as_ref()).is_empty());
    assert!(log.streams().expect("listed").is_empty());
    assert!(log.read(&stream("shop"), 0, 10).expect("read").is_empty());
    let checkpoint = log.checkpoint().expect("signed");
    assert_eq!((checkpoint.size, checkpoint.root), (0, Digest::of(b"")));
    let verified = log.verify(Some(&checkpoint.note)).expect("verified");
    assert_eq!((verified.records, verified.damages, verified.checkpoint), (0, vec![], Some(0)));
}

fn what_is_appended_is_read_back(opened: &Opened) {
    let log = &opened.log;
    let appended = log.append(&stream("shop"), 0, 0, vec![record(1), record(2)]).expect("appended");
    assert_eq!(appended.seq, 2);
    let read = log.read(&stream("shop"), 0, 10).expect("read");
    assert_eq!(read, appended.records);
    assert_eq!(read[0].record, record(1));
    assert_eq!(read[0].payload_digest, Digest::of(&record(1).payload));
    assert_eq!(all(log.as_ref()), read);
}

fn streams_count_by_themselves_and_the_log_over_all(opened: &Opened) {
    let log = opened.log.as_ref();
    fill(log, "shop", 0, 2);
    fill(log, "cart", 2, 3);
    fill(log, "shop", 3, 4);
    let places: Vec<_> = all(log).iter().map(|r| (r.global, r.stream.to_string(), r.seq)).collect();
    let shop = || "shop/production".to_owned();
    assert_eq!(
        places,
        [(1, shop(), 1), (2, shop(), 2), (3, "cart/production".to_owned(), 1), (4, shop(), 3)]
    );
    assert_eq!(log.streams().expect("listed"), [(stream("cart"), 1), (stream("shop"), 3)]);
}

fn limits_and_places_are_kept(opened: &Opened) {
    let log = opened.log.as_ref();
    fill(log, "shop", 0, 5);
    fill(log, "cart", 5, 10);
    let seqs = |after, limit| -> Vec<u64> {
        log.read(&stream("cart"), after, limit).expect("read").iter().map(|r| r.seq).collect()
    };
    assert_eq!(seqs(1, 2), [2, 3]);
    assert_eq!(seqs(4, 100), [5]);
    assert!(seqs(5, 100).is_empty() && seqs(99, 100).is_empty() && seqs(0, 0).is_empty());
    let globals = |after, limit| -> Vec<u64> {
        log.read_all(after, limit).expect("read").iter().map(|r| r.global).collect()
    };
    assert_eq!(globals(4, 3), [5, 6, 7]);
    assert_eq!(globals(9, usize::MAX), [10]);
    assert!(globals(10, 5).is_empty() && globals(u64::MAX, 5).is_empty());
}

fn an_append_needs_the_expected_sequence(opened: &Opened) {
    let log = opened.log.as_ref();
    fill(log, "shop", 0, 3);
    for expected in [0, 2, 4] {
        let refused = log.append(&stream("shop"), expected, 0, vec![record(9)]);
        let told = Error::Conflict { stream: stream("shop"), expected, actual: 3 };
        assert_eq!(refused, Err(told));
    }
    assert_eq!(all(log).len(), 3);
    assert_eq!(log.append(&stream("shop"), 3, 0, vec![record(9)]).expect("appended").seq, 4);
}

fn an_append_is_all_or_nothing(opened: &Opened) {
    let log = opened.log.as_ref();
    fill(log, "shop", 0, 1);
    let last = NewRecord { at: Timestamp(i64::MAX), ..record(2) };
    let refused = log.append(&stream("shop"), 1, 0, vec![record(1), last, record(3)]);
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    assert_eq!(all(log).len(), 1);
    fill(log, "shop", 1, 3);
    assert_eq!(damages(log, None), Vec::<String>::new());
}

fn a_dedup_key_is_one_record(opened: &Opened) {
    let log = opened.log.as_ref();
    let first = log.append(&stream("shop"), 0, 0, vec![keyed(1, "a")]).expect("appended");
    let again = log.append(&stream("shop"), 1, 0, vec![keyed(2, "a")]).expect("answered");
    assert_eq!(again, first);
    assert_eq!(all(log).len(), 1);
}

fn a_repeated_append_is_answered_whatever_it_expects(opened: &Opened) {
    let log = opened.log.as_ref();
    let both = || vec![keyed(1, "a"), keyed(2, "b")];
    let first = log.append(&stream("shop"), 0, 0, both()).expect("appended");
    fill(log, "shop", 5, 6);
    let again = log.append(&stream("shop"), 0, 0, both()).expect("answered");
    assert_eq!(again.records, first.records);
    assert_eq!((again.seq, all(log).len()), (3, 3));
}

fn a_key_twice_in_one_append_is_one_record(opened: &Opened) {
    let log = opened.log.as_ref();
    let appended = log.append(&stream("shop"), 0, 0, vec![keyed(1, "a"), record(2), keyed(3, "a")]);
    let appended = appended.expect("appended");
    assert_eq!((appended.seq, appended.records.len()), (2, 3));
    assert_eq!(appended.records[0], appended.records[2]);
    assert_eq!(all(log).len(), 2);
}

fn a_known_key_among_new_ones_needs_the_expected_sequence(opened: &Opened) {
    let log = opened.log.as_ref();
    log.append(&stream("shop"), 0, 0, vec![keyed(1, "a")]).expect("appended");
    let refused = log.append(&stream("shop"), 0, 0, vec![keyed(1, "a"), record(2)]);
    assert!(matches!(refused, Err(Error::Conflict { expected: 0, actual: 1, .. })), "{refused:?}");
    let appended = log.append(&stream("shop"), 1, 0, vec![keyed(1, "a"), record(2)]).expect("appended");
    assert_eq!((appended.seq, appended.records[0].seq, appended.records[1].seq), (2, 1, 2));
}

fn an_empty_key_is_no_key(opened: &Opened) {
    let log = opened.log.as_ref();
    let appended = log.append(&stream("shop"), 0, 0, vec![keyed(1, ""), keyed(2, "")]).expect("appended");
    assert_eq!((appended.seq, &appended.records[0].record.dedup), (2, &None));
    assert_eq!(damages(log, None), Vec::<String>::new());
}

fn keys_belong_to_their_stream(opened: &Opened) {
    let log = opened.log.as_ref();
    log.append(&stream("shop"), 0, 0, vec![keyed(1, "a")]).expect("appended");
    log.append(&stream("cart"), 0, 0, vec![keyed(2, "a")]).expect("appended");
    assert_eq!(all(log).len(), 2);
}

fn log_time_never_goes_back(opened: &Opened) {
    let log = opened.log.as_ref();
    let at = |micros| NewRecord { at: Timestamp(micros), ..record(1) };
    log.append(&stream("shop"), 0, 0, vec![at(1_000), at(1_000), at(500)]).expect("appended");
    log.append(&stream("cart"), 0, 0, vec![at(-7), at(2_000)]).expect("appended");
    let times: Vec<i64> = all(log).iter().map(|r| r.record.at.0).collect();
    assert_eq!(times, [1_000, 1_001, 1_002, 1_003, 2_000]);
}

fn the_end_of_time_is_refused(opened: &Opened) {
    let log = opened.log.as_ref();
    let last = NewRecord { at: Timestamp(i64::MAX), ..record(1) };
    log.append(&stream("shop"), 0, 0, vec![last]).expect("appended");
    let refused = log.append(&stream("shop"), 1, 0, vec![record(2)]);
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    assert_eq!(damages(log, None), Vec::<String>::new());
}

fn the_chain_holds_over_all_streams(opened: &Opened) {
    let log = opened.log.as_ref();
    for number in 0..6 {
        fill(log, if number % 2 == 0 { "shop" } else { "cart" }, number, number + 1);
    }
    let mut before = Digest([0; 32]);
    for r in all(log) {
        assert_eq!(r.prev_hash, before);
        before = chain_hash(before, r.global, &r.stream, r.seq, &r.record, r.payload_digest);
        assert_eq!(r.hash, before);
    }
}

fn an_old_epoch_is_fenced(opened: &Opened) {
    let log = opened.log.as_ref();
    fill(log, "shop", 0, 1);
    assert_eq!(log.take_lead("first").expect("taken"), 1);
    let refused = log.append(&stream("shop"), 1, 0, vec![record(1)]);
    assert_eq!(refused, Err(Error::Fenced { held: 0, current: 1 }));
    assert_eq!(log.take_lead("second").expect("taken"), 2);
    let refused = log.append(&stream("shop"), 1, 1, vec![record(1)]);
    assert_eq!(refused, Err(Error::Fenced { held: 1, current: 2 }));
    assert_eq!(log.append(&stream("shop"), 1, 2, vec![record(1)]).expect("appended").seq, 2);
    assert_eq!(damages(log, None), Vec::<String>::new());
}

fn snapshots_are_by_stream_and_format(opened: &Opened) {
    let log = opened.log.as_ref();
    fill(log, "shop", 0, 3);
    fill(log, "cart", 3, 4);
    assert_eq!(log.snapshot(&stream("shop"), 1).expect("asked"), None);
    log.keep_snapshot(&stream("shop"), 1, 2, b"two").expect("kept");
    log.keep_snapshot(&stream("cart"), 1, 1, b"").expect("kept");
    assert_eq!(log.snapshot(&stream("shop"), 1).expect("asked"), Some((2, b"two".to_vec())));
    assert_eq!(log.snapshot(&stream("cart"), 1).expect("asked"), Some((1, Vec::new())));
    assert_eq!(log.snapshot(&stream("shop"), 2).expect("asked"), None);
    log.keep_snapshot(&stream("shop"), 2, 1, b"new format").expect("kept");
    assert_eq!(log.snapshot(&stream("shop"), 2).expect("asked"), Some((1, b"new format".to_vec())));
    assert_eq!(damages(log, None), Vec::<String>::new());
}

fn a_snapshot_beyond_the_stream_is_none(opened: &Opened) {
    let log = opened.log.as_ref();
    fill(log, "shop", 0, 3);
    log.keep_snapshot(&stream("shop"), 1, 4, b"four").expect("kept");
    assert_eq!(log.snapshot(&stream("shop"), 1).expect("asked"), None);
}

fn an_older_snapshot_does_not_replace_a_newer(opened: &Opened) {
    let log = opened.log.as_ref();
    fill(log, "shop", 0, 3);
    log.keep_snapshot(&stream("shop"), 1, 3, b"three").expect("kept");
    log.keep_snapshot(&stream("shop"), 1, 2, b"two").expect("kept");
    assert_eq!(log.snapshot(&stream("shop"), 1).expect("asked"), Some((3, b"three".to_vec())));
}

fn a_kept_checkpoint_stays_good(opened: &Opened) {
    let log = opened.log.as_ref();
    let mut kept = Vec::new();
    for number in 0..20 {
        kept.push(log.checkpoint().expect("signed"));
        fill(log, "shop", number, number + 1);
    }
    for (size, checkpoint) in kept.iter().enumerate() {
        let verified = log.verify(Some(&checkpoint.note)).expect("verified");
        assert_eq!((verified.damages, verified.checkpoint), (vec![], Some(size as u64)));
    }
    let roots: std::collections::BTreeSet<Digest> = kept.iter().map(|one| one.root).collect();
    assert_eq!(roots.len(), kept.len());
}

fn a_foreign_or_forged_checkpoint_is_a_damage(opened: &Opened) {
    let log = opened.log.as_ref();
    fill(log, "shop", 0, 3);
    let note = log.checkpoint().expect("signed").note;
    let forged = note.replacen("\n3\n", "\n4\n", 1);
    for (bad, told) in [(forged.as_str(), "signature"), ("nonsense", "not a signed checkpoint")] {
        let found = damages(log, Some(bad));
        assert!(found.len() == 1 && found[0].contains(told), "{found:?}");
    }
}

fn odd_bytes_survive(opened: &Opened) {
    let log = opened.log.as_ref();
    let odd = NewRecord {
        actor: Actor::Person("a\0b \u{1f6eb}\n'; DROP TABLE records; --".to_owned()),
        origin: String::new(),
        reason: "\u{202e}\u{0}".to_owned(),
        dedup: Some("k\0\u{fffd}".to_owned()),
        kind: "never_seen".to_owned(),
        format: u16::MAX,
        payload: (0..=255).collect(),
        at: Timestamp(i64::MIN),
    };
    let empty = NewRecord { payload: Vec::new(), at: Timestamp(0), ..record(1) };
    let large = NewRecord { payload: vec![7; 3 << 20], ..record(2) };
    let given = vec![odd, empty, large];
    log.append(&stream("shop"), 0, 0, given.clone()).expect("appended");
    let read: Vec<NewRecord> = all(log).into_iter().map(|stored| stored.record).collect();
    assert!(read == given);
    assert_eq!(damages(log, None), Vec::<String>::new());
}

fn many_writers_lose_nothing(opened: &Opened) {
    const WRITERS: u64 = 8;
    const EACH: u64 = 25;
    let log = opened.log.as_ref();
    let begin = Barrier::new(WRITERS as usize);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let begin = &begin;
            scope.spawn(move || {
                begin.wait();
                // Two writers share a stream, so that they get into each other's way.
                let shared = stream(&format!("s{}", writer / 2));
                for number in 0..EACH {
                    let record = || keyed(writer * EACH + number, &format!("{writer}-{number}"));
                    let mut seq = 0;
                    loop {
                        match log.append(&shared, seq, 0, vec![record()]) {
                            Ok(_) => break,
                            Err(Error::Conflict { actual, .. }) => seq = actual,
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            });
        }
    });
    assert_eq!(all(log).len() as u64, WRITERS * EACH);
    assert_eq!(damages(log, None), Vec::<String>::new());
    for (_, seq) in log.streams().expect("listed") {
        assert_eq!(seq, 2 * EACH);
    }
}
