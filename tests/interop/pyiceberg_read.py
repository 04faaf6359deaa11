"""Reads every table of a Millpond catalog with PyIceberg, through the Iceberg catalog tables in the state file, and prints
figures as JSON. PyIceberg and Arrow read; DuckDB only adds up the rows that they hand over."""

import duckdb
from pyiceberg.catalog.sql import SqlCatalog

import figures


def one_partition(table, rows):
    """One partition by its value: pruning must leave few of the files, and all of the rows."""
    spec = table.spec()
    if not spec.fields or not rows.num_rows:
        return None
    column = table.schema().find_field(spec.fields[0].source_id).name
    counted = {count["values"]: count["counts"] for count in rows.column(column).value_counts().to_pylist()}
    value = figures.middle(counted)
    scan = table.scan(row_filter=f"{column} == '{value}'")
    return {
        "partitions": len(counted),
        "value": str(value),
        "files": len(list(scan.plan_files())),
        "rows": scan.to_arrow().num_rows,
        "rows_of_all": counted[value],
    }


def main():
    state_db, warehouse = figures.arguments("STATE_DB", "WAREHOUSE")
    store = figures.store()
    options = {} if store is None else {
        "s3.endpoint": store["endpoint"],
        "s3.region": store["region"],
        "s3.access-key-id": store["key"],
        "s3.secret-access-key": store["secret"],
    }
    catalog = SqlCatalog(
        figures.CATALOG, uri=f"sqlite:///{state_db}", warehouse=warehouse, init_catalog_tables="false", **options
    )
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    tables = {}
    for namespace in catalog.list_namespaces():
        for identifier in catalog.list_tables(namespace):
            table = catalog.load_table(identifier)
            rows = table.scan().to_arrow()
            connection.register("rows_now", rows)
            told = figures.of_relation(connection, "rows_now")
            told["files"] = len(list(table.scan().plan_files()))
            told["one_partition"] = one_partition(table, rows)
            told["snapshots"] = {
                str(snapshot.snapshot_id): {
                    "at": snapshot.timestamp_ms,
                    "rows_recorded": int(snapshot.summary["total-records"]),
                }
                for snapshot in table.snapshots()
            }
            for _, snapshot in figures.chosen((s.timestamp_ms, s.snapshot_id) for s in table.snapshots()):
                is_current = snapshot == table.metadata.current_snapshot_id
                then = rows if is_current else table.scan(snapshot_id=snapshot).to_arrow()
                connection.register("rows_then", then)
                told["snapshots"][str(snapshot)] |= figures.fingerprint(connection, "rows_then")
            tables[".".join(identifier)] = told
    figures.show(tables)


if __name__ == "__main__":
    main()
