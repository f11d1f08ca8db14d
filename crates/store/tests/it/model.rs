//! The log on SQLite does what the log in memory does, whatever is asked of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use proptest::prelude::*;
use taxiway_engine::ports::log::{Error, Log};
use taxiway_model::record::{Actor, NewRecord};
use taxiway_model::time::Timestamp;
use taxiway_store::memory;

use crate::samples::{all, damages, folder, open, stream};

const STREAMS: [&str; 3] = ["shop", "cart", "mail"];

/// One thing a writer asks for. Writers that have not seen the stream's end are off by something.
#[derive(Debug, Clone)]
enum Ask {
    Append { stream: usize, off: i64, epoch_off: u64, records: Vec<NewRecord> },
    Lead,
    Snapshot { stream: usize, format: u32, seq: u64 },
    Read { stream: usize, after: u64, limit: usize },
    ReadAll { after: u64, limit: usize },
    Reopen,
}

fn new_record() -> impl Strategy<Value = NewRecord> {
    let dedup = prop::option::weighted(0.6, (0_u8..6).prop_map(|key| format!("k{key}")));
    (-50_i64..50, any::<bool>(), "\\PC{0,12}", dedup, prop::collection::vec(any::<u8>(), 0..40)).prop_map(
        |(at, by_engine, reason, dedup, payload)| NewRecord {
            at: Timestamp(at),
            actor: if by_engine { Actor::Engine } else { Actor::Person(reason.clone()) },
            origin: "api".to_owned(),
            reason,
            dedup,
            kind: "kind".to_owned(),
            format: 3,
            payload,
        },
    )
}

fn ask() -> impl Strategy<Value = Ask> {
    let off = prop_oneof![6 => Just(0_i64), 1 => -2_i64..3];
    let epoch_off = prop_oneof![8 => Just(0_u64), 1 => 1_u64..3];
    let records = prop::collection::vec(new_record(), 0..4);
    prop_oneof![
        8 => (0..3_usize, off, epoch_off, records)
            .prop_map(|(stream, off, epoch_off, records)| Ask::Append { stream, off, epoch_off, records }),
        1 => Just(Ask::Lead),
        2 => (0..3_usize, 1..3_u32, 0..12_u64)
            .prop_map(|(stream, format, seq)| Ask::Snapshot { stream, format, seq }),
        2 => (0..3_usize, 0..8_u64, 0..6_usize)
            .prop_map(|(stream, after, limit)| Ask::Read { stream, after, limit }),
        1 => (0..20_u64, 0..9_usize).prop_map(|(after, limit)| Ask::ReadAll { after, limit }),
        1 => Just(Ask::Reopen),
    ]
}

/// What a log answers, as text that compares.
fn answer(log: &dyn Log, ask: &Ask, epoch: u64) -> Result<String, Error> {
    Ok(match ask {
        Ask::Append { stream: number, off, epoch_off, records } => {
            let stream = stream(STREAMS[*number]);
            let seq =
                log.streams()?.into_iter().find(|(found, _)| *found == stream).map_or(0, |(_, seq)| seq);
            let expected = seq.saturating_add_signed(*off);
            format!("{:?}", log.append(&stream, expected, epoch + epoch_off, records.clone())?)
        }
        Ask::Lead => format!("{:?}", log.take_lead("anyone")?),
        Ask::Snapshot { stream: number, format, seq } => {
            log.keep_snapshot(&stream(STREAMS[*number]), *format, *seq, &seq.to_be_bytes())?;
            let kept: Result<Vec<_>, Error> =
                (1..3).map(|format| log.snapshot(&stream(STREAMS[*number]), format)).collect();
            format!("{:?}", kept?)
        }
        Ask::Read { stream: number, after, limit } => {
            format!("{:?}", log.read(&stream(STREAMS[*number]), *after, *limit)?)
        }
        Ask::ReadAll { after, limit } => format!("{:?}", log.read_all(*after, *limit)?),
        Ask::Reopen => String::new(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_interleaving_has_the_same_outcome_as_in_memory(asks in prop::collection::vec(ask(), 1..40)) {
        let dir = folder();
        let (mut log, model) = (Some(open(dir.path())), memory::Store::new());
        let mut epoch = 0;
        for ask in &asks {
            if matches!(ask, Ask::Reopen) {
                log = None;
                log = log.or_else(|| Some(open(dir.path())));
            }
            let log: &dyn Log = log.as_ref().expect("open");
            prop_assert_eq!(answer(log, ask, epoch), answer(&model, ask, epoch), "{:?}", ask);
            epoch += u64::from(matches!(ask, Ask::Lead));
        }
        let log = log.expect("open");
        prop_assert_eq!(all(&log), all(&model));
        prop_assert_eq!(log.streams(), model.streams());
        let (ours, theirs) = (log.checkpoint().expect("signed"), model.checkpoint().expect("signed"));
        prop_assert_eq!((ours.size, ours.root), (theirs.size, theirs.root));
        prop_assert_eq!(damages(&log, Some(&ours.note)), Vec::<String>::new());
    }
}

/// Several writers at once, with readers beside them: what came out is what the same appends, one
/// after the other in the order of the log, give in memory.
#[test]
fn writers_at_once_are_as_if_one_after_the_other() {
    const WRITERS: u64 = 6;
    const EACH: u64 = 40;
    let dir = folder();
    let log = open(dir.path());
    let running = AtomicU64::new(WRITERS);
    thread::scope(|scope| {
        let (log, running) = (&log, &running);
        for writer in 0..WRITERS {
            scope.spawn(move || {
                for number in 0..EACH {
                    append_until_taken(log, writer, number);
                }
                running.fetch_sub(1, Ordering::SeqCst);
            });
        }
        for _ in 0..6 {
            scope.spawn(move || {
                while running.load(Ordering::SeqCst) > 0 {
                    // Checked while it is read: places and hashes follow from each other at every moment.
                    all(log);
                    log.streams().expect("listed");
                }
            });
        }
    });
    let records = all(&log);
    assert_eq!(records.len() as u64, WRITERS * EACH);
    let model = memory::Store::new();
    for stored in &records {
        let again = model.append(&stored.stream, stored.seq - 1, 0, vec![stored.record.clone()]);
        assert_eq!(&again.expect("appended").records[0], stored);
    }
    assert_eq!(model.checkpoint().expect("signed").root, log.checkpoint().expect("signed").root);
}

fn append_until_taken(log: &dyn Log, writer: u64, number: u64) {
    let shared = stream(STREAMS[(writer % 3) as usize]);
    let key = format!("{writer}-{number}");
    let mut expected = 0;
    let record = || NewRecord { dedup: Some(key.clone()), ..crate::samples::record(number) };
    while let Err(error) = log.append(&shared, expected, 0, vec![record()]) {
        match error {
            Error::Conflict { actual, .. } => expected = actual,
            other => panic!("{other}"),
        }
    }
}
