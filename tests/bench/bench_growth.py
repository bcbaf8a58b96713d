#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Growth

Networks that python3-onnx makes: 3 x 3 convolutions with a ReLU behind each, on images of 16 x 16, a mean and a linear layer, random
weights and images. Doubled in turn: the number of convolutions, of samples and of channels. `dynaprec learn` on one thread with an
energy budget, per channel, so that every run does the same passes. Time is the processor's; memory the most that the program touched.
A doubling of channels makes 4 times the multiply-accumulates; the exponent is log2 of what the last doubling multiplied.

    dynaprec learn MODEL.onnx --data FILE.npz --hardware homodyne --energy 50aJ/MAC --granularity channel --cache none --threads 1
"""
import math
import pathlib

import common

BASE = {"layers": 8, "samples": 64, "channels": 32}
SIZES = {"layers": (4, 8, 16, 32, 64), "samples": (64, 128, 256, 512, 1024), "channels": (16, 32, 64, 128, 256)}
EXPONENTS = {"layers": 1.15, "samples": 1.1, "channels": 2.15}  # of time, at most
ROUNDS = 3
SIDE, CLASSES = 16, 10


def write_network(path, layers, channels):
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper, save

    random, nodes, weights, x = np.random.RandomState(1), [], [], "x"

    def constant(name, *shape):
        spread = (2 / np.prod(shape[1:]))**0.5
        weights.append(numpy_helper.from_array(np.float32(random.randn(*shape) * spread), name))
        return name

    for i in range(layers):
        w = constant(f"w{i}", channels, channels if i else 3, 3, 3)
        nodes.append(helper.make_node("Conv", [x, w], [f"c{i}"], f"conv{i}", pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"], f"relu{i}"))
        x = f"r{i}"
    nodes.append(helper.make_node("GlobalAveragePool", [x], ["p"], "pool"))
    nodes.append(helper.make_node("Flatten", ["p"], ["f"], "flatten"))
    nodes.append(helper.make_node("Gemm", ["f", constant("w", CLASSES, channels)], ["logits"], "classify", transB=1))
    graph = helper.make_graph(nodes, "growth", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
                              [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])], weights)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7), str(path))


def write_samples(path, count):
    import numpy as np

    random = np.random.RandomState(2)
    np.savez(path, x=np.float32(random.randn(count, 3, SIDE, SIDE)), y=random.randint(CLASSES, size=count))


def learn(layers, samples, channels):
    with common.scratch() as folder:
        model, data = pathlib.Path(folder) / "model.onnx", pathlib.Path(folder) / "data.npz"
        write_network(model, layers, channels)
        write_samples(data, samples)
        runs = [common.cost(common.BUILD / "dynaprec", "learn", model, "--data", data, "--hardware", "homodyne",
                            "--energy", "50aJ/MAC", "--granularity", "channel", "--cache", "none", "--threads", 1, "--quiet",
                            "-o", pathlib.Path(folder) / "schedule.yaml") for _ in range(ROUNDS)]
    return {"processor": common.median([run.processor for run in runs]), "megabytes": max(run.megabytes for run in runs)}


def measure():
    try:
        import onnx  # noqa: F401
    except ImportError:
        common.skip("python3-onnx is not there")
    for what, sizes in SIZES.items():
        for size in sizes:
            if not common.selected([f"{what} {size}"]):
                continue
            common.say(f"{size} {what}")
            shape = BASE | {what: size}
            yield {what: {str(size): learn(shape["layers"], common.few(shape["samples"]), shape["channels"])}}


def tables(figures):
    rows, last = [], []
    for what, found in figures.items():
        before = None
        for size in (size for size in map(str, SIZES[what]) if size in found):
            now = found[size]
            growth = [f"{now[key] / before[key]:.2f}" for key in ("processor", "megabytes")] if before else ["", ""]
            rows.append([what, size, f"{now['processor']:.2f} s", growth[0], f"{now['megabytes']:.0f} MB", growth[1]])
            if before:
                exponent = math.log2(now["processor"] / before["processor"])
            before = now
        if len(found) == len(SIZES[what]):
            last.append([what, common.held(exponent, "{:.2f}", most=EXPONENTS[what])])
    result = [{"columns": ["doubled", "to", "time", "times the last", "memory", "times the last"], "rows": rows}]
    if last:
        result.append({"columns": ["doubled", "exponent of time"], "rows": last})
    return result


if __name__ == "__main__":
    common.main(measure, tables)
