"""What is told of a table: the same shape from every reader."""

import datetime
import decimal
import json
import math
import sqlite3
import sys

CATALOG = "millpond"


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


def figure(values):
    """A number that differs if the values differ: a sum for numbers, the summed lengths of the texts of all else."""
    present = [value for value in values if value is not None]
    if not present:
        return None
    first = present[0]
    if isinstance(first, bool):
        return sum(present)
    if isinstance(first, int):
        return sum(present)
    if isinstance(first, decimal.Decimal):
        return str(sum(present).normalize())
    if isinstance(first, float):
        finite = [value for value in present if math.isfinite(value)]
        return f"{math.fsum(finite):.9g} of {len(finite)} finite"
    if isinstance(first, datetime.datetime):
        epoch = datetime.datetime(1970, 1, 1, tzinfo=first.tzinfo and datetime.timezone.utc)
        return sum((value - epoch) // datetime.timedelta(microseconds=1) for value in present)
    if isinstance(first, datetime.date):
        return sum(value.toordinal() for value in present)
    if isinstance(first, datetime.time):
        return sum((v.hour * 3600 + v.minute * 60 + v.second) * 10**6 + v.microsecond for v in present)
    if isinstance(first, (bytes, bytearray, memoryview)):
        return sum(sum(bytes(value)) for value in present)
    if isinstance(first, str):
        return sum(sum(value.encode()) for value in present)
    return sum(len(json.dumps(value, default=str)) for value in present)


def columns(table):
    """Nulls and figure of each column of a pyarrow table."""
    told = {}
    for name in table.column_names:
        values = table.column(name).to_pylist()
        told[name] = {"nulls": sum(value is None for value in values), "figure": figure(values)}
    return told


def arguments():
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} STATE_DB WAREHOUSE")
    return sys.argv[1], sys.argv[2]


def show(tables):
    json.dump(tables, sys.stdout, indent=1, sort_keys=True, default=str)
    print()
