"""DuckDB's side of the loading benchmarks: makes the data, and does the same work. Reads a JSON request, prints a JSON answer."""
import json
import sys
import time

import duckdb

request = json.load(sys.stdin)
connection = duckdb.connect()
connection.execute("SET enable_progress_bar = false")
connection.execute(f"SET threads = {request['threads']}")
PARQUET = "(FORMAT parquet, COMPRESSION zstd)"
TYPES = "{'id': 'BIGINT', 'carrier': 'VARCHAR', 'origin': 'VARCHAR', 'day': 'DATE', 'at': 'TIMESTAMP', 'delay': 'INTEGER', 'distance': 'DOUBLE', 'note': 'VARCHAR'}"


def make_csv(rows, path):
    connection.execute(
        f"""COPY (SELECT i AS id, 'C' || (hash(i) % 20) AS carrier, 'O' || (hash(i + 1) % 300) AS origin,
                DATE '2013-01-01' + CAST(hash(i + 2) % 365 AS INTEGER) AS day,
                TIMESTAMP '2013-01-01' + to_seconds(CAST(hash(i + 3) % 31536000 AS INTEGER)) AS at,
                CAST(hash(i + 4) % 1000 AS INTEGER) - 100 AS delay, (hash(i + 5) % 1000000) / 7.0 AS distance,
                'a note of flight ' || (hash(i + 6) % 100000) AS note FROM range({rows}) AS t(i)) TO '{path}' (FORMAT csv, HEADER, COMPRESSION gzip)"""
    )
    return {}


def load_csv(path, to):
    start = time.perf_counter()
    connection.execute(f"COPY (SELECT * FROM read_csv('{path}', header = true, columns = {TYPES})) TO '{to}' {PARQUET}")
    seconds = time.perf_counter() - start
    rows, delay = connection.execute(f"SELECT count(*), sum(delay) FROM read_parquet('{to}')").fetchone()
    return {"seconds": seconds, "rows": rows, "sum": int(delay)}


def rows_of(first, rows, salt):
    return f"SELECT i AS id, CAST(hash(i + {salt}) % 1000000 AS BIGINT) AS value, 'name ' || (hash(i + {salt}) % 100000) AS name, (hash(i + {salt}) % 1000) / 8.0 AS amount FROM range({first}, {first + rows}) AS t(i)"


def make_base(rows, files, folder):
    each = rows // files
    for file in range(files):
        connection.execute(f"COPY ({rows_of(file * each, each, 0)}) TO '{folder}/base_{file}.parquet' {PARQUET}")
    return {}


def make_updates(rows, updates, salt, path):
    connection.execute(
        f"""COPY (SELECT * REPLACE (value + 1 AS value) FROM ({rows_of(0, rows, salt)}) WHERE hash(id + {salt}) % {rows // updates} = 0)
            TO '{path}' {PARQUET}"""
    )
    return {}


def merge(base, updates, to):
    start = time.perf_counter()
    connection.execute(
        f"""COPY (SELECT * FROM read_parquet('{base}') AS b ANTI JOIN read_parquet('{updates}') AS u USING (id)
            UNION ALL SELECT * FROM read_parquet('{updates}')) TO '{to}' {PARQUET}"""
    )
    seconds = time.perf_counter() - start
    rows, value = connection.execute(f"SELECT count(*), sum(value) FROM read_parquet('{to}')").fetchone()
    return {"seconds": seconds, "rows": rows, "sum": int(value)}


work = {"make_csv": make_csv, "load_csv": load_csv, "make_base": make_base, "make_updates": make_updates, "merge": merge}
print(json.dumps(work[request.pop("work")](**{key: value for key, value in request.items() if key != "threads"})))
