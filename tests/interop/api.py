"""Holds what the daemon answers under /api/v1 against its own description of it, by schemathesis.

usage: api.py MILLPOND [CASES [SEED]]       exit code 1 and what does not conform, if anything does not

Makes a project with a little of everything, starts the daemon on it, makes its assets, and asks every operation that
/api/v1/openapi.json describes: with names that exist, with names that do not, with fields of every wrong type. What is asked of
what exists may really start, stop, pause and resume it. No answer may be a server's error; each has to have a status, a type and
a shape that the description names; a request that the description forbids must be refused. Then the same changes are asked for
without the token, and none may be made. CASES is how many requests each operation gets in the part that is left to chance (20 by
default); the seed is printed, and given again it asks the same.
"""

import json
import os
import pathlib
import secrets
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

FILES = {
    "millpond.toml": """
[project]
name = "api"

[lakehouse]
warehouse = "lake"

[partitions.daily]
every = "day"
start = 2013-01-01
end   = 2013-01-05

[schedule.leap_day]
cron   = "0 6 29 2 *"
select = "gold.sample"

[sensor.landing]
kind   = "files"
path   = "landing/*.csv"
select = "gold.sample"

[sensor.told]
kind   = "webhook"
secret = { env = "API_HOOK_SECRET" }
select = "gold.sample"

[alert.log]
command = ["true"]
""",
    "assets/all.toml": """
[asset.bronze.days]
description = "Five days, one of which fails"
kind        = "sql"
partitions  = { use = "daily", column = "day" }
sql         = "SELECT CAST($partition_key AS DATE) AS day, 1.5 AS amount"
checks      = [{ name = "no fourth day", sql = "SELECT * FROM this WHERE date_part('day', day) = 4" }]

[asset.gold.sample]
kind       = "sql"
key        = ["id"]
owner      = "data@example.com"
tags       = ["small"]
automation = "eager"
freshness  = { within = "26h" }
sql        = "SELECT value AS id, value % 7 AS x, value % 7 + value % 3 > 4 AS y FROM generate_series(1, 400)"

[asset.models.tiny]
kind     = "training"
from     = "gold.sample"
target   = "y"
features = ["x"]
trainer  = { algorithm = "logistic_regression" }
split    = { by = "id", test_share = 0.25 }

[asset.predictions.tiny]
kind  = "inference"
model = "models.tiny@champion"
from  = "gold.sample"
keep  = ["id"]

[asset.reports.log]
kind    = "command"
needs   = ["gold.sample"]
command = ["sh", "-c", "echo a line; exit 3"]
""",
}


class Daemon:
    """The daemon on a project of its own."""

    def __init__(self, millpond, folder):
        for name, text in FILES.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.log = open(folder / "daemon.log", "w")
        command = [millpond, "--project", str(folder), "--json", "up", "--port", "0"]
        secret = {**os.environ, "API_HOOK_SECRET": secrets.token_hex(16)}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True, env=secret)
        self.url = json.loads(self.process.stdout.readline())["url"]
        self.token = (folder / ".millpond" / "token").read_text().strip()

    def ask(self, method, path, body=None, token=True):
        """Status and body of an answer."""
        request = urllib.request.Request(self.url + path, method=method)
        if token:
            request.add_header("Authorization", f"Bearer {self.token}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def get(self, path):
        status, body = self.ask("GET", path)
        assert status == 200, (path, status, body)
        return body

    def run(self, **body):
        """Asks for a run and waits for its end."""
        status, answer = self.ask("POST", "/api/v1/runs", body)
        assert status == 200 and answer["answer"] == "accepted", (status, answer)
        after = 0
        while self.get(f"/api/v1/runs/{answer['run']}")["run"]["row"]["status"] in ("queued", "running"):
            rows = self.get(f"/api/v1/events?after={after}&wait=5")["rows"]
            after = rows[-1]["seq"] if rows else after
        return answer["run"]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.log.close()


def known(daemon, run):
    """Names that exist, by the parameter that they are asked by."""
    facts = daemon.get(f"/api/v1/runs/{run}")
    assets = [row["asset"] for row in daemon.get("/api/v1/assets")["assets"]]
    return {
        "key": assets,
        "asset": assets,
        "model": ["models.tiny"],
        "alias": ["champion"],
        "schedule": ["leap_day"],
        "sensor": ["landing", "told"],
        "alert": ["log"],
        "run": [run],
        "attempt": [attempt["attempt"] for attempt in facts["attempts"]],
        "partition": ["2013-01-02", "2013-01-04"],
        "column": ["day", "id"],
        "check": ["no fourth day"],
        "selection": ["*", "bronze.days", "gold.sample+"],
        "table": ["gold.sample"],
        "focus": ["gold.sample"],
        "sql": ["SELECT 1", "SELECT * FROM gold.sample", "SELECT nothing"],
        "level": ["info"],
    }


def with_examples(described, names):
    """The description with names that exist beside each field that takes one."""
    for operations in described["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", []):
                values = names.get(parameter["name"])
                if values and "enum" not in parameter["schema"]:
                    parameter["examples"] = {str(number): {"value": value} for number, value in enumerate(values)}
                    # Chance alone would never find one.
                    parameter["schema"] = {"anyOf": [{"enum": values}, parameter["schema"]]}
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            for name, field in content.get("schema", {}).get("properties", {}).items():
                if name in names:
                    content["schema"]["properties"][name] = {"anyOf": [{"enum": names[name]}, field]}
    return described


def without_token(daemon, described):
    """Every change that is described, asked for by somebody who has no token."""
    wrong = []
    for path, operations in described["paths"].items():
        for method in operations:
            status, _ = daemon.ask(method.upper(), path.replace("{", "").replace("}", ""), body={} if method == "post" else None, token=False)
            if status != 401:
                wrong.append(f"{method.upper()} {path} is answered with {status} to somebody without a token")
    return wrong


def main():
    millpond = sys.argv[1]
    cases = sys.argv[2] if len(sys.argv) > 2 else "20"
    seed = sys.argv[3] if len(sys.argv) > 3 else str(secrets.randbelow(2**32))
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        daemon = Daemon(millpond, folder)
        try:
            run = daemon.run(selection="*")
            described = daemon.get("/api/v1/openapi.json")
            before = daemon.get("/api/v1/events?newest=true")
            wrong = without_token(daemon, described)
            if daemon.get("/api/v1/events?newest=true") != before:
                wrong.append("something was changed by somebody without a token")
            (folder / "openapi.json").write_text(json.dumps(with_examples(described, known(daemon, run))))
            command = [str(pathlib.Path(sys.executable).with_name("schemathesis")), "run", str(folder / "openapi.json")]
            command += ["--url", daemon.url, "--header", f"Authorization: Bearer {daemon.token}", "--seed", seed]
            command += ["--phases", "examples,coverage,fuzzing", "--max-examples", cases, "--request-timeout", "60"]
            command += ["--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"]
            command += ["--suppress-health-check", "all", "--continue-on-failure", "--warnings", "off", "--no-color"]
            found = subprocess.run(command, cwd=folder, env={**os.environ, "SCHEMATHESIS_HOOKS": ""})
            # What was asked for at the end may still be under way; the state has to be whole.
            checked = subprocess.run([millpond, "--project", str(folder), "fsck"], stdout=subprocess.PIPE, text=True)
            if checked.returncode != 0:
                wrong.append(f"fsck found: {checked.stdout}")
        finally:
            daemon.stop()
        for line in wrong:
            print(line)
        sys.exit(1 if wrong or found.returncode else 0)


if __name__ == "__main__":
    main()
