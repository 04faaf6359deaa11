"""Makes a project whose tables were changed after they had rows: columns that were renamed, dropped and added again, types that were
widened, other partitions. What other readers read of them is then held against one another, snapshots of before included.

usage: evolved.py MILLPOND FOLDER
"""

import pathlib
import subprocess
import sys

PROJECT = """
[project]
name = "evolved"
timezone = "UTC"

[partitions.daily]
every = "day"
start = 2026-02-01
end = 2026-02-03

[partitions.shops]
values = ["north", "south", "west"]

[lakehouse]
warehouse = "lake"

[execution]
workers = 2
"""

DAILY = 'partitions = { use = "daily", column = "day" }'
SALES = """
[asset.bronze.sales]
kind = "ingest"
from.files = { path = "landing/*.csv" }
partitions = { use = "daily", column = "day" }
columns = { n = "int" }

[asset.silver.sales]
kind = "sql"
sql = "SELECT id, day, shop, at, n, price, note FROM bronze.sales"
partitions = { use = "daily", column = "day" }
"""

# Each step: what is replaced in the assets, the commands, and whether the first of them makes but one partition.
STEPS = [
    # A column is renamed and another dropped; one partition is made so, and the others are read under the new name.
    (
        [
            ("SELECT id, day, shop, at, n, price, note", "SELECT id, day, shop, at, n AS count, price"),
            (DAILY + "\n", DAILY + "\ncolumns = { count = { was = 'n' }, note = { dropped = true } }\n"),
        ],
        [["materialize", "--partition", "2026-02-01", "silver.sales"]],
    ),
    # The dropped name comes again, with another type; the renamed one is wider.
    (
        [
            ("n AS count, price", "CAST(n AS BIGINT) AS count, price, length(note) AS note"),
            (", note = { dropped = true }", ""),
        ],
        [["materialize", "--partition", "2026-02-02", "silver.sales"]],
    ),
    # Days become shops, and one of them is made.
    (
        [
            (DAILY, 'partitions = { use = "shops", column = "shop" }\ninputs."bronze.sales" = "all"'),
            ('FROM bronze.sales"', 'FROM bronze.sales WHERE shop = $partition_key"'),
        ],
        [["repartition", "silver.sales"], ["materialize", "--partition", "south", "silver.sales"]],
    ),
]


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    millpond, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    (folder / "assets").mkdir(parents=True)
    (folder / "landing").mkdir()
    (folder / "millpond.toml").write_text(PROJECT)
    lines = ["id,day,shop,at,n,price,note"]
    for number in range(900):
        day = f"2026-02-{number // 300 + 1:02}"
        note = "" if number % 7 == 0 else f"note {number % 11}"
        shop = ["north", "south", "west"][number % 3]
        lines.append(f"{number},{day},{shop},{day}T{number % 24:02}:30:00Z,{number % 50},{number / 8},{note}")
    (folder / "landing" / "1.csv").write_text("\n".join(lines) + "\n")

    def run(*arguments):
        subprocess.run([millpond, "-C", folder, *arguments], check=True, stdout=subprocess.DEVNULL)

    assets = SALES
    (folder / "assets" / "sales.toml").write_text(assets)
    run("materialize", "*")
    for changes, commands in STEPS:
        before, silver = assets.split("[asset.silver.sales]")
        for old, new in changes:
            if old not in silver:
                sys.exit(f"nothing to replace: {old}")
            silver = silver.replace(old, new, 1)
        assets = f"{before}[asset.silver.sales]{silver}"
        (folder / "assets" / "sales.toml").write_text(assets)
        for command in commands:
            run(*command)


if __name__ == "__main__":
    main()
