#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same schedule again

`dynaprec learn` per channel with the same files and options: on one thread and on two, each twice, then `dynaprec-mpi` as 1, 2 and 3
processes of one thread each. Every byte of a network's schedules has to be the same. ResNet-20 learns from 300 images, ResNet-50
from 32. Without `--cache none` a repeated run would read what the first one kept, and show nothing.

    dynaprec learn MODEL.onnx --data FILE.npz --hardware homodyne --max-loss 0.2 --granularity channel --cache none --threads N
    mpirun -n P dynaprec-mpi learn ... --threads 1
"""
import hashlib
import pathlib

import common

IMAGES = {"resnet20": 300, "resnet50": 32}
RUNS = {"1 thread": (0, 1), "2 threads": (0, 2), "1 thread again": (0, 1), "2 threads again": (0, 2),
        "1 rank": (1, 1), "2 ranks": (2, 1), "3 ranks": (3, 1)}


def learn(network, data, ranks, threads, schedule):
    program = common.ranks(ranks) if ranks else [common.BUILD / "dynaprec"]
    cost = common.cost(*program, "learn", network.path, "--data", data, "--hardware", "homodyne", "--max-loss", 0.2,
                       "--granularity", "channel", "--cache", "none", "--threads", threads, "--quiet", "-o", schedule)
    return {"bytes": schedule.stat().st_size, "sha256": hashlib.sha256(schedule.read_bytes()).hexdigest(),
            "seconds": round(cost.seconds, 1)}


def measure():
    for name, network in common.chosen(IMAGES).items():
        with common.scratch() as folder:
            data = common.subset(network, "learn", common.few(IMAGES[name]), folder)
            for key in common.selected([f"{name} {way}" for way in RUNS]):
                common.say(key)
                yield {name: {key.partition(" ")[2]: learn(network, data, *RUNS[key.partition(" ")[2]],
                                                           pathlib.Path(folder) / "schedule.yaml")}}


def tables(figures):
    rows, counts = [], []
    for name, runs in figures.items():
        title = common.NETWORKS[name].title
        rows += [[title, way, runs[way]["bytes"], f"`{runs[way]['sha256'][:16]}`", f"{runs[way]['seconds']:.0f} s"]
                 for way in RUNS if way in runs]
        different = len({run["sha256"] for run in runs.values()})
        counts.append([title, len(runs), common.held(different, "{}", most=1)])
    return [{"columns": ["network", "on", "bytes", "SHA-256", "time"], "rows": rows},
            {"columns": ["network", "runs", "different schedules"], "rows": counts}]


if __name__ == "__main__":
    common.main(measure, tables)
