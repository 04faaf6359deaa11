"""Reads every table of a Millpond catalog with DuckDB's iceberg extension and prints figures as JSON."""

import pathlib
import site
import sys

import duckdb

import figures


def load_extensions(connection):
    """Loads the extensions that pip installed; the order matters."""
    roots = [pathlib.Path(root) for root in [*site.getsitepackages(), *sys.path] if root]
    for name in ["avro", "httpfs", "iceberg"]:
        for root in roots:
            found = sorted(root.glob(f"duckdb_extension_{name}/extensions/*/{name}.duckdb_extension"))
            if found:
                connection.execute(f"LOAD '{found[-1]}'")
                break
        else:
            sys.exit(f"no duckdb-extension-{name} is installed beside duckdb {duckdb.__version__}")


def main():
    state_db, _ = figures.arguments()
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    load_extensions(connection)
    tables = {}
    for layer, name, location in figures.pointers(state_db):
        path = location.removeprefix("file://").replace("'", "''")
        rows = connection.execute(f"SELECT * FROM iceberg_scan('{path}')").to_arrow_table()
        files = connection.execute(
            f"SELECT count(*) FROM iceberg_metadata('{path}') WHERE status <> 'DELETED' AND content = 'EXISTING'"
        ).fetchone()[0]
        snapshots = connection.execute(
            f"SELECT snapshot_id FROM iceberg_snapshots('{path}') ORDER BY sequence_number"
        ).fetchall()
        tables[f"{layer}.{name}"] = {
            "rows": rows.num_rows,
            "columns": figures.columns(rows),
            "files": files,
            "snapshots": [
                {
                    "id": snapshot,
                    "rows": connection.execute(
                        f"SELECT count(*) FROM iceberg_scan('{path}', snapshot_from_id => {snapshot})"
                    ).fetchone()[0],
                }
                for (snapshot,) in snapshots
            ],
        }
    figures.show(tables)


if __name__ == "__main__":
    main()
