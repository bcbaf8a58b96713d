#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether stated bounds hold

`dynaprec learn` states a bound that the drop of top-1 is below with 95% confidence, from check samples. For each seed the 2,000
images are dealt out anew: 1,000 to learn from and to check on, half and half, as `learn` does by itself, and 1,000 others, on which
the schedule's drop is then measured with 64 draws of the noise each. The bound *covers* where that drop is no more. What is measured on 1,000
images is off by a sampling error of its own, so that a bound of 95% for all images that there are is met less often here: with errors as large as
those of the check set, and no allowance for anything else, 1,000 others would be covered 91 times of 100 for 500 check images.

    dynaprec learn MODEL.onnx --data half.npz --hardware homodyne --max-drop 2 --granularity channel --seed SEED
    dynaprec eval MODEL.onnx --data others.npz --schedule schedule.yaml --trials 64

BENCH_SEEDS is the number of seeds (100). Seeds that were measured with the same program are kept in results/coverage, and not measured again.
"""
import hashlib
import json
import os
import pathlib
import re

import common

NETWORK, GRAIN, DROP, TRIALS, LEAST = "resnet20", "channel", 2, 64, 0.90
SEEDS = int(os.environ.get("BENCH_SEEDS", 100))
BUDGET, UNMET = 4, 5  # exit statuses: no precision meets it; ended without meeting it


def deal(network, seed, folder):
    """Two files of as many images: those that learning gets, and others."""
    import numpy as np

    files = [np.load(network.file(which)) for which in ("learn", "check")]
    x, y = (np.concatenate([z[name] for z in files]) for name in ("x", "y"))
    order, half = np.random.RandomState(seed).permutation(len(x)), common.few(len(x) // 2)
    paths = []
    for name, chosen in (("half", order[:half]), ("others", order[-half:])):
        paths.append(pathlib.Path(folder) / f"{name}.npz")
        np.savez(paths[-1], x=x[chosen], y=y[chosen], mean=files[0]["mean"], std=files[0]["std"])
    return paths


def without_uniform(schedule):
    """Uniform precision is measured, too, where a schedule names it: twice the time, for nothing here."""
    text = schedule.read_text(encoding="utf-8")
    head, uniform, tail = re.split(r"(?m)^(  uniform:\n(?:    .*\n)*)", text, maxsplit=1)
    schedule.write_text(head + re.sub(r"(?m)^    repetitions: .*$", "    repetitions: null", uniform) + tail, encoding="utf-8")
    return schedule


def measure_seed(network, seed):
    with common.scratch() as folder:
        half, others = deal(network, seed, folder)
        schedule = pathlib.Path(folder) / "schedule.yaml"
        found, status = common.dynaprec("learn", network.path, "--data", half, "--hardware", "homodyne", "--max-drop", DROP,
                                        "--granularity", GRAIN, "--seed", seed, "--cache", "none", "-o", schedule,
                                        allow=(BUDGET, UNMET))
        if status == BUDGET:
            return {"status": "no precision meets it"}
        again, _ = common.dynaprec("eval", network.path, "--data", others, "--schedule", without_uniform(schedule),
                                   "--trials", TRIALS, "--seed", 100_000 + seed)
    return {"status": found["status"], "checks": found["checks"], "drop": found["learned"]["drop"],
            "bound": found["learned"]["drop_upper"], "others": again["noisy"]["drop"],
            "others_interval": again["noisy"]["drop_interval"], "energy": found["learned"]["energy_per_mac_aj"]}


def kept(seed):
    """The file of a seed, which belongs to the program and to what it was asked for."""
    digest = hashlib.sha256((common.BUILD / "dynaprec").read_bytes())
    digest.update(repr((NETWORK, GRAIN, DROP, TRIALS, common.few(1000))).encode())
    return common.ROOT / "results" / "coverage" / digest.hexdigest()[:16] / f"{seed}.json"


def measure():
    network = common.chosen([NETWORK]).get(NETWORK)
    if network is None:
        common.skip(f"BENCH_NETWORKS does not name {NETWORK}")
    for seed in range(1, SEEDS + 1):
        path = kept(seed)
        if path.exists():
            figure = json.loads(path.read_text(encoding="utf-8"))
        else:
            common.say(f"seed {seed} of {SEEDS}")
            figure = measure_seed(network, seed)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(figure), encoding="utf-8")
        yield {str(seed): figure}


def mean(values):
    return sum(values) / len(values)


def tables(figures):
    stated = {seed: figure for seed, figure in figures.items() if "bound" in figure}
    if not stated:
        return []
    missed = {seed: f for seed, f in stated.items() if f["others"] > f["bound"]}
    covered = (len(stated) - len(missed)) / len(stated)
    rows = [[common.NETWORKS[NETWORK].title, GRAIN, str(len(stated)), str(len(stated) - len(missed)),
             common.held(covered, "{:.0%}", least=LEAST),
             *(f"{mean([f[key] for f in stated.values()]):.2f}" for key in ("bound", "drop", "others", "checks"))]]
    result = [{"columns": ["network", "per", "seeds", "covered", "share", "mean bound", "mean drop, check images",
                           "mean drop, others", "looks"], "rows": rows}]
    if missed:
        rows = [[seed, f"{f['bound']:.2f}", f"{f['others']:.2f}", " to ".join(f"{end:.2f}" for end in f["others_interval"])]
                for seed, f in missed.items()]
        result.append({"columns": ["not covered: seed", "bound", "drop on others", "its 95% interval"], "rows": rows})
    return result


if __name__ == "__main__":
    common.main(measure, tables)
