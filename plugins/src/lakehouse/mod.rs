//! Iceberg tables: storage, scan, write and commit.
