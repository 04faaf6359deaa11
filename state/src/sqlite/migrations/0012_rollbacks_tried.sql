-- The attempt in vain after which a partition is no longer left as a rollback brought it back; NULL while there was none. A step
-- that its owner left unfinished is not one.
ALTER TABLE partition_rollback ADD COLUMN tried INTEGER;

UPDATE partition_rollback SET tried = (
    SELECT min(e.seq) FROM event e
    WHERE e.seq > partition_rollback.seq AND e.type = 'step_failed' AND json_extract(e.json, '$.attempt') IS NOT NULL
      AND json_extract(e.json, '$.step.asset') = partition_rollback.asset
      AND coalesce(json_extract(e.json, '$.step.partition'), '') = partition_rollback.partition);
