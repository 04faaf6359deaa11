"""Compares what a reader found (JSON of pyiceberg_read.py or duckdb_read.py) with the figures that must come out.

usage: expected.py FOUND.json EXPECTED.toml
"""

import json
import sys
import tomllib


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as found_file:
        found = json.load(found_file)
    with open(sys.argv[2], "rb") as expected_file:
        expected = tomllib.load(expected_file)["table"]
    wrong = []
    for name, figures in expected.items():
        table = found.get(name)
        if table is None:
            wrong.append(f"{name}: not there")
        elif table["rows"] != figures["rows"]:
            wrong.append(f"{name}: {table['rows']} rows, expected {figures['rows']}")
    for line in wrong:
        print(line)
    print(f"{len(expected) - len(wrong)} of {len(expected)} tables have the expected rows")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
