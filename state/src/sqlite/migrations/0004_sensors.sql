-- How each sensor was last declared, and up to where it has read.
CREATE TABLE sensor (
    name      TEXT NOT NULL PRIMARY KEY,
    seq       INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    watches   TEXT NOT NULL,
    scope     TEXT NOT NULL,
    declared  INTEGER NOT NULL CONSTRAINT sensor_declared CHECK (declared IN (0, 1)),
    paused_at INTEGER,
    paused_by TEXT,
    cursor    TEXT,
    ticks     INTEGER NOT NULL CONSTRAINT sensor_ticks CHECK (ticks >= 0),
    failures  INTEGER NOT NULL CONSTRAINT sensor_failures CHECK (failures >= 0),
    lag       INTEGER NOT NULL CONSTRAINT sensor_lag CHECK (lag >= 0),
    CONSTRAINT sensor_paused CHECK ((paused_at IS NULL) = (paused_by IS NULL))
) STRICT, WITHOUT ROWID;

-- One look of a sensor that found or changed something, and what became of it.
CREATE TABLE sensor_tick (
    sensor   TEXT NOT NULL REFERENCES sensor (name),
    number   INTEGER NOT NULL,
    status   TEXT NOT NULL CONSTRAINT sensor_tick_status CHECK (status IN ('requested', 'skipped', 'failed')),
    reason   TEXT,
    run      TEXT REFERENCES run (id),
    asked_by TEXT,
    events   INTEGER NOT NULL CONSTRAINT sensor_tick_events CHECK (events >= 0),
    lag      INTEGER NOT NULL,
    seq      INTEGER NOT NULL UNIQUE,
    at       INTEGER NOT NULL,
    PRIMARY KEY (sensor, number),
    CONSTRAINT sensor_tick_run CHECK ((status = 'requested') = (run IS NOT NULL)),
    CONSTRAINT sensor_tick_reason CHECK (status = 'requested' OR reason IS NOT NULL)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX sensor_tick_by_run ON sensor_tick (run) WHERE run IS NOT NULL;

-- What was told of. The key is what makes a trigger start at most one run.
CREATE TABLE sensor_event (
    sensor     TEXT NOT NULL,
    key        TEXT NOT NULL,
    tick       INTEGER NOT NULL,
    what       TEXT NOT NULL,
    partitions TEXT NOT NULL,
    payload    TEXT,
    PRIMARY KEY (sensor, key),
    FOREIGN KEY (sensor, tick) REFERENCES sensor_tick (sensor, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX sensor_event_by_tick ON sensor_event (sensor, tick);

-- Sensors ask which runs ended.
CREATE INDEX event_run_ended ON event (seq) WHERE type = 'run_ended';
