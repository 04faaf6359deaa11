"""Counts the rows of every table with PyIceberg, through the Iceberg catalog tables in the state file.

usage: pyiceberg_counts.py STATE_DB WAREHOUSE      prints {"layer.name": {"rows": n}}
"""

import json
import sys

from pyiceberg.catalog.sql import SqlCatalog


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    state, warehouse = sys.argv[1:]
    catalog = SqlCatalog("millpond", uri=f"sqlite:///{state}", warehouse=f"file://{warehouse}", init_catalog_tables="false")
    found = {}
    for namespace in catalog.list_namespaces():
        for name in catalog.list_tables(namespace):
            found[".".join(name)] = {"rows": catalog.load_table(name).scan().count()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
