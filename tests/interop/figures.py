"""What is told of a table: the same figures from every reader, so that two of them agree only if both read the same rows.

Each reader works in an SQL of its own. A dialect says how that SQL spells the few expressions that are not the same everywhere.
"""

import json
import os
import sqlite3
import sys

CATALOG = "millpond"


def store():
    """The S3-compatible store of MILLPOND_S3 ("ENDPOINT REGION BUCKET ACCESS_KEY SECRET_KEY …"), or None for tables on disk."""
    told = os.environ.get("MILLPOND_S3")
    if told is None:
        return None
    endpoint, region, _bucket, key, secret = told.split()[:5]
    return {"endpoint": endpoint, "region": region, "key": key, "secret": secret}


# How many snapshots of a table are read, row by row: the first, the last, and some between.
SNAPSHOTS_READ = 4

# Kind of a column → how its values become whole numbers that can be added up, and their sum in a type that does not overflow.
DUCKDB = {
    "date": "date_diff('day', DATE '1970-01-01', {})",
    "timestamp": "epoch_us({})",
    "length": "strlen({})",
    "wide": "{}",
}
DATAFUSION = {
    "date": "CAST({} AS INT)",
    "timestamp": "CAST({} AS BIGINT)",
    "length": "octet_length({})",
    "wide": "CAST({} AS DECIMAL(38, 0))",
}


def kind(type_name):
    """The kind of a column, by the name that DuckDB or Arrow gives to its type."""
    name = type_name.lower()
    if name in {"boolean"}:
        return "boolean"
    if name in {"tinyint", "smallint", "integer", "bigint", "int8", "int16", "int32", "int64"}:
        return "integer"
    if name in {"float", "double", "float32", "float64"}:
        return "float"
    if name in {"varchar", "utf8", "largeutf8", "utf8view"}:
        return "text"
    if name in {"date", "date32"}:
        return "date"
    if name in {"timestamp with time zone", 'timestamp(µs, "+00:00")', 'timestamp(µs, "utc")'}:
        return "instant"
    if name in {"timestamp", "timestamp(µs)"}:
        return "timestamp"
    sys.exit(f"no figures are known for a column of the type {type_name}: add them to {__file__}")


def query(columns, table, dialect):
    """The SELECT that tells of all columns [(name, type)] of `table`: one row; `columns_of` reads it."""
    told = ["count(*)"]
    for name, type_name in columns:
        column = '"' + name.replace('"', '""') + '"'
        told.append(f"count(*) - count({column})")
        match kind(type_name):
            case "boolean":
                told.append(f"count(*) FILTER (WHERE {column})")
            case "float":
                told += [f"sum({column})", f"min({column})", f"max({column})"]
            case "text":
                length = dialect["length"].format(column)
                told += [f"sum({length})", f"count(DISTINCT {column})", f"min({column})", f"max({column})"]
            case "integer":
                told += [f"sum({dialect['wide'].format(column)})", f"min({column})", f"max({column})"]
            case "date":
                number = dialect["date"].format(column)
                told += [f"sum({number})", f"min({number})", f"max({number})"]
            case "timestamp" | "instant":
                number = dialect["timestamp"].format(column)
                told += [f"sum({dialect['wide'].format(number)})", f"min({number})", f"max({number})"]
    named = ", ".join(f"{expression} AS f{place}" for place, expression in enumerate(told))
    return f"SELECT {named} FROM {table}"


def told(columns, row):
    """The rows and columns of a table, by the one row that its `query` gave."""
    values = iter(row)
    rows = next(values)
    found = {}
    for name, type_name in columns:
        figures = {"kind": kind(type_name), "nulls": next(values)}
        match figures["kind"]:
            case "boolean":
                names = ["trues"]
            case "text":
                names = ["bytes", "distinct", "least", "greatest"]
            case _:
                names = ["sum", "least", "greatest"]
        found[name] = figures | {figure: next(values) for figure in names}
    return {"rows": rows, "columns": found}


def of_relation(connection, relation):
    """The figures of what DuckDB can read as `relation`."""
    described = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    columns = [(name, type_name) for name, type_name, *_ in described]
    row = connection.execute(query(columns, relation, DUCKDB)).fetchone()
    return told(columns, row)


def fingerprint(connection, relation):
    """The number of rows and the sum of the hashes of whole rows: the same for the same rows in any order."""
    rows, hashes = connection.execute(f"SELECT count(*), sum(hash(t)::HUGEINT) FROM {relation} AS t").fetchone()
    return {"rows_read": rows, "fingerprint": hashes or 0}


def chosen(snapshots):
    """The snapshots [(time in ms, id)] whose rows are read: all of a few, else first, last and some evenly between."""
    ordered = sorted(snapshots)
    if len(ordered) <= 2 * SNAPSHOTS_READ:
        return ordered
    return [ordered[step * (len(ordered) - 1) // (SNAPSHOTS_READ - 1)] for step in range(SNAPSHOTS_READ)]


def middle(values):
    """One of the values, the same for every reader: the middle one."""
    ordered = sorted(set(values))
    return ordered[len(ordered) // 2]


def pointers(state_db):
    """(layer, name, metadata location) of every table in the catalog."""
    connection = sqlite3.connect(f"file:{state_db}?mode=ro", uri=True)
    try:
        rows = connection.execute(
            "SELECT table_namespace, table_name, metadata_location FROM iceberg_tables "
            "WHERE catalog_name = ? ORDER BY table_namespace, table_name",
            (CATALOG,),
        )
        return rows.fetchall()
    finally:
        connection.close()


def arguments(*names):
    """The arguments of the script, one for each name."""
    if len(sys.argv) != len(names) + 1:
        sys.exit(f"usage: {sys.argv[0]} {' '.join(names)}")
    return sys.argv[1:]


def show(tables):
    json.dump(tables, sys.stdout, indent=1, sort_keys=True)
    print()
