"""Writes docs/interop.md: what other programs read of Millpond's tables, from what they have just told.

usage: page.py PAGE NAME=FIGURES.json … CHANGED/NAME=FIGURES.json …      exit code 1 if PAGE said something else before

What begins with CHANGED/ was read of the tables that evolved.py makes.

Only what is the same in every run is on the page: how many snapshots a table has depends on which steps end together.
"""

import importlib.metadata
import json
import pathlib
import sys


PACKAGES = {
    "PyIceberg": ["pyiceberg"],
    "DuckDB": ["duckdb", "duckdb-extension-iceberg"],
    "polars": ["polars"],
}
CHANGED = "CHANGED/"
HOW = {
    "PyIceberg": "through the Iceberg catalog tables in the state file, as an SQL catalog",
    "DuckDB": "with its iceberg extension, from the metadata that the catalog points to",
    "polars": "`scan_iceberg`, from the metadata that the catalog points to",
    "millpond": "`millpond query` and `millpond show`",
}


def versions(name):
    found = [f"{package} {importlib.metadata.version(package)}" for package in PACKAGES.get(name, [])]
    return ", ".join(found) or "this one"


def page(readers, changed):
    lines = [
        "# What other programs read",
        "",
        "Written by the second tier of the tests (`tests/interop/page.py`), which fails if this page is not what it saw.",
        "",
        "Each reader reads every table of the [flights](../examples/flights) example, after some of them were changed in an",
        "[environment](environments.md) and merged: all rows, figures of every column, one partition alone, and four of the snapshots row by row.",
        "All of them tell the same, and the same as `expected.toml` says.",
        "",
        "| reader | versions | how | tables | columns | rows |",
        "|---|---|---|---|---|---|",
    ]
    for name, tables in readers.items():
        columns = sum(len(table["columns"]) for table in tables.values())
        rows = sum(table["rows"] for table in tables.values())
        lines.append(f"| {name} | {versions(name)} | {HOW[name]} | {len(tables)} | {columns} | {rows:,} |")
    lines += ["", "| table | rows | columns | of the kinds |", "|---|---|---|---|"]
    first = next(iter(readers.values()))
    for table, told in sorted(first.items()):
        kinds = sorted({column["kind"] for column in told["columns"].values()})
        lines.append(f"| `{table}` | {told['rows']:,} | {len(told['columns'])} | {', '.join(kinds)} |")
    lines += [
        "",
        "## Tables that were changed",
        "",
        "The same readers on a table whose columns were renamed, dropped, added again under a dropped name and widened, and whose",
        "[partitions became others](tables.md#other-partitions) (`tests/interop/evolved.py`), before and after each change: all tell the same.",
        "",
        "| reader | rows | columns | snapshots |",
        "|---|---|---|---|",
    ]
    for name, tables in changed.items():
        told = tables["silver.sales"]
        missing = [snapshot for snapshot in told["snapshots"].values() if "rows_read" not in snapshot]
        if missing:
            sys.exit(f"{name} has not read {len(missing)} of the snapshots of the changed table")
        columns = ", ".join(f"`{column}`" for column in told["columns"])
        lines.append(f"| {name} | {told['rows']:,} | {columns} | all, row by row |")
    return "\n".join(lines) + "\n"


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    path, *given = sys.argv[1:]
    readers, changed = {}, {}
    for one in given:
        name, _, file = one.partition("=")
        kept = changed if name.startswith(CHANGED) else readers
        kept[name.removeprefix(CHANGED)] = json.loads(pathlib.Path(file).read_text(encoding="utf-8"))
    text = page(readers, changed)
    path = pathlib.Path(path)
    before = path.read_text(encoding="utf-8") if path.exists() else None
    if before != text:
        path.write_text(text, encoding="utf-8")
        sys.exit(f"{path} said something else: it is written anew, to be looked at and committed")
    print(f"{path} is what was seen")


if __name__ == "__main__":
    main()
