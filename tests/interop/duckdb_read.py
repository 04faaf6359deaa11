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
    (state_db,) = figures.arguments("STATE_DB")
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    load_extensions(connection)
    if store := figures.store():
        scheme, _, endpoint = store["endpoint"].partition("://")
        connection.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID '{store['key']}', SECRET '{store['secret']}', REGION '{store['region']}', "
            f"ENDPOINT '{endpoint}', URL_STYLE 'path', USE_SSL {scheme == 'https'})"
        )
    tables = {}
    for layer, name, location in figures.pointers(state_db):
        path = location.removeprefix("file://").replace("'", "''")
        told = figures.of_relation(connection, f"iceberg_scan('{path}')")
        told["files"] = connection.execute(
            f"SELECT count(*) FROM iceberg_metadata('{path}') WHERE status <> 'DELETED' AND content = 'EXISTING'"
        ).fetchone()[0]
        snapshots = connection.execute(
            f"SELECT epoch_ms(timestamp_ms), snapshot_id FROM iceberg_snapshots('{path}')"
        ).fetchall()
        told["snapshots"] = {str(snapshot): {"at": at} for at, snapshot in snapshots}
        for _, snapshot in figures.chosen(snapshots):
            # What the manifests of the snapshot record, and what its files hold.
            recorded = connection.execute(
                f"SELECT coalesce(sum(record_count), 0)::BIGINT FROM iceberg_metadata('{path}', snapshot_from_id => {snapshot}) "
                "WHERE status <> 'DELETED' AND content = 'EXISTING'"
            ).fetchone()[0]
            relation = f"iceberg_scan('{path}', snapshot_from_id => {snapshot})"
            told["snapshots"][str(snapshot)] |= {
                "rows_recorded": recorded,
                **figures.fingerprint(connection, relation),
            }
        tables[f"{layer}.{name}"] = told
    figures.show(tables)


if __name__ == "__main__":
    main()
