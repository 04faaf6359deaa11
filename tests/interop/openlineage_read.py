"""Reads OpenLineage events, one per line, into the classes of the published client.

usage: openlineage_read.py FILE

Each event, dataset and facet has to fit the class that the client generated from its schema: no field that the class does not
know, none missing that it asks for. Facets of our own (`millpond_…`) have to bear producer and schema. Prints how many there were.
"""

import collections
import importlib
import json
import pkgutil
import re
import sys

import attr
import openlineage.client.generated as generated
from openlineage.client.generated import base


def facet_classes():
    """The generated facet classes, by the name of their schema."""
    classes = {}
    for module in pkgutil.iter_modules(generated.__path__):
        for value in vars(importlib.import_module(f"{generated.__name__}.{module.name}")).values():
            if isinstance(value, type) and attr.has(value) and issubclass(value, base.BaseFacet):
                classes[value.__name__] = value
    return classes


CLASSES = facet_classes()
seen = collections.Counter()


def class_name(schema_url):
    return schema_url.rsplit("/", 1)[1]


def read_facet(name, facet, where):
    url = facet["_schemaURL"]
    assert re.fullmatch(r"https://openlineage\.io/spec/.+#/\$defs/\w+", url), f"{where}: {name} has schema {url}"
    assert facet["_producer"].startswith("urn:millpond:"), f"{where}: {name} has producer {facet['_producer']}"
    if name.startswith("millpond_"):
        seen[name] += 1
        return
    wanted = CLASSES[class_name(url)]
    fields = {field.name for field in attr.fields(wanted) if field.init}
    given = {key: value for key, value in facet.items() if not key.startswith("_")}
    unknown = set(given) - fields
    assert not unknown, f"{where}: {name} has {unknown}, {wanted.__name__} knows {fields}"
    # Whatever is asked for and missing, or of a type that the class refuses, raises here.
    wanted(**given)
    seen[name] += 1


def read_dataset(dataset, where):
    assert dataset["namespace"] and dataset["name"], f"{where}: {dataset}"
    for kind in ("facets", "inputFacets", "outputFacets"):
        for name, facet in dataset.get(kind, {}).items():
            read_facet(name, facet, f"{where} {dataset['name']}")


def read_event(event, where):
    base.RunEvent(
        eventType=base.EventType(event["eventType"]),
        eventTime=event["eventTime"],
        producer=event["producer"],
        run=base.Run(runId=event["run"]["runId"]),
        job=base.Job(namespace=event["job"]["namespace"], name=event["job"]["name"]),
    )
    assert event["schemaURL"] == base.RunEvent._get_schema(), event["schemaURL"]
    for kind in ("run", "job"):
        for name, facet in event[kind].get("facets", {}).items():
            read_facet(name, facet, where)
    for dataset in event["inputs"] + event["outputs"]:
        read_dataset(dataset, where)
    seen[event["eventType"]] += 1


def main():
    with open(sys.argv[1], encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            read_event(json.loads(line), f"line {number}")
    for name in ("START", "COMPLETE", "parent", "schema", "outputStatistics", "sql", "dataQualityAssertions"):
        assert seen[name] > 0, f"no {name} was told: {dict(seen)}"
    print(json.dumps(dict(sorted(seen.items()))))


if __name__ == "__main__":
    main()
