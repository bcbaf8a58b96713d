#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Learning as a whole

Two threads: all that `dynaprec learn` does for a schedule that keeps top-1 within 2 points, from reading the files to the certified
result, uniform precision included, per channel and with nothing kept from earlier runs. Its time is given in *noisy passes*: what one
draw of the noise over all samples to learn from takes, measured by `tests/bench/speed.c` before and after it.

Beside it the procedure of Garg et al.: Adam (learning rate 0.01, batches of 32) on the logarithms of the energies with cross-entropy
on the labels and a penalty for energy above the target, 1,500 steps for one target. `tests/bench/peer_adam.py` does it in PyTorch with
`examples/pytorch/analog.py` and OpenBLAS's same kernels; a few steps are measured behind one that warms up, and 1,500 times their
median is what it is compared with. That leaves out its check, and the targets that have to be tried until one keeps within 2 points.

    dynaprec learn MODEL.onnx --data learn.npz --check check.npz --hardware homodyne --max-drop 2 --granularity channel \\
        --cache none --threads 2
"""
import pathlib

import common

NETWORKS = {"resnet50": {"passes": 60, "ratio": 100}, "resnet20": {}}
THREADS, REPETITIONS, PASSES = 2, 20, 2
STEPS, MEASURED = 1500, 3
BUDGET, UNMET = 4, 5


def passes(network, data):
    """Seconds of a noisy pass over the file, again and again."""
    found = common.speed("network", network.path, data, common.HARDWARE / "homodyne.yaml", REPETITIONS, THREADS, PASSES)
    return [found["samples"] / rate for rate in found["noisy"]]


def learn(network, files, folder):
    before = passes(network, files["learn"])
    cost = common.cost(common.BUILD / "dynaprec", "learn", network.path, "--data", files["learn"], "--check", files["check"],
                       "--hardware", "homodyne", "--max-drop", 2, "--granularity", "channel", "--cache", "none",
                       "--threads", THREADS, "--quiet", "-o", pathlib.Path(folder) / "schedule.yaml", allow=(BUDGET, UNMET))
    return {"pass": before + passes(network, files["learn"]), "seconds": cost.seconds, "processor": cost.processor,
            "megabytes": cost.megabytes, "samples": {which: common.samples_in(file) for which, file in files.items()}}


def procedure(network, data):
    if not common.pytorch():
        return None
    kernels = common.speed("gemm", 1, 1)["kernels"]
    return common.peer("peer_adam.py", network.path, "--data", data, "--steps", MEASURED, "--threads", THREADS,
                       OPENBLAS_CORETYPE=kernels)


def measure():
    for name, network in common.chosen(NETWORKS).items():
        with common.scratch() as folder:
            files = {which: common.subset(network, which, common.few(10**6), folder) for which in ("learn", "check")}
            if common.selected([f"{name} learn"]):
                common.say(f"{network.title}: learning")
                yield {name: {"dynaprec": learn(network, files, folder)}}
            if common.selected([f"{name} adam"]):
                common.say(f"{network.title}: the paper's procedure, {MEASURED} steps")
                yield {name: {"adam": procedure(network, files["learn"])}}


def held(value, form, **limit):
    """Beside its limit, where it has one."""
    (bound,) = limit.values()
    return form.format(value) if bound is None else common.held(value, form, **limit)


def row(name, figure):
    limits, found, adam = NETWORKS[name], figure["dynaprec"], figure.get("adam")
    one = common.median(found["pass"])
    cells = [common.NETWORKS[name].title, f"{found['samples']['learn']} + {found['samples']['check']}",
             f"{found['seconds']:.0f} s", f"{one:.1f} s",
             held(found["seconds"] / one, "{:.0f}", most=limits.get("passes"))]
    if not adam:
        return [*cells, "not measured", "not measured", "not measured"]
    step = common.median(adam["seconds"])
    return [*cells, f"{step:.1f} s", f"{STEPS * step / 3600:.1f} h",
            held(STEPS * step / found["seconds"], "{:.0f}", least=limits.get("ratio"))]


def tables(figures):
    columns = ["network", "samples", "learn", "a noisy pass", "learn, in passes", "a step of Adam", f"{STEPS} steps",
               "steps, in learns"]
    rows = [row(name, figures[name]) for name in NETWORKS if "dynaprec" in figures.get(name, {})]
    return [{"columns": columns, "rows": rows}]


if __name__ == "__main__":
    common.main(measure, tables)
