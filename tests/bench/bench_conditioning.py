#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Conditioned networks compute the same

Conditioning rewrites a network ([methods.md](methods.md), "Conditioning"): its sites read alpha (x - mu), and weights and biases make
up for it. In the first table every site that allows it gets a mu and an alpha drawn at random, of the size that activations have, and
products of attention are centred over positions. In the second one a schedule is learned (`--condition both`, shot noise), and
`dynaprec export --to onnx` writes its network. ONNX Runtime executes these files, and `dynaprec run` too. The tables have the
largest difference of any output from what `dynaprec run` computes for the network as it was, as a share of the largest output.
"Taken in" counts the alphas that went into the node before, so that they cost nothing.
"""
import common

SAMPLES = {"resnet20": 256, "resnet50": 32, "mobilenetv2": 32, "dscnn": 200, "llama": 16, "charlstm": 128,
           "charlstm_unrolled": 128}
ALLOWED = 1e-4
UNMET = 5  # exit status of a schedule that is written all the same
SEED = 1
LEARN_FROM = 32  # samples: enough to have means
LEARN = ["--hardware", "homodyne", "--condition", "both", "--energy", "20aJ/MAC", "--search", "clean-point", "--trials", 1,
         "--cache", "none"]


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


def at_random(network, folder):
    """A network with all of it conditioned, and how much that is."""
    written = f"{folder}/random.onnx"
    return written, common.json.loads(common.run(common.BUILD / "bench" / "condition", network.path, written, SEED)[0])


def as_learned(network, folder):
    import yaml

    schedule, written = f"{folder}/schedule.yaml", f"{folder}/learned.onnx"
    data = common.subset(network, "learn", LEARN_FROM, folder)
    common.dynaprec("learn", network.path, "--data", data, *LEARN, "-o", schedule, allow=(UNMET,))
    common.run(common.BUILD / "dynaprec", "export", schedule, "--model", network.path, "--to", "onnx", "-o", written,
               "--quiet")
    with open(schedule, encoding="utf-8") as file:
        found = yaml.safe_load(file)
    sites = found.get("conditioning", {}).get("sites", [])
    return written, {"sites": len(found["layers"]), "conditioned": len(sites)}


def hold(network, count, folder):
    inputs, plain, again = common.subset(network, "check", count, folder), f"{folder}/plain.npz", f"{folder}/again.npz"
    run(network.path, inputs, plain)
    figures = {"samples": count}
    for kind, condition in ("random", at_random), ("learned", as_learned):
        written, counts = condition(network, folder)
        run(written, inputs, again)
        ort = common.onnxruntime(written, inputs, plain, "--batch", 8)
        if not ort:
            common.skip("ONNX Runtime is not there (set ORT_NODE_MODULES)")
        figures["version"] = ort["version"]
        figures[kind] = counts | {"dynaprec": share(compare(plain, again)), "onnxruntime": share(ort["outputs"])}
    return figures


def measure():
    for name, network in common.chosen(SAMPLES).items():
        common.say(network.title)
        with common.scratch() as folder:
            yield {name: hold(network, common.few(SAMPLES[name]), folder)}


def tables(figures):
    counted = {"random": {"sites": "sites", "centred": "centred", "balanced": "balanced", "folded": "taken in",
                          "positions": "over positions"},
               "learned": {"sites": "sites", "conditioned": "conditioned"}}
    version = next(iter(figures.values()))["version"] if figures else ""
    result = []
    for kind, counts in counted.items():
        rows = [[common.NETWORKS[name].title, found["samples"], *(found[kind][key] for key in counts),
                 *(common.held(found[kind][runtime], "{:.0e}", most=ALLOWED) for runtime in ("onnxruntime", "dynaprec"))]
                for name, found in figures.items()]
        columns = ["network", "samples", *counts.values(), f"ONNX Runtime {version}", "dynaprec"]
        result.append({"columns": columns, "rows": rows})
    return result


if __name__ == "__main__":
    common.main(measure, tables)
