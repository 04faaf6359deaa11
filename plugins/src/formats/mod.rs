//! Raw files (CSV, TSV, JSON lines, Parquet; plain or compressed) to Arrow record batches.
