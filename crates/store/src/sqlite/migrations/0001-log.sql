-- The log. What is derived (streams, tree) is kept beside the records in the same transaction, so
-- that an append reads no more than its own stream; `verify` compares both with the records.

CREATE TABLE records (
    global         INTEGER PRIMARY KEY,
    stream         TEXT    NOT NULL,
    seq            INTEGER NOT NULL,
    at             INTEGER NOT NULL, -- microseconds since 1970, UTC
    actor_kind     TEXT    NOT NULL, -- 'person' or 'engine'
    actor_name     TEXT,             -- of a person
    origin         TEXT    NOT NULL,
    reason         TEXT    NOT NULL,
    dedup          TEXT,
    kind           TEXT    NOT NULL,
    format         INTEGER NOT NULL,
    payload_digest BLOB    NOT NULL,
    prev_hash      BLOB    NOT NULL,
    hash           BLOB    NOT NULL
) STRICT;

CREATE UNIQUE INDEX records_by_stream ON records (stream, seq);
CREATE UNIQUE INDEX records_by_dedup ON records (stream, dedup) WHERE dedup IS NOT NULL;

-- Payloads apart from their records, which hold only the digest, so that one can be taken out
-- without breaking the chain. By record and not by digest: neighbours are read together, and
-- expiring one record's payload leaves alone another that happens to have the same bytes.
CREATE TABLE payloads (
    global        INTEGER PRIMARY KEY,
    bytes         BLOB,  -- NULL once withheld
    withheld_why  TEXT,
    withheld_seal BLOB   -- by the log's key over record, digest and reason
) STRICT;

CREATE TABLE streams (
    stream TEXT    NOT NULL PRIMARY KEY,
    seq    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row: the Merkle tree over the record hashes, by its frontier.
CREATE TABLE tree (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    size     INTEGER NOT NULL,
    frontier BLOB    NOT NULL
) STRICT;
INSERT INTO tree (id, size, frontier) VALUES (1, 0, x'');

-- Every lead ever taken; the last epoch is in force.
CREATE TABLE leases (
    epoch  INTEGER PRIMARY KEY,
    owner  TEXT NOT NULL,
    digest BLOB NOT NULL -- over epoch and owner
) STRICT;

-- Disposable.
CREATE TABLE snapshots (
    stream TEXT    NOT NULL PRIMARY KEY,
    format INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    bytes  BLOB    NOT NULL,
    digest BLOB    NOT NULL -- over stream, format, seq and bytes
) STRICT;
