-- What went wrong, once for each alert that is about it, and whether it is over.
CREATE TABLE alert (
    seq      INTEGER NOT NULL PRIMARY KEY,
    at       INTEGER NOT NULL,
    alert    TEXT NOT NULL,
    trouble  TEXT NOT NULL CONSTRAINT alert_trouble CHECK (trouble IN
             ('run_failed', 'check_failed', 'check_warned', 'freshness_late', 'schedule_missed', 'sensor_failing')),
    subject  TEXT NOT NULL,
    asset    TEXT,
    run      TEXT,
    text     TEXT NOT NULL,
    ended_at INTEGER,
    ended    TEXT CONSTRAINT alert_end CHECK (ended IN ('recovered', 'removed')),
    CONSTRAINT alert_ended CHECK ((ended_at IS NULL) = (ended IS NULL))
) STRICT;

CREATE UNIQUE INDEX alert_open ON alert (alert, trouble, subject) WHERE ended_at IS NULL;

-- What is still to be told; a message takes all that waits of its alert.
CREATE TABLE alert_line (
    seq     INTEGER NOT NULL PRIMARY KEY,
    alert   TEXT NOT NULL,
    json    TEXT NOT NULL
) STRICT;

CREATE INDEX alert_line_alert ON alert_line (alert);

-- What was told at once, and what became of it.
CREATE TABLE alert_message (
    seq      INTEGER NOT NULL PRIMARY KEY,
    id       TEXT NOT NULL CONSTRAINT alert_message_id UNIQUE,
    at       INTEGER NOT NULL,
    alert    TEXT NOT NULL,
    json     TEXT NOT NULL,
    status   TEXT NOT NULL CONSTRAINT alert_message_status CHECK (status IN ('waiting', 'delivered', 'failed')),
    tries    INTEGER NOT NULL,
    error    TEXT,
    next_at  INTEGER,
    ended_at INTEGER,
    CONSTRAINT alert_message_waits CHECK ((status = 'waiting') = (ended_at IS NULL))
) STRICT;

CREATE UNIQUE INDEX alert_message_waiting ON alert_message (alert) WHERE status = 'waiting';
CREATE INDEX alert_message_alert ON alert_message (alert, seq);
