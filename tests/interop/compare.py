"""Compares the figures of two readers: tables, rows, columns, and rows per snapshot. Exit code 1 if they differ."""

import json
import sys


def view(tables):
    """The part that every reader tells."""
    return {
        name: {
            "rows": table["rows"],
            "columns": table["columns"],
            "snapshots": {str(snapshot["id"]): snapshot["rows"] for snapshot in table["snapshots"]},
        }
        for name, table in tables.items()
    }


def differences(one, other, path=""):
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from differences(one.get(key), other.get(key), f"{path}/{key}")
    elif one != other:
        yield f"{path}: {one!r} and {other!r}"


def main():
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} ONE.json OTHER.json")
    with open(sys.argv[1], encoding="utf-8") as one, open(sys.argv[2], encoding="utf-8") as other:
        found = list(differences(view(json.load(one)), view(json.load(other))))
    for line in found:
        print(line)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
