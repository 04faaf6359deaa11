-- Partitions of before a table was cut in another way, each time that it was: what made them says nothing of the table any more.
CREATE TABLE partition_cut (
    asset     TEXT NOT NULL,
    partition TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    PRIMARY KEY (asset, partition, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX partition_cut_by_seq ON partition_cut (seq, asset);
