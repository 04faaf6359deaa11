"""DuckDB's side of the point-in-time benchmark: reads a JSON request, prints a JSON answer."""
import json
import sys
import time

import duckdb

request = json.load(sys.stdin)
connection = duckdb.connect(config={"threads": request["threads"]})
connection.execute("SET enable_progress_bar = false")
query = f"""
    SELECT count(*), count(f.value), sum(f.value), sum(f.other)
    FROM read_parquet('{request["labels"]}') l
    ASOF LEFT JOIN read_parquet('{request["features"]}') f ON l.id = f.id AND l.at >= f.ts
"""
start = time.perf_counter()
rows, found, value, other = connection.execute(query).fetchone()
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "rows": rows, "found": found, "value": int(value or 0), "other": int(other or 0)}))
