"""Holds a materialized project against the figures that must come out of it: those of its tables, as each reader found them
(JSON of the *_read.py beside this file), the answers to its queries, the checks that warn, and its models.

usage: expected.py MILLPOND PROJECT EXPECTED.toml FOUND.json …       exit code 1 and what differs, if anything does
"""

import json
import pathlib
import sqlite3
import sys
import tomllib

from millpond_read import Millpond


def wrong_tables(expected, found):
    """Rows, partitions, sums, nulls and trues of each table."""
    for name, figures in expected.items():
        table = found.get(name)
        if table is None:
            yield f"{name}: not there"
            continue
        pairs = [("rows", table["rows"], figures["rows"])]
        if "partitions" in figures and "one_partition" in table:
            pairs.append(("partitions", table["one_partition"]["partitions"], figures["partitions"]))
        for group, figure in [("sums", "sum"), ("nulls", "nulls"), ("trues", "trues")]:
            for column, value in figures.get(group, {}).items():
                pairs.append((f"{figure} of {column}", table["columns"].get(column, {}).get(figure), value))
        yield from (f"{name}: {what} is {have}, expected {want}" for what, have, want in pairs if have != want)


def wrong_queries(expected, millpond):
    for query in expected:
        (row,) = millpond.query(query["sql"])
        if list(row.values()) != [query["equals"]]:
            yield f"{query['name']}: {row}, expected {query['equals']}"


def wrong_warnings(expected, state_db):
    """The checks that did not pass when a partition was last made are those that are expected, and no other."""
    connection = sqlite3.connect(f"file:{state_db}?mode=ro", uri=True)
    rows = connection.execute(
        "SELECT asset, name, count(*), sum(failing_rows), min(severity) FROM check_result AS newest WHERE NOT passed AND seq = "
        "(SELECT max(seq) FROM check_result WHERE (asset, partition, name) = (newest.asset, newest.partition, newest.name)) "
        "GROUP BY asset, name"
    ).fetchall()
    connection.close()
    found = {(asset, name): figures for asset, name, *figures in rows}
    for warning in expected:
        partitions, failing, severity = found.pop((warning["asset"], warning["check"]), (0, 0, "warn"))
        if (partitions, severity) != (warning["partitions"], "warn") or failing != warning.get("failing", failing):
            yield f"{warning['asset']} {warning['check']}: {severity} on {partitions} partitions, {failing} rows, not {warning}"
    yield from (f"{asset} {name}: did not pass ({figures})" for (asset, name), figures in found.items())


def wrong_models(expected, millpond):
    for name, bounds in expected.items():
        newest = millpond.ask("models", name, "--json")[0]["versions"][0]
        details = newest["details"]
        pairs = [
            (len(details["features"]), bounds["features"]),
            (details["rows_train"], bounds["train_rows"]),
            (details["rows_test"], bounds["test_rows"]),
        ]
        if any(have != want for have, want in pairs) or newest["metrics"]["auc"] < bounds["auc_at_least"]:
            yield f"{name}: {pairs}, auc {newest['metrics']['auc']}, expected {bounds}"


def main():
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    program, project, expected_path, *found_paths = sys.argv[1:]
    millpond = Millpond(program, project)
    expected = tomllib.loads(pathlib.Path(expected_path).read_text(encoding="utf-8"))
    wrong = []
    for path in found_paths:
        found = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        wrong += [f"{path}: {line}" for line in wrong_tables(expected["table"], found)]
    wrong += wrong_queries(expected["query"], millpond)
    wrong += wrong_warnings(expected["warning"], pathlib.Path(project) / ".millpond" / "state.db")
    wrong += wrong_models(expected["model"], millpond)
    for line in wrong:
        print(line)
    counts = ", ".join(f"{len(expected[part])} {word}" for part, word in
                       [("table", "tables"), ("query", "queries"), ("warning", "warnings"), ("model", "models")])
    print(f"{counts} against {expected_path}, tables by {len(found_paths)} readers: {len(wrong)} differences")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
