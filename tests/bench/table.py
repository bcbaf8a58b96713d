#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lay out what tests/bench/run measured: below its mark, docs/benchmarks.md gets a section for each benchmark that has figures.
Sections of benchmarks that have none stay as they are.

    tests/bench/table.py [results/bench.json]
"""
import importlib
import json
import pathlib
import sys

import common

DOCUMENT = common.ROOT / "docs" / "benchmarks.md"
MARK = "<!-- From here on written by tests/bench/table.py -->\n"
ORDER = ("parity", "conditioning", "variance", "further", "noise", "schedules", "coverage", "speed", "learning", "growth", "mpi", "memory",
         "recurrent", "determinism")


def text_of(cell):
    return cell["text"] if isinstance(cell, dict) else str(cell)


def lay_out(table):
    lines = [table["columns"], ["---"] * len(table["columns"]), *table["rows"]]
    return "\n".join(f"| {' | '.join(map(text_of, line))} |" for line in lines) + "\n"


def section(benchmark, name, result):
    title, words = benchmark.__doc__.strip().split("\n\n", 1)
    where = f"`tests/bench/run {name}` on {result['machine']}; commit {result['commit']}."
    return "\n".join([f"{title}\n", words + "\n", where + "\n", *map(lay_out, benchmark.tables(result["figures"]))])


def main(path=common.ROOT / "results" / "bench.json"):
    found = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))["benchmarks"]
    head, _, tail = DOCUMENT.read_text(encoding="utf-8").partition(MARK)
    old = {part.partition("\n")[0]: part.rstrip() + "\n" for part in tail.split("\n## ")[1:]}
    sections = []
    for name in ORDER:
        benchmark = importlib.import_module(f"bench_{name}")
        title = benchmark.__doc__.partition("\n")[0]
        if "figures" in found.get(name, {}):
            sections.append(section(benchmark, name, found[name]))
        elif title in old:
            sections.append(old[title])
    DOCUMENT.write_text(head + MARK + "".join(f"\n## {text}" for text in sections), encoding="utf-8")
    print(DOCUMENT.relative_to(common.ROOT))


if __name__ == "__main__":
    main(*sys.argv[1:2])
