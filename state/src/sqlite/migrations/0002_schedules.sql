-- How each schedule was last declared, and up to where its instants are accounted for.
CREATE TABLE schedule (
    name      TEXT NOT NULL PRIMARY KEY,
    seq       INTEGER NOT NULL,
    times     TEXT NOT NULL,
    declared  INTEGER NOT NULL CONSTRAINT schedule_declared CHECK (declared IN (0, 1)),
    paused_at INTEGER,
    paused_by TEXT,
    accounted INTEGER NOT NULL,
    CONSTRAINT schedule_paused CHECK ((paused_at IS NULL) = (paused_by IS NULL))
) STRICT, WITHOUT ROWID;

-- One instant of a schedule, or a stretch of instants that all came to the same.
CREATE TABLE tick (
    schedule TEXT NOT NULL REFERENCES schedule (name),
    instant  INTEGER NOT NULL,
    last     INTEGER NOT NULL,
    count    INTEGER NOT NULL CONSTRAINT tick_count CHECK (count >= 1),
    status   TEXT NOT NULL CONSTRAINT tick_status CHECK (status IN ('requested', 'skipped', 'missed', 'failed')),
    reason   TEXT,
    run      TEXT REFERENCES run (id),
    by_hand  INTEGER NOT NULL CONSTRAINT tick_by_hand CHECK (by_hand IN (0, 1)),
    seq      INTEGER NOT NULL UNIQUE,
    at       INTEGER NOT NULL,
    PRIMARY KEY (schedule, instant),
    CONSTRAINT tick_stretch CHECK (last >= instant AND (count > 1) = (last > instant)),
    CONSTRAINT tick_run CHECK ((status = 'requested') = (run IS NOT NULL)),
    CONSTRAINT tick_alone CHECK (count = 1 OR status IN ('skipped', 'missed')),
    CONSTRAINT tick_reason CHECK (status = 'requested' OR reason IS NOT NULL)
) STRICT, WITHOUT ROWID;

CREATE INDEX tick_by_schedule ON tick (schedule, seq);
CREATE INDEX tick_by_run ON tick (run) WHERE run IS NOT NULL;
