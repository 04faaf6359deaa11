-- A paused run starts nothing more until it is resumed. A run that is over, or being canceled, is not paused.
ALTER TABLE run ADD COLUMN paused INTEGER NOT NULL DEFAULT 0 CONSTRAINT run_paused CHECK (paused IN (0, 1));
