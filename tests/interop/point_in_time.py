"""Point-in-time joins of random labels and features, through real assets of the kinds `ingest`, `features` and `training_set`, held
row for row against DuckDB: its ASOF join over the raw files, and the time to live in plain SQL.

usage: point_in_time.py MILLPOND [CASES [SEED]]       exit code 1 and the cases that differ, if any do

One project holds all cases, so that one `materialize` runs them. Each case is one training set over one to three assets of features.
Times are few and close together, so that they tie, and meet the end of a time to live to the microsecond. A table of cases that
must be refused goes with them. The seed is printed; given again, it makes the same cases.
"""

import dataclasses
import datetime
import json
import pathlib
import random
import secrets
import sqlite3
import subprocess
import sys
import tempfile

import duckdb
import pyarrow
import pyarrow.parquet

import duckdb_read
import figures

DAYS = [datetime.date(2013, 3, 8) + datetime.timedelta(days=day) for day in range(6)]

# A day without 02:30 in New York, so that a day of a time to live is seen to be 24 hours.
SOME_TIME = datetime.datetime(2013, 3, 10, 6, 30)

ZONES = ["UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]
NAMES = ["a", "A", "", "ä", "a name longer than an inline view", "a name longer than an inline VIEW"]
SECOND, HOUR, DAY = 1_000_000, 3_600_000_000, 86_400_000_000
TTLS = {SECOND: ["1 second", "3 seconds"], HOUR: ["1 hour", "2h", "90 minutes", "1 day"], DAY: ["1 day", "2 days", "36 hours"]}


@dataclasses.dataclass
class Features:
    """One asset of features and the asset of its raw rows."""

    name: str
    entity: list
    ttl: str | None
    created: bool
    columns: list | None
    by_day: bool
    window: str | None
    rows: pyarrow.Table


@dataclasses.dataclass
class Case:
    """One training set."""

    name: str
    by_day: bool
    labels: pyarrow.Table
    carried: list
    features: list


class Dice:
    """The random choices of one case."""

    def __init__(self, seed, number):
        self.random = random.Random(f"{seed}/{number}")
        self.step = self.random.choice([SECOND, HOUR, DAY])
        self.is_zoned = self.random.random() < 0.5

    def one(self, choices):
        return self.random.choice(choices)

    def happens(self, chance):
        return self.random.random() < chance

    def time(self):
        """A naive time in UTC, on a few ticks; at times a microsecond beside one."""
        beside = self.one([0, 0, 0, 0, -1, 1])
        return SOME_TIME + datetime.timedelta(microseconds=self.random.randrange(-3, 10) * self.step + beside)

    def time_type(self):
        """How a file may hold such times: all zoned or all naive within a case."""
        return pyarrow.timestamp("us", tz=self.one(ZONES) if self.is_zoned else None)

    def maybe(self, chance, value):
        """The value, or null with that chance."""
        return None if self.happens(chance) else value


def times(values, data_type):
    """A column of naive times in UTC as `data_type`."""
    return pyarrow.array(values, pyarrow.timestamp("us")).cast(data_type)


def make_labels(dice, shape):
    rows = [] if shape == "no labels" else range(dice.random.randrange(1, 41))
    at = [dice.maybe(0.05, dice.time()) for _ in rows]
    if shape == "labels before":
        at = [time and time - datetime.timedelta(days=400) for time in at]
    return pyarrow.table(
        {
            "number": pyarrow.array([dice.maybe(0.1, dice.random.randrange(4)) for _ in rows], dice.one([pyarrow.int32(), pyarrow.int64()])),
            "name": pyarrow.array([dice.maybe(0.1, dice.one(NAMES)) for _ in rows], pyarrow.string()),
            "at": times(at, dice.time_type()),
            "label": pyarrow.array(list(rows), pyarrow.int64()),
            "outcome": pyarrow.array([dice.maybe(0.2, dice.happens(0.5)) for _ in rows], pyarrow.bool_()),
            "day": pyarrow.array([dice.one(DAYS) for _ in rows], pyarrow.date32()),
        }
    )


def make_features(dice, name, shape, is_set_by_day):
    # Rows of many days for few entities: what a window hides must be missed.
    by_day = is_set_by_day or shape == "features by day"
    entity = dice.one([["number"], ["name"]] if by_day else [["number"], ["name"], ["number", "name"], ["name", "number"]])
    # Wall time may be dates too: their midnight.
    is_date = not dice.is_zoned and dice.step == DAY and dice.happens(0.3)
    has_created = not is_date and dice.happens(0.35)
    found = {}
    for row in range(0 if shape == "no features" else dice.random.randrange(90, 180) if by_day else dice.random.randrange(1, 90)):
        number, text, time, day = dice.random.randrange(4), dice.one(NAMES), dice.time(), dice.one(DAYS)
        known = dice.maybe(0.1, dice.time())
        if is_date:
            time = datetime.datetime.combine(time.date(), datetime.time())
        # No two rows of one entity and moment, unless they became known at different times, or are of different partitions: each
        # is checked alone.
        key = (*([number] if "number" in entity else []), *([text] if "name" in entity else []), time)
        key += (known if known else f"never {row}",) if has_created else ()
        key += (day,) if by_day else ()
        found.setdefault(key, (number, text, time, known, row, day))
    rows = list(found.values())
    if by_day:
        # A day of which no file holds rows would be waited for: somebody whom no label knows is there every day.
        rows += [(99, "nobody", SOME_TIME + datetime.timedelta(days=place), None, 900 + place, day) for place, day in enumerate(DAYS)]
    dice.random.shuffle(rows)
    columns = {
        "number": pyarrow.array([row[0] for row in rows], dice.one([pyarrow.int32(), pyarrow.int64()])),
        "name": pyarrow.array([row[1] for row in rows], pyarrow.string()),
        "since": times([row[2] for row in rows], pyarrow.date32() if is_date else dice.time_type()),
        "row": pyarrow.array([row[4] for row in rows], pyarrow.int64()),
        "value": pyarrow.array([dice.maybe(0.2, dice.random.gauss(0, 1)) for _ in rows], pyarrow.float64()),
        "day": pyarrow.array([row[5] for row in rows], pyarrow.date32()),
    }
    if has_created:
        columns["known"] = times([row[3] for row in rows], dice.time_type())
    return Features(
        name=name,
        entity=entity,
        ttl=dice.one([None, *TTLS[dice.step]]) if not by_day or dice.happens(0.5) else None,
        created=has_created,
        columns=dice.one([None, ["row"], ["value", "row"]]),
        by_day=by_day,
        window=dice.one(["same", "1 day before", "3 days with"]) if is_set_by_day else None,
        rows=pyarrow.table(columns),
    )


def make_case(seed, number):
    dice = Dice(seed, number)
    # Each shape comes up in every run.
    shape = ["any", "no labels", "by day", "features by day", "any", "no features", "by day", "labels before"][number % 8]
    by_day = shape == "by day"
    features = [
        make_features(dice, f"f{number}_{place}", shape if place == 0 else "any", by_day)
        for place in range(dice.random.randrange(1, 4))
    ]
    carried = ["label", "day"] if by_day else dice.one([["label"], ["label", "outcome"], ["outcome", "day", "label"]])
    return Case(f"set{number}", by_day, make_labels(dice, shape), carried, features)


def declaration(case):
    """The assets of a case in TOML."""
    days = 'partitions = { use = "days", column = "day" }\n'
    by_day = days if case.by_day else ""
    lines = [f'[asset.bronze.labels_{case.name}]\nkind = "ingest"\nfrom.files = {{ path = "raw/labels_{case.name}.parquet" }}\n{by_day}']
    for features in case.features:
        by_day = days if features.by_day else ""
        lines.append(
            f'[asset.bronze.{features.name}]\nkind = "ingest"\nfrom.files = {{ path = "raw/{features.name}.parquet" }}\n{by_day}'
        )
        lines.append(
            f'[asset.features.{features.name}]\nkind = "features"\nsql = "SELECT * FROM bronze.{features.name}"\n'
            f'entity = {json.dumps(features.entity)}\ntimestamp = "since"\n{by_day}'
            + (f'ttl = "{features.ttl}"\n' if features.ttl else "")
            + ('created = "known"\n' if features.created else "")
        )
    by_day = days if case.by_day else ""
    names = [
        f"features.{features.name}" + (f":{','.join(features.columns)}" if features.columns else "")
        for features in case.features
    ]
    lines.append(
        f'[asset.gold.{case.name}]\nkind = "training_set"\n{by_day}'
        f'labels = {{ from = "bronze.labels_{case.name}", timestamp = "at", columns = {json.dumps(case.carried)} }}\n'
        f"features = {json.dumps(names)}\n"
    )
    for features in case.features:
        match features.window:
            case "1 day before":
                lines.append(f'inputs."features.{features.name}" = {{ window = "1 day", ending = "before" }}\n')
            case "3 days with":
                lines.append(f'inputs."features.{features.name}" = {{ window = "3 days", ending = "with" }}\n')
            case "same" | None:
                pass
    return "".join(lines)


def taken(features):
    """The columns that a training set takes of one asset of features."""
    if features.columns:
        return features.columns
    joined = {*features.entity, "since", *(["known"] if features.created else [])}
    return [column for column in features.rows.column_names if column not in joined]


def visible(features):
    """Which partitions of features a label sees, as a condition on the two days."""
    match features.window:
        case "same":
            return "f.day = l.day"
        case "1 day before":
            return "f.day = l.day - 1"
        case "3 days with":
            return "f.day BETWEEN l.day - 2 AND l.day"
        case None:
            return "true"


def winners(case, features, folder):
    """A query for the number of each label and the row of features that it gets, by the rules of a point-in-time join."""
    labels, rows = (f"read_parquet('{folder}/{name}.parquet')" for name in [f"labels_{case.name}", features.name])
    same = " AND ".join(f"l.{column} = f.{column}" for column in features.entity)
    # The time to live counts from the label back, and its last moment still counts.
    alive = f"f.since >= l.at - {interval(features.ttl)}" if features.ttl else "true"
    if features.created or features.by_day:
        # What an ASOF join has no words for: a second time, days that are hidden, and rows of one moment in two partitions, of
        # which the one with the greatest values counts, column by column, null lowest.
        known = "f.known <= l.at" if features.created else "true"
        order = "f.since DESC" + (", f.known DESC" if features.created else "")
        order += "".join(f", f.{column} DESC NULLS LAST" for column in taken(features))
        return (
            f"SELECT l.label, f.* FROM {labels} AS l JOIN {rows} AS f ON {same} AND f.since <= l.at "
            f"AND {alive} AND {known} AND {visible(features)} "
            f"QUALIFY row_number() OVER (PARTITION BY l.label ORDER BY {order}) = 1"
        )
    return f"SELECT l.label, f.* FROM {labels} AS l ASOF JOIN {rows} AS f ON {same} AND l.at >= f.since WHERE {alive}"


def interval(ttl):
    """A length of time in microseconds, so that a day has 24 hours."""
    digits = "".join(character for character in ttl if character.isdigit())
    unit = ttl.removeprefix(digits).strip()[0]
    return f"to_microseconds({int(digits) * {'s': SECOND, 'm': 60 * SECOND, 'h': HOUR, 'd': DAY}[unit]})"


def expectation(case, folder):
    """The names of the training set's columns, and a query for its rows."""
    entities = [column for features in case.features for column in features.entity]
    labels = list(dict.fromkeys([*entities, "at", *case.carried]))
    all_names = labels + [column for features in case.features for column in taken(features)]
    names, selected, joins = list(labels), [f"l.{column}" for column in labels], []
    for place, features in enumerate(case.features):
        for column in taken(features):
            names.append(f"{features.name}__{column}" if all_names.count(column) > 1 else column)
            selected.append(f"w{place}.{column}")
        joins.append(f"LEFT JOIN ({winners(case, features, folder)}) AS w{place} ON w{place}.label = l.label")
    return names, f"SELECT {', '.join(selected)} FROM read_parquet('{folder}/labels_{case.name}.parquet') AS l {' '.join(joins)}"


def differing(connection, case, folder, location):
    """What differs between a training set and its expectation, in words; nothing if they are equal."""
    table = f"iceberg_scan('{location.removeprefix('file://')}')"
    expected_names, expected = expectation(case, folder)
    names = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {table}").fetchall()]
    if names != expected_names:
        return [f"columns {names}, expected {expected_names}"], 0, 0
    expected = f"SELECT * FROM ({expected}) AS e({', '.join(f'c{place}' for place in range(len(names)))})"
    told = []
    for what, one, other in [("is there", f"FROM {table}", expected), ("is missing", expected, f"FROM {table}")]:
        rows = connection.execute(f"SELECT row::VARCHAR FROM (({one}) EXCEPT ALL ({other})) AS row LIMIT 3").fetchall()
        told += [f"{what}: {row}" for (row,) in rows]
    first = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    matches = sum(
        connection.execute(f"SELECT count(*) FROM ({winners(case, features, folder)})").fetchone()[0]
        for features in case.features
    )
    return told, first, matches


def refused(folder):
    """Assets that must fail, each with a word of the reason; and what is not made because of them."""
    moment = datetime.datetime(2013, 3, 10, 12)
    columns = {
        "number": pyarrow.array([1, 1, 2], pyarrow.int64()),
        "name": pyarrow.array(["a", "b", "c"]),
        "since": pyarrow.array([moment, moment, moment], pyarrow.timestamp("us", tz="UTC")),
        "value": pyarrow.array([1.0, 2.0, 3.0]),
    }
    labels = pyarrow.table({"number": [1], "name": ["a"], "at": columns["since"][:1], "label": [0]})
    pyarrow.parquet.write_table(labels, folder / "labels_refused.parquet")
    without_zone = columns["since"].cast(pyarrow.timestamp("us"))
    no_number = pyarrow.array([1, None, 2], pyarrow.int64())
    no_time = pyarrow.array([moment, None, moment], pyarrow.timestamp("us", tz="UTC"))
    text_number = pyarrow.array(["1", "2", "3"])
    cases = {
        # name: (columns, whether the features themselves are refused, a word of the reason)
        "repeated": (columns, True, "unique(number, since)"),
        "no_entity": (columns | {"number": no_number}, True, "not_null(number)"),
        "no_time": (columns | {"number": pyarrow.array([1, 2, 3]), "since": no_time}, True, "not_null(since)"),
        "unlike_times": (columns | {"number": pyarrow.array([1, 2, 3]), "since": without_zone}, False, "time zone"),
        "unlike_entities": (columns | {"number": text_number}, False, "number"),
    }
    text = '[asset.bronze.labels_refused]\nkind = "ingest"\nfrom.files = { path = "raw/labels_refused.parquet" }\n'
    failed, skipped = {}, set()
    for name, (held, are_features_refused, reason) in cases.items():
        pyarrow.parquet.write_table(pyarrow.table(held), folder / f"{name}.parquet")
        text += (
            f'[asset.bronze.{name}]\nkind = "ingest"\nfrom.files = {{ path = "raw/{name}.parquet" }}\n'
            f'[asset.features.{name}]\nkind = "features"\nsql = "SELECT * FROM bronze.{name}"\nentity = ["number"]\ntimestamp = "since"\n'
            f'[asset.gold.{name}]\nkind = "training_set"\nfeatures = ["features.{name}"]\n'
            'labels = { from = "bronze.labels_refused", timestamp = "at", columns = ["label"] }\n'
        )
        failed[f"features.{name}" if are_features_refused else f"gold.{name}"] = reason
        if are_features_refused:
            skipped.add(f"gold.{name}")
    return text, failed, skipped


def steps(millpond, project):
    """Materializes all; the assets that failed, with all that was said of it, and those that were skipped."""
    made = subprocess.run([millpond, "-C", project, "--json", "materialize"], capture_output=True, text=True, check=False)
    if made.returncode != 1:
        sys.exit(f"exit code {made.returncode} where some assets must fail\n{made.stdout}\n{made.stderr}")
    connection = sqlite3.connect(f"file:{project}/.millpond/state.db?mode=ro", uri=True)
    rows = connection.execute("SELECT asset, status, failure FROM step WHERE status <> 'succeeded'").fetchall()
    connection.close()
    failed = {asset: failure for asset, status, failure in rows if status == "failed"}
    return failed, {asset for asset, status, _ in rows if status == "skipped"}


def main():
    if not 2 <= len(sys.argv) <= 4:
        sys.exit(__doc__)
    millpond = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 48
    seed = sys.argv[3] if len(sys.argv) > 3 else secrets.token_hex(4)
    print(f"{count} cases of the seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(1 if run(millpond, count, seed, pathlib.Path(folder)) else 0)


def run(millpond, count, seed, project):
    raw = project / "raw"
    raw.mkdir()
    (project / "assets").mkdir()
    (project / "millpond.toml").write_text(
        '[project]\nname = "random"\ntimezone = "America/New_York"\n\n'
        f'[partitions.days]\nevery = "day"\nstart = {DAYS[0]}\nend = {DAYS[-1]}\n'
    )
    cases = [make_case(seed, number) for number in range(count)]
    for case in cases:
        pyarrow.parquet.write_table(case.labels, raw / f"labels_{case.name}.parquet")
        for features in case.features:
            pyarrow.parquet.write_table(features.rows, raw / f"{features.name}.parquet")
        (project / "assets" / f"{case.name}.toml").write_text(declaration(case))
    text, must_fail, must_skip = refused(raw)
    (project / "assets" / "refused.toml").write_text(text)

    failed, skipped = steps(millpond, project)
    wrong = [f"{asset} failed: {failed[asset]}" for asset in failed.keys() - must_fail.keys()]
    wrong += [f"{asset} was to fail with `{must_fail[asset]}`, and did not" for asset in must_fail.keys() - failed.keys()]
    wrong += [
        f"{asset} was to fail with `{reason}`: {failed[asset]}"
        for asset, reason in must_fail.items()
        if asset in failed and reason not in failed[asset]
    ]
    if skipped != must_skip:
        wrong.append(f"{sorted(skipped)} were skipped, expected {sorted(must_skip)}")

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    duckdb_read.load_extensions(connection)
    tables = {f"{layer}.{name}": location for layer, name, location in figures.pointers(project / ".millpond" / "state.db")}
    rows = matches = 0
    for case in cases:
        location = tables.get(f"gold.{case.name}")
        if location is None:
            wrong.append(f"gold.{case.name} has no table\n{declaration(case)}")
            continue
        told, labels, matched = differing(connection, case, raw, location)
        rows, matches = rows + labels, matches + matched
        if told:
            wrong.append("\n  ".join([f"gold.{case.name}", *told, declaration(case)]))
    for line in wrong:
        print(line)
    print(f"{len(cases)} training sets, {rows} labels, {matches} of their features matched, {len(must_fail)} refused assets: {len(wrong)} wrong")
    return wrong or not matches


if __name__ == "__main__":
    main()
