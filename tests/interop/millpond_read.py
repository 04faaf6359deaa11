"""Reads every table of a Millpond project with `millpond query` and `millpond show`, and prints figures as JSON."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import figures


class Millpond:
    def __init__(self, program, project):
        self.command = [program, "-C", project]

    def ask(self, *arguments):
        """What a command answers, line by line."""
        ended = subprocess.run([*self.command, *arguments], capture_output=True, text=True, check=False)
        if ended.returncode != 0:
            sys.exit(f"millpond {' '.join(arguments)}: exit code {ended.returncode}\n{ended.stderr}")
        return [json.loads(line) for line in ended.stdout.splitlines()]

    def query(self, sql, *options):
        return self.ask("query", "--format", "json", *options, sql)

    def table(self, name):
        """All figures of an asset's table."""
        shown = self.ask("show", name, "--json", "--limit", "1000000")[0]
        columns = [(row["column_name"], row["data_type"]) for row in self.query(f"DESCRIBE {name}")]
        row = self.query(figures.query(columns, name, figures.DATAFUSION))[0]
        # A figure of nulls alone is left out of the answer.
        told = figures.told(columns, [row.get(f"f{place}") for place in range(1 + 5 * len(columns))])
        told["one_partition"] = self.one_partition(name, shown["asset"]["partitions"])
        told["snapshots"] = {
            snapshot["id"]: {"at": snapshot["timestamp_ms"], "rows_recorded": snapshot["rows_total"]}
            for snapshot in shown["snapshots"]
        }
        for _, snapshot in figures.chosen((s["timestamp_ms"], int(s["id"])) for s in shown["snapshots"]):
            counted = self.query(f"SELECT count(*) AS rows FROM {name}", "--as-of", str(snapshot))[0]
            told["snapshots"][str(snapshot)]["rows_read"] = counted["rows"]
        return told

    def one_partition(self, name, partitions):
        if partitions is None:
            return None
        column = f'"{partitions["column"]}"'
        by_value = self.query(f"SELECT CAST({column} AS VARCHAR) AS value, count(*) AS rows FROM {name} GROUP BY {column}")
        if not by_value:
            return None
        rows = {row["value"]: row["rows"] for row in by_value}
        value = figures.middle(rows)
        counted = self.query(f"SELECT count(*) AS rows FROM {name} WHERE {column} = '{value}'")[0]
        return {"partitions": len(rows), "value": value, "rows": counted["rows"], "rows_of_all": rows[value]}


def main():
    millpond = Millpond(*figures.arguments("MILLPOND", "PROJECT"))
    listed = millpond.query("SELECT table_schema, table_name, table_type FROM information_schema.tables")
    names = [f"{row['table_schema']}.{row['table_name']}" for row in listed if row["table_type"] == "BASE TABLE"]
    with ThreadPoolExecutor(2) as readers:
        figures.show(dict(zip(names, readers.map(millpond.table, names))))


if __name__ == "__main__":
    main()
