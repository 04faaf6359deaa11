-- Conventions of every table:
--   times are microseconds since 1970, UTC; `seq` is the number of the event that wrote the row;
--   an asset without partitions has the partition '' (never NULL: a NULL would not be equal to itself in a key);
--   JSON columns hold what serde writes for the Rust type of the same name.

CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What happened. All other tables but `meta` can be computed again from this one.
CREATE TABLE event (
    seq  INTEGER NOT NULL PRIMARY KEY,
    at   INTEGER NOT NULL,
    type TEXT NOT NULL,
    run  TEXT,
    json TEXT NOT NULL
) STRICT;

CREATE TABLE run (
    id           TEXT NOT NULL PRIMARY KEY,
    seq          INTEGER NOT NULL UNIQUE,
    status       TEXT NOT NULL
        CONSTRAINT run_status CHECK (status IN ('queued', 'running', 'canceling', 'succeeded', 'failed', 'canceled')),
    owner        TEXT NOT NULL CONSTRAINT run_owner CHECK (owner IN ('daemon', 'foreground')),
    trigger      TEXT NOT NULL,
    selection    TEXT NOT NULL,
    request      TEXT NOT NULL,
    submitted_at INTEGER NOT NULL,
    started_at   INTEGER,
    ended_at     INTEGER,
    CONSTRAINT run_ended CHECK ((status IN ('succeeded', 'failed', 'canceled')) = (ended_at IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX run_by_status ON run (status, seq);

-- Steps of a run counted by asset and status, so that a list of runs never counts steps.
CREATE TABLE run_asset (
    run        TEXT NOT NULL REFERENCES run (id),
    asset      TEXT NOT NULL,
    run_seq    INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    waiting    INTEGER NOT NULL DEFAULT 0 CONSTRAINT run_asset_waiting CHECK (waiting >= 0),
    running    INTEGER NOT NULL DEFAULT 0 CONSTRAINT run_asset_running CHECK (running >= 0),
    publishing INTEGER NOT NULL DEFAULT 0 CONSTRAINT run_asset_publishing CHECK (publishing >= 0),
    succeeded  INTEGER NOT NULL DEFAULT 0 CONSTRAINT run_asset_succeeded CHECK (succeeded >= 0),
    failed     INTEGER NOT NULL DEFAULT 0 CONSTRAINT run_asset_failed CHECK (failed >= 0),
    skipped    INTEGER NOT NULL DEFAULT 0 CONSTRAINT run_asset_skipped CHECK (skipped >= 0),
    canceled   INTEGER NOT NULL DEFAULT 0 CONSTRAINT run_asset_canceled CHECK (canceled >= 0),
    PRIMARY KEY (run, asset)
) STRICT, WITHOUT ROWID;

CREATE INDEX run_asset_by_asset ON run_asset (asset, run_seq);

-- One partition of one asset in one run. `position` is its place in the plan, upstream first.
CREATE TABLE step (
    run        TEXT NOT NULL REFERENCES run (id),
    asset      TEXT NOT NULL,
    partition  TEXT NOT NULL,
    position   INTEGER NOT NULL,
    status     TEXT NOT NULL CONSTRAINT step_status CHECK (status IN
        ('waiting', 'running', 'publishing', 'succeeded', 'failed', 'skipped', 'canceled')),
    reason     TEXT NOT NULL,
    attempt    TEXT,
    number     INTEGER NOT NULL DEFAULT 0,
    rows       INTEGER,
    failure    TEXT,
    because    TEXT,
    requeued   TEXT,
    started_at INTEGER,
    ended_at   INTEGER,
    PRIMARY KEY (run, asset, partition),
    CONSTRAINT step_ended CHECK ((status IN ('succeeded', 'failed', 'skipped', 'canceled')) = (ended_at IS NOT NULL)),
    CONSTRAINT step_attempt CHECK (status NOT IN ('running', 'publishing') OR attempt IS NOT NULL),
    CONSTRAINT step_failure CHECK ((status = 'failed') = (failure IS NOT NULL)),
    CONSTRAINT step_because CHECK ((status = 'skipped') = (because IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX step_by_partition ON step (asset, partition, run);
CREATE INDEX step_failed ON step (run, asset, partition) WHERE status = 'failed';

CREATE TABLE attempt (
    id         TEXT NOT NULL PRIMARY KEY,
    seq        INTEGER NOT NULL UNIQUE,
    run        TEXT NOT NULL REFERENCES run (id),
    asset      TEXT NOT NULL,
    number     INTEGER NOT NULL CONSTRAINT attempt_number CHECK (number >= 1),
    partitions TEXT NOT NULL,
    inputs     TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER,
    failure    TEXT,
    CONSTRAINT attempt_failure CHECK (failure IS NULL OR ended_at IS NOT NULL)
) STRICT, WITHOUT ROWID;

CREATE INDEX attempt_by_run ON attempt (run, asset, seq);
CREATE INDEX attempt_open ON attempt (run) WHERE ended_at IS NULL;

-- The attempts at one partition, newest last, over all runs.
CREATE TABLE attempt_step (
    asset     TEXT NOT NULL,
    partition TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    attempt   TEXT NOT NULL,
    failure   TEXT,
    PRIMARY KEY (asset, partition, seq)
) STRICT, WITHOUT ROWID;

-- Where each partition stands: its current materialization (NULL before the first) and its latest failure.
CREATE TABLE asset_partition (
    asset        TEXT NOT NULL,
    partition    TEXT NOT NULL,
    seq          INTEGER,
    run          TEXT,
    at           INTEGER,
    fingerprint  TEXT,
    data_version TEXT,
    inputs       TEXT,
    snapshot_id  INTEGER,
    rows         INTEGER,
    bytes        INTEGER,
    failed       INTEGER NOT NULL CONSTRAINT asset_partition_failed CHECK (failed IN (0, 1)),
    failed_seq   INTEGER,
    failed_run   TEXT,
    failed_at    INTEGER,
    failure      TEXT,
    PRIMARY KEY (asset, partition),
    CONSTRAINT asset_partition_known CHECK (seq IS NOT NULL OR failed_seq IS NOT NULL),
    CONSTRAINT asset_partition_newest CHECK (failed = (failed_seq IS NOT NULL AND failed_seq > coalesce(seq, 0)))
) STRICT, WITHOUT ROWID;

CREATE INDEX asset_partition_by_failed ON asset_partition (asset, partition) WHERE failed = 1;

-- Sums over `asset_partition`, so that a list of assets never counts partitions.
CREATE TABLE asset_summary (
    asset            TEXT NOT NULL PRIMARY KEY,
    materialized     INTEGER NOT NULL CONSTRAINT asset_summary_materialized CHECK (materialized >= 0),
    failed           INTEGER NOT NULL CONSTRAINT asset_summary_failed CHECK (failed >= 0),
    rows             INTEGER NOT NULL CONSTRAINT asset_summary_rows CHECK (rows >= 0),
    bytes            INTEGER NOT NULL CONSTRAINT asset_summary_bytes CHECK (bytes >= 0),
    materializations INTEGER NOT NULL,
    last_seq         INTEGER,
    last_at          INTEGER,
    last_run         TEXT,
    failed_at        INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE materialization (
    seq          INTEGER NOT NULL PRIMARY KEY,
    at           INTEGER NOT NULL,
    asset        TEXT NOT NULL,
    partition    TEXT NOT NULL,
    run          TEXT NOT NULL,
    attempt      TEXT NOT NULL,
    fingerprint  TEXT NOT NULL,
    data_version TEXT NOT NULL,
    inputs       TEXT NOT NULL,
    snapshot_id  INTEGER,
    rows         INTEGER NOT NULL,
    bytes        INTEGER NOT NULL,
    metadata     TEXT NOT NULL
) STRICT;

CREATE INDEX materialization_by_asset ON materialization (asset, seq);
CREATE INDEX materialization_by_partition ON materialization (asset, partition, seq);

-- What checks found, on rows that were published and on rows that were kept back (`published` = 0).
CREATE TABLE check_result (
    seq          INTEGER NOT NULL,
    ordinal      INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    asset        TEXT NOT NULL,
    partition    TEXT NOT NULL,
    run          TEXT NOT NULL,
    name         TEXT NOT NULL,
    kind         TEXT NOT NULL,
    severity     TEXT NOT NULL CONSTRAINT check_result_severity CHECK (severity IN ('warn', 'error')),
    passed       INTEGER NOT NULL CONSTRAINT check_result_passed CHECK (passed IN (0, 1)),
    published    INTEGER NOT NULL CONSTRAINT check_result_published CHECK (published IN (0, 1)),
    figure       REAL,
    expected     TEXT NOT NULL,
    failing_rows INTEGER,
    sample       TEXT,
    error        TEXT,
    PRIMARY KEY (seq, ordinal)
) STRICT, WITHOUT ROWID;

CREATE INDEX check_result_by_name ON check_result (asset, name, seq);

-- When the sources of an ingest asset were last looked at; present also when there was no file.
CREATE TABLE source (
    asset TEXT NOT NULL PRIMARY KEY,
    seq   INTEGER NOT NULL,
    at    INTEGER NOT NULL,
    files INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE source_file (
    asset       TEXT NOT NULL REFERENCES source (asset),
    path        TEXT NOT NULL,
    bytes       INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    sha256      TEXT NOT NULL,
    partitions  TEXT,
    PRIMARY KEY (asset, path)
) STRICT, WITHOUT ROWID;

CREATE TABLE model_version (
    model       TEXT NOT NULL,
    version     INTEGER NOT NULL CONSTRAINT model_version_number CHECK (version >= 1),
    seq         INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    run         TEXT NOT NULL,
    artifact    TEXT NOT NULL,
    sha256      TEXT NOT NULL,
    algorithm   TEXT NOT NULL,
    metrics     TEXT NOT NULL,
    parameters  TEXT NOT NULL,
    details     TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    inputs      TEXT NOT NULL,
    PRIMARY KEY (model, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE model_alias (
    model   TEXT NOT NULL,
    alias   TEXT NOT NULL,
    version INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    PRIMARY KEY (model, alias),
    FOREIGN KEY (model, version) REFERENCES model_version (model, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE model_alias_move (
    model        TEXT NOT NULL,
    seq          INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    alias        TEXT NOT NULL,
    from_version INTEGER,
    to_version   INTEGER NOT NULL,
    reason       TEXT NOT NULL,
    PRIMARY KEY (model, seq)
) STRICT, WITHOUT ROWID;

-- The newest pointer of each table that this program moved: what `iceberg_tables` says, and the snapshot it shows.
CREATE TABLE table_pointer (
    asset             TEXT NOT NULL PRIMARY KEY,
    metadata_location TEXT NOT NULL,
    snapshot_id       INTEGER,
    seq               INTEGER NOT NULL,
    at                INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The two tables of the Iceberg SQL (JDBC) catalog, schema V1, word for word: other programs open this file by them.
CREATE TABLE iceberg_tables (
    catalog_name               VARCHAR(255) NOT NULL,
    table_namespace            VARCHAR(255) NOT NULL,
    table_name                 VARCHAR(255) NOT NULL,
    metadata_location          VARCHAR(1000),
    previous_metadata_location VARCHAR(1000),
    iceberg_type               VARCHAR(5) DEFAULT 'TABLE',
    PRIMARY KEY (catalog_name, table_namespace, table_name)
);

CREATE TABLE iceberg_namespace_properties (
    catalog_name   VARCHAR(255) NOT NULL,
    namespace      VARCHAR(255) NOT NULL,
    property_key   VARCHAR(255) NOT NULL,
    property_value VARCHAR(1000) NOT NULL,
    PRIMARY KEY (catalog_name, namespace, property_key)
);
