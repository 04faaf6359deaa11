"""Holds the locked dependencies against deny.toml: licences that may be linked, banned packages, sources. It needs nothing but cargo
and the standard library; `cargo deny check` reads the same file and looks for advisories as well.

usage: dependencies.py        from the workspace's folder; exit code 1 and what is not allowed, if anything is not
"""

import json
import pathlib
import re
import subprocess
import sys
import tomllib

CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"


def is_allowed(expression, allowed):
    """Whether an SPDX expression can be satisfied by the allowed licences. AND binds closer than OR; `/` is an old way to write OR."""
    words = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))

    def either():
        one = both()
        while words and words[0] == "OR":
            words.pop(0)
            # Not short-circuited: the words have to be read in any case.
            one = both() or one
        return one

    def both():
        one = single()
        while words and words[0] == "AND":
            words.pop(0)
            one = single() and one
        return one

    def single():
        word = words.pop(0)
        if word == "(":
            inside = either()
            words.pop(0)
            return inside
        if words and words[0] == "WITH":
            words.pop(0)
            word += " WITH " + words.pop(0)
        return word in allowed

    return either()


def graph(target):
    """The packages that are built for a target and who depends on whom, by id."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    packages = {package["id"]: package for package in told["packages"]}
    nodes = {node["id"]: node["dependencies"] for node in told["resolve"]["nodes"]}
    return {identifier: packages[identifier] for identifier in nodes}, nodes


def complaints(rules, packages, nodes):
    allowed = set(rules["licenses"]["allow"])
    for package in packages.values():
        name = f"{package['name']} {package['version']}"
        if not package["license"] or not is_allowed(package["license"], allowed):
            yield f"{name}: the licence {package['license']} is not allowed"
        # The workspace's own packages have no source.
        if package["source"] not in {None, CRATES_IO}:
            yield f"{name}: comes from {package['source']}"
    for ban in rules["bans"]["deny"]:
        for identifier, dependencies in nodes.items():
            user = packages[identifier]["name"]
            banned = any(packages[dependency]["name"] == ban["name"] for dependency in dependencies)
            if banned and user not in ban.get("wrappers", []):
                yield f"{user} depends on {ban['name']}, which is banned"


def main():
    rules = tomllib.loads(pathlib.Path("deny.toml").read_text(encoding="utf-8"))
    found, count = set(), 0
    for target in rules["graph"]["targets"]:
        packages, nodes = graph(target)
        count = max(count, len(packages))
        found.update(complaints(rules, packages, nodes))
    for line in sorted(found):
        print(line)
    print(f"{count} packages against deny.toml: {len(found)} not allowed")
    sys.exit(1 if found or not count else 0)


if __name__ == "__main__":
    main()
