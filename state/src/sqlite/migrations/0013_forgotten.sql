-- The newest materialization of a partition that retention has removed: what made it before is only known to have made what a snapshot
-- shows if nothing that is forgotten came between. Of what was removed before this was kept, all that is known is up to where.
CREATE TABLE forgotten_materialization (
    asset     TEXT NOT NULL,
    partition TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    PRIMARY KEY (asset, partition)
) STRICT, WITHOUT ROWID;

INSERT INTO forgotten_materialization (asset, partition, seq)
SELECT DISTINCT m.asset, m.partition, CAST(r.value AS INTEGER)
FROM materialization m JOIN meta r ON r.key = 'retention_to';
