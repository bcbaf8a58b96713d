#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Conditioned networks compute the same

Conditioning rewrites a network ([methods.md](methods.md), "Conditioning"): its sites read alpha (x - mu), and weights and biases make
up for it. Here every site that allows it gets a mu and an alpha drawn at random, of the size that activations have, and products of
attention are centred over positions. The rewritten network is written as a plain ONNX file; ONNX Runtime executes the file, and
`dynaprec run` too. The table has the largest difference of any output from what `dynaprec run` computes for the network as it
was, as a share of the largest output. "Taken in" counts the alphas that went into the node before, so that they cost nothing.
"""
import common

SAMPLES = {"resnet20": 256, "resnet50": 32, "mobilenetv2": 32, "dscnn": 200, "llama": 16, "charlstm": 128,
           "charlstm_unrolled": 128}
ALLOWED = 1e-4
SEED = 1


def share(outputs):
    """The largest difference of a network's outputs, each over its largest value."""
    return max(found["largest_difference"] / found["largest_value"] for found in outputs.values())


def compare(ours, theirs):
    import numpy as np

    with np.load(ours) as a, np.load(theirs) as b:
        return {name: {"largest_difference": float(np.abs(a[name] - b[name]).max()),
                       "largest_value": float(np.abs(a[name]).max())} for name in a.files}


def run(model, inputs, outputs):
    common.run(common.BUILD / "dynaprec", "run", model, "--inputs", inputs, "-o", outputs, "--quiet")


def condition(network, samples, folder):
    inputs = common.subset(network, "check", samples, folder)
    plain, written, again = f"{folder}/plain.npz", f"{folder}/conditioned.onnx", f"{folder}/conditioned.npz"
    counts = common.json.loads(common.run(common.BUILD / "bench" / "condition", network.path, written, SEED)[0])
    run(network.path, inputs, plain)
    run(written, inputs, again)
    ort = common.onnxruntime(written, inputs, plain, "--batch", 8)
    if not ort:
        common.skip("ONNX Runtime is not there (set ORT_NODE_MODULES)")
    return counts | {"samples": samples, "version": ort["version"], "dynaprec": share(compare(plain, again)),
                     "onnxruntime": share(ort["outputs"])}


def measure():
    for name, network in common.chosen(SAMPLES).items():
        common.say(network.title)
        with common.scratch() as folder:
            yield {name: condition(network, common.few(SAMPLES[name]), folder)}


def tables(figures):
    rows = [[common.NETWORKS[name].title, found["samples"], found["sites"], found["centred"], found["balanced"],
             found["folded"], found["positions"], common.held(found["onnxruntime"], "{:.0e}", most=ALLOWED),
             common.held(found["dynaprec"], "{:.0e}", most=ALLOWED)] for name, found in figures.items()]
    version = next(iter(figures.values()))["version"] if figures else ""
    columns = ["network", "samples", "sites", "centred", "balanced", "taken in", "over positions",
               f"ONNX Runtime {version}", "dynaprec"]
    return [{"columns": columns, "rows": rows}]


if __name__ == "__main__":
    common.main(measure, tables)
