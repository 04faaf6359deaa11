-- A step that failed and is tried again waits: how often that was so, and until when it waits now.
ALTER TABLE step ADD COLUMN retries INTEGER NOT NULL DEFAULT 0 CONSTRAINT step_retries CHECK (retries >= 0);
ALTER TABLE step ADD COLUMN retry_at INTEGER CONSTRAINT step_retry_at CHECK (retry_at IS NULL OR status = 'waiting');

-- The partitions that an attempt spent too long on, once it did.
ALTER TABLE attempt ADD COLUMN timed_out TEXT;
