"""Compares what several readers told of the same lake: tables, rows, figures of columns, partitions and snapshots.

usage: compare.py ONE.json OTHER.json …       exit code 1 and the differences, if there are any

A reader may leave a figure out that it cannot tell (`OPTIONAL`), if two others tell it; all else every reader tells. And what a
reader told must agree with itself: the rows that a snapshot records are those that are read from it, a partition has as many rows
alone as among all.
"""

import json
import math
import sys

OPTIONAL = {"files", "fingerprint", "one_partition", "rows_recorded", "rows_read"}


def same(one, other):
    if isinstance(one, float) and isinstance(other, float):
        # Sums of floats depend on the order of the rows.
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9) or (math.isnan(one) and math.isnan(other))
    return type(one) is type(other) and one == other


def differences(one, other, path=""):
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            if key in OPTIONAL and (key not in one or key not in other):
                continue
            yield from differences(one.get(key), other.get(key), f"{path}/{key}")
    elif not same(one, other):
        yield f"{path}: {one!r} and {other!r}"


def told_once(readers):
    """Optional figures that one reader alone tells, so that nothing is compared."""
    tellers = {}

    def walk(value, path):
        for key, inner in value.items():
            if key in OPTIONAL:
                tellers[f"{path}/{key}"] = tellers.get(f"{path}/{key}", 0) + 1
            elif isinstance(inner, dict):
                walk(inner, f"{path}/{key}")

    for tables in readers:
        walk(tables, "")
    return [f"{path}: told by one reader alone" for path, count in tellers.items() if count == 1]


def contradictions(tables):
    """Where a reader contradicts itself."""
    for name, table in tables.items():
        for identifier, snapshot in table["snapshots"].items():
            read = snapshot.get("rows_read")
            if read is not None and "rows_recorded" in snapshot and read != snapshot["rows_recorded"]:
                yield f"{name} at {identifier}: records {snapshot['rows_recorded']} rows and has {read}"
        partition = table.get("one_partition")
        if partition and partition["rows"] != partition["rows_of_all"]:
            yield f"{name} at {partition['value']}: {partition['rows']} rows alone, {partition['rows_of_all']} among all"
        if partition and "files" in partition and 1 < table["files"] == partition["files"]:
            yield f"{name} at {partition['value']}: all {table['files']} files are read"
        if not any("rows_read" in snapshot for snapshot in table["snapshots"].values()):
            yield f"{name}: no snapshot was read"


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def main():
    paths = sys.argv[1:]
    if len(paths) < 2:
        sys.exit(__doc__)
    readers = {path: load(path) for path in paths}
    found = [f"{path}: {line}" for path, tables in readers.items() for line in contradictions(tables)]
    for place, one in enumerate(paths):
        for other in paths[place + 1 :]:
            found += [f"{one} and {other}: {line}" for line in differences(readers[one], readers[other])]
    found += told_once(readers.values())
    for line in found:
        print(line)
    tables = readers[paths[0]].values()
    print(
        f"{len(tables)} tables, {sum(len(table['columns']) for table in tables)} columns, "
        f"{sum(len(table['snapshots']) for table in tables)} snapshots of {len(paths)} readers compared: "
        f"{len(found)} differences"
    )
    sys.exit(1 if found or not tables else 0)


if __name__ == "__main__":
    main()
