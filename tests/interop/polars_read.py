"""Reads every table of a Millpond catalog with polars, from the metadata that the catalog points to, and prints figures as JSON.

PyIceberg says for polars which files there are; polars reads them. DuckDB only adds up the rows that it hands over.
"""

import json
import os
import pathlib

# The other planner is a package of its own, that knows no more.
os.environ.setdefault("POLARS_ICEBERG_PLANNER", "pyiceberg")

import duckdb
import polars

import figures


def one_partition(location, metadata, rows):
    """One partition by its value: as many rows alone as among all."""
    spec = next(spec for spec in metadata["partition-specs"] if spec["spec-id"] == metadata["default-spec-id"])
    if not spec["fields"] or not rows.height:
        return None
    schema = next(schema for schema in metadata["schemas"] if schema["schema-id"] == metadata["current-schema-id"])
    source = spec["fields"][0]["source-id"]
    column = next(field["name"] for field in schema["fields"] if field["id"] == source)
    counted = dict(rows.group_by(column).len().iter_rows())
    value = figures.middle(counted)
    alone = polars.scan_iceberg(location).filter(polars.col(column) == value).collect()
    return {
        "partitions": len(counted),
        "value": str(value),
        "rows": alone.height,
        "rows_of_all": counted[value],
    }


def main():
    (state_db,) = figures.arguments("STATE_DB")
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    tables = {}
    for layer, name, location in figures.pointers(state_db):
        # What there is to read is not polars' to list.
        metadata = json.loads(pathlib.Path(location.removeprefix("file://")).read_text(encoding="utf-8"))
        rows = polars.scan_iceberg(location).collect()
        connection.register("rows_now", rows.to_arrow())
        told = figures.of_relation(connection, "rows_now")
        told["one_partition"] = one_partition(location, metadata, rows)
        snapshots = [(snapshot["timestamp-ms"], snapshot["snapshot-id"]) for snapshot in metadata["snapshots"]]
        told["snapshots"] = {str(snapshot): {"at": at} for at, snapshot in snapshots}
        for _, snapshot in figures.chosen(snapshots):
            then = polars.scan_iceberg(location, snapshot_id=snapshot).collect()
            connection.register("rows_then", then.to_arrow())
            told["snapshots"][str(snapshot)] |= figures.fingerprint(connection, "rows_then")
        tables[f"{layer}.{name}"] = told
    figures.show(tables)


if __name__ == "__main__":
    main()
