"""Reads every table of a Millpond catalog with PyIceberg and prints figures as JSON."""

from pyiceberg.catalog.sql import SqlCatalog

import figures


def main():
    state_db, warehouse = figures.arguments()
    catalog = SqlCatalog(
        figures.CATALOG, uri=f"sqlite:///{state_db}", warehouse=warehouse, init_catalog_tables="false"
    )
    tables = {}
    for namespace in catalog.list_namespaces():
        for identifier in catalog.list_tables(namespace):
            table = catalog.load_table(identifier)
            rows = table.scan().to_arrow()
            spec = table.spec()
            told = {
                "rows": rows.num_rows,
                "columns": figures.columns(rows),
                "files": len(list(table.scan().plan_files())),
                "format": table.metadata.format_version,
                "partitioned_by": [field.name for field in spec.fields],
                "snapshots": [
                    {
                        "id": snapshot.snapshot_id,
                        "operation": snapshot.summary.operation.value,
                        "rows": table.scan(snapshot_id=snapshot.snapshot_id).to_arrow().num_rows,
                        "total": int(snapshot.summary["total-records"]),
                    }
                    for snapshot in table.snapshots()
                ],
            }
            if spec.fields and rows.num_rows:
                # One partition by its value: pruning must leave its files only, and all of its rows.
                column = table.schema().find_field(spec.fields[0].source_id).name
                value = rows.column(column)[0].as_py()
                scan = table.scan(row_filter=f"{column} == '{value}'")
                expected = sum(other == value for other in rows.column(column).to_pylist())
                told["one_partition"] = {
                    "value": str(value),
                    "files": len(list(scan.plan_files())),
                    "rows": scan.to_arrow().num_rows,
                    "expected_rows": expected,
                }
            tables[".".join(identifier)] = told
    figures.show(tables)


if __name__ == "__main__":
    main()
