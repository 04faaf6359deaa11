-- Tables that were taken back to what they were: from which snapshot to which, by whom and why.
CREATE TABLE rollback (
    asset         TEXT NOT NULL,
    seq           INTEGER NOT NULL,
    at            INTEGER NOT NULL,
    snapshot_id   INTEGER NOT NULL,
    to_snapshot   INTEGER NOT NULL,
    from_snapshot INTEGER,
    partitions    INTEGER NOT NULL,
    by            TEXT NOT NULL,
    note          TEXT,
    PRIMARY KEY (asset, seq)
) STRICT, WITHOUT ROWID;

-- Partitions that show what a rollback brought back, until they are made anew. `removed`: that is nothing.
CREATE TABLE partition_rollback (
    asset     TEXT NOT NULL,
    partition TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    rollback  INTEGER NOT NULL,
    version   TEXT NOT NULL,
    removed   INTEGER NOT NULL CONSTRAINT partition_rollback_removed CHECK (removed IN (0, 1)),
    PRIMARY KEY (asset, partition)
) STRICT, WITHOUT ROWID;
