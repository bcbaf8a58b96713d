#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same outputs without noise

`dynaprec run` computes the logits of each network; ONNX Runtime and PyTorch (through `examples/pytorch/analog.py`) compute
them again from the same samples. All three work in float32 and add in different orders. The table has the largest difference
of any logit; for image and sound networks, whose logits have no scale of their own, the limit is on its share of
the largest logit. The language models are also judged by `dynaprec eval` on all of their samples, against what those who
prepared them measured in ONNX Runtime.
"""
import re

import common

SAMPLES = {"resnet20": 256, "resnet50": 32, "mobilenetv2": 32, "dscnn": 200, "llama": 16, "charlstm": 128,
           "charlstm_unrolled": 128}
LANGUAGE = ("llama", "charlstm", "charlstm_unrolled")
RELATIVE, ABSOLUTE = 1e-3, 1e-4
ROUNDING = 1e-4  # of figures given with four decimals


def compare(analog, network, inputs, outputs):
    """Against PyTorch, as peer_onnxruntime.mjs does it; None for operators that the interpreter does not have."""
    import numpy as np
    import torch

    try:
        graph = analog.Network(network.path)
    except NotImplementedError:
        return None
    x, _ = analog.read_data(inputs, graph)
    model = analog.Analog(graph, analog.Hardware())
    theirs = torch.cat([model(batch) for batch in analog.batches_of(x, 8)]).numpy()
    with np.load(outputs) as z:
        ours = z[graph.outputs[0]]
    return {"largest_difference": float(np.abs(ours - theirs).max()), "largest_value": float(np.abs(theirs).max()),
            "same_top1": float((ours.argmax(-1) == theirs.argmax(-1)).mean())}


def outputs_agree(network, count, folder):
    inputs, outputs = common.subset(network, "check", count, folder), f"{folder}/out.npz"
    common.run(common.BUILD / "dynaprec", "run", network.path, "--inputs", inputs, "-o", outputs, "--quiet")
    peers = {}
    if ort := common.onnxruntime(network.path, inputs, outputs, "--batch", 8):
        [peers[f"ONNX Runtime {ort['version']}"]] = ort["outputs"].values()
    if (analog := common.pytorch()) and (torch := compare(analog, network, inputs, outputs)):
        peers[f"PyTorch {common.pytorch_version()}"] = torch
    return peers


def language(network):
    """Top-1 and cross-entropy without noise: what SOURCE.txt says, and what `eval` measures beside its noise."""
    said = re.search(r"top-1 ([\d.]+).*?cross-entropy ([\d.]+)",
                     (network.path.parent / "SOURCE.txt").read_text(encoding="utf-8"))
    found, _ = common.dynaprec("eval", network.path, "--data", network.file("check"), "--hardware", "homodyne",
                               "--repetitions", 65536, "--trials", 1)
    return {"samples": found["samples"], "loss": found["clean"]["loss"], "top1": found["clean"]["top1"],
            "said": {"top1": float(said[1]), "loss": float(said[2].rstrip("."))}}


def measure():
    for name, network in common.chosen(SAMPLES).items():
        common.say(network.title)
        count = common.few(SAMPLES[name])
        with common.scratch() as folder:
            peers = outputs_agree(network, count, folder)
        if not peers:
            common.skip("neither ONNX Runtime (set ORT_NODE_MODULES) nor python3-torch and python3-onnx are there")
        yield {name: {"samples": count, "peers": peers} | ({"language": language(network)} if name in LANGUAGE else {})}


def tables(figures):
    outputs, words = [], []
    for name, figure in figures.items():
        title = common.NETWORKS[name].title
        for peer, found in figure["peers"].items():
            absolute, share = found["largest_difference"], found["largest_difference"] / found["largest_value"]
            cells = ([common.held(absolute, "{:.0e}", most=ABSOLUTE), f"{share:.0e}"] if name in LANGUAGE else
                     [f"{absolute:.0e}", common.held(share, "{:.0e}", most=RELATIVE)])
            outputs.append([title, figure["samples"], peer, *cells, f"{found['same_top1']:.2%}"])
        if found := figure.get("language"):
            off = max(abs(found[key] - found["said"][key]) for key in found["said"])
            words.append([title, found["samples"], f"{found['loss']:.4f}", f"{found['said']['loss']:.4f}",
                          f"{found['top1']:.2%}", f"{found['said']['top1']:.2%}",
                          common.held(off, "{:.0e}", most=ROUNDING)])
    columns = ["network", "samples", "peer", "largest difference", "of the largest logit", "same first choice"]
    result = [{"columns": columns, "rows": outputs}]
    if words:
        columns = ["network", "samples", "cross-entropy, nats", "in ONNX Runtime", "top-1", "in ONNX Runtime",
                   "larger difference"]
        result.append({"columns": columns, "rows": words})
    return result


if __name__ == "__main__":
    common.main(measure, tables)
