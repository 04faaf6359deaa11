-- How each asset with a freshness policy stands by it.
CREATE TABLE freshness (
    asset   TEXT NOT NULL PRIMARY KEY,
    seq     INTEGER NOT NULL,
    state   TEXT NOT NULL CONSTRAINT freshness_state CHECK (state IN ('unknown', 'on_time', 'warning', 'late')),
    since   INTEGER NOT NULL,
    watched INTEGER NOT NULL,
    made_at INTEGER,
    late_at INTEGER,
    reason  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- How assets went from one state of freshness to another.
CREATE TABLE freshness_change (
    asset    TEXT NOT NULL,
    seq      INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    previous TEXT,
    state    TEXT NOT NULL,
    reason   TEXT NOT NULL,
    PRIMARY KEY (asset, seq)
) STRICT, WITHOUT ROWID;

-- Whose automation is paused; '' stands for all of it.
CREATE TABLE automation_pause (
    asset TEXT NOT NULL PRIMARY KEY,
    seq   INTEGER NOT NULL,
    at    INTEGER NOT NULL,
    by    TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Partitions that automation leaves alone until something that they are made from changes.
CREATE TABLE automation_hold (
    asset     TEXT NOT NULL,
    partition TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    version   TEXT NOT NULL,
    because   TEXT NOT NULL CONSTRAINT automation_hold_because CHECK (because IN ('failed', 'canceled', 'still_stale')),
    PRIMARY KEY (asset, partition)
) STRICT, WITHOUT ROWID;

-- What each decision of automation requested of an asset, and why.
CREATE TABLE automation_request (
    asset      TEXT NOT NULL,
    seq        INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    run        TEXT NOT NULL,
    rule       TEXT NOT NULL,
    partitions TEXT NOT NULL,
    evaluation TEXT NOT NULL,
    left_out   TEXT NOT NULL,
    PRIMARY KEY (asset, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX automation_request_newest ON automation_request (seq, asset);

CREATE INDEX automation_request_by_run ON automation_request (run, asset);
