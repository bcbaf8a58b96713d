#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several processes

`dynaprec-mpi` as 2 processes of one thread beside one process of one and of two threads, on the same machine and files: ResNet-20 and
1,000 images, with an energy budget, so that all do the same passes. Runs take turns; times are the wall's, for everything, medians
over the turns, ratios medians within each turn. Two processes share every pass, and wait for each other after it.

    mpirun -n 2 dynaprec-mpi learn MODEL.onnx --data learn.npz --hardware homodyne --energy 5aJ/MAC --granularity channel \\
        --trials 8 --cache none --threads 1
"""
import os
import pathlib

import common

IMAGES = {"resnet20": 1000}
ROUNDS = int(os.environ.get("BENCH_ROUNDS", 5))
WAYS = {"1 rank x 1 thread": (1, 1), "1 rank x 2 threads": (1, 2), "2 ranks x 1 thread": (2, 1)}
OF_THREADS = 0.85  # two ranks against two threads


def learn(network, data, ranks, threads, folder):
    cost = common.cost(*common.ranks(ranks), "learn", network.path, "--data", data, "--hardware", "homodyne",
                       "--energy", "5aJ/MAC", "--granularity", "channel", "--trials", 8, "--cache", "none",
                       "--threads", threads, "--quiet", "-o", pathlib.Path(folder) / "schedule.yaml")
    return cost.seconds


def measure():
    for name, network in common.chosen(IMAGES).items():
        with common.scratch() as folder:
            data, turns = common.subset(network, "learn", common.few(IMAGES[name]), folder), []
            for number in range(ROUNDS):
                common.say(f"{network.title}, turn {number + 1} of {ROUNDS}")
                turns.append({way: learn(network, data, *WAYS[way], folder) for way in WAYS})
                yield {name: turns}


def tables(figures):
    times, ratios = [], []
    for name, turns in figures.items():
        one, threads, ranks = WAYS
        title = common.NETWORKS[name].title
        times.append([title, *(f"{common.median([turn[way] for turn in turns]):.1f} s" for way in WAYS)])
        ratios.append([title, f"{common.median([turn[one] / turn[threads] / 2 for turn in turns]):.0%}",
                       f"{common.median([turn[one] / turn[ranks] / 2 for turn in turns]):.0%}",
                       common.held(common.median([turn[threads] / turn[ranks] for turn in turns]), "{:.2f}", least=OF_THREADS)])
    return [{"columns": ["network", *WAYS], "rows": times},
            {"columns": ["network", "efficiency of 2 threads", "efficiency of 2 ranks", "2 ranks, of 2 threads' speed"],
             "rows": ratios}]


if __name__ == "__main__":
    common.main(measure, tables)
