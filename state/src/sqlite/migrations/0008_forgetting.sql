-- The tick of a sensor outlives its run where its keys are still remembered; and it says which event forgot them.
CREATE TABLE sensor_tick_8 (
    sensor    TEXT NOT NULL REFERENCES sensor (name),
    number    INTEGER NOT NULL,
    status    TEXT NOT NULL CONSTRAINT sensor_tick_status CHECK (status IN ('requested', 'skipped', 'failed')),
    reason    TEXT,
    run       TEXT,
    asked_by  TEXT,
    events    INTEGER NOT NULL CONSTRAINT sensor_tick_events CHECK (events >= 0),
    lag       INTEGER NOT NULL,
    seq       INTEGER NOT NULL UNIQUE,
    at        INTEGER NOT NULL,
    forgotten INTEGER CONSTRAINT sensor_tick_forgotten CHECK (forgotten > seq),
    PRIMARY KEY (sensor, number),
    CONSTRAINT sensor_tick_run CHECK ((status = 'requested') = (run IS NOT NULL)),
    CONSTRAINT sensor_tick_reason CHECK (status = 'requested' OR reason IS NOT NULL)
) STRICT, WITHOUT ROWID;

INSERT INTO sensor_tick_8 (sensor, number, status, reason, run, asked_by, events, lag, seq, at)
SELECT sensor, number, status, reason, run, asked_by, events, lag, seq, at FROM sensor_tick;

CREATE TABLE sensor_event_8 (
    sensor     TEXT NOT NULL,
    key        TEXT NOT NULL,
    tick       INTEGER NOT NULL,
    what       TEXT NOT NULL,
    partitions TEXT NOT NULL,
    payload    TEXT,
    PRIMARY KEY (sensor, key),
    FOREIGN KEY (sensor, tick) REFERENCES sensor_tick_8 (sensor, number)
) STRICT, WITHOUT ROWID;

INSERT INTO sensor_event_8 SELECT sensor, key, tick, what, partitions, payload FROM sensor_event;

-- What refers to another table goes before it.
DROP TABLE sensor_event;
DROP TABLE sensor_tick;
ALTER TABLE sensor_tick_8 RENAME TO sensor_tick;
ALTER TABLE sensor_event_8 RENAME TO sensor_event;

CREATE UNIQUE INDEX sensor_tick_by_run ON sensor_tick (run) WHERE run IS NOT NULL;
CREATE INDEX sensor_event_by_tick ON sensor_event (sensor, tick);

-- Which event says that it is over.
ALTER TABLE alert ADD COLUMN ended_seq INTEGER CONSTRAINT alert_ended_seq CHECK (ended_seq IS NULL OR ended IS NOT NULL);

UPDATE alert SET ended_seq =
    (SELECT min(e.seq) FROM event e
     WHERE e.type = 'alert_ended' AND e.seq > alert.seq AND json_extract(e.json, '$.alert') = alert.alert
       AND json_extract(e.json, '$.line.trouble') = alert.trouble AND json_extract(e.json, '$.line.subject') = alert.subject)
WHERE ended IS NOT NULL;

CREATE UNIQUE INDEX alert_by_end ON alert (ended_seq) WHERE ended_seq IS NOT NULL;
