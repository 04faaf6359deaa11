-- A partition is left alone too where another was not made that is published together with it.
CREATE TABLE automation_hold_14 (
    asset     TEXT NOT NULL,
    partition TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    version   TEXT NOT NULL,
    because   TEXT NOT NULL
        CONSTRAINT automation_hold_because CHECK (because IN ('failed', 'canceled', 'still_stale', 'together')),
    PRIMARY KEY (asset, partition)
) STRICT, WITHOUT ROWID;

INSERT INTO automation_hold_14 SELECT asset, partition, seq, at, version, because FROM automation_hold;
DROP TABLE automation_hold;
ALTER TABLE automation_hold_14 RENAME TO automation_hold;
