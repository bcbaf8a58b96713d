#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks of several gigabytes

Four products with weights of half a gigabyte each, in an ONNX file with external data (mostly zeros, so that the file
takes no room on the disk). The weights are mapped from that file, which counts as resident but is the system's to take
back; what the program allocates beside them is limited for each run (`ulimit -d`) to what it may need. So a second copy of the weights
would make the first rows fail. Thermal noise comes with 8-bit converters: their rounded weights are a second copy. `dynaprec inspect`
states all this beforehand. The peak is of resident memory, as the system counts it; what is mapped and what is allowed together is its limit.

    dynaprec run MODEL.onnx --inputs DATA.npz -o OUT.npz
    dynaprec eval MODEL.onnx --data DATA.npz --hardware HARDWARE --repetitions 50
    dynaprec learn MODEL.onnx --data DATA.npz --hardware HARDWARE --energy 20aJ/MAC --cache none
"""
import os
import pathlib
import resource
import subprocess

import common

NARROW, WIDE, LAYERS, SAMPLES, THREADS = 8192, 16384, 4, 8, 2
WEIGHTS = 4 * NARROW * WIDE * LAYERS  # bytes
ROOM = 300e6  # for everything but weights and what inspect states: libraries, samples, tables
RUNS = ("run", None), ("eval", "homodyne"), ("learn", "homodyne"), ("eval", "thermal")


def sparse_tensor(name, dims, offset, helper):
    tensor = helper.TensorProto(name=name, data_type=1, dims=dims, data_location=helper.TensorProto.EXTERNAL)
    for key, value in ("location", "weights.bin"), ("offset", offset), ("length", 4 * dims[0] * dims[1]):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def make_model(folder):
    import numpy as np
    import onnx
    from onnx import helper

    rng, nodes, weights = np.random.default_rng(1), [], []
    with open(folder / "weights.bin", "wb") as file:
        file.truncate(WEIGHTS)
        for layer in range(LAYERS):
            dims = (NARROW, WIDE) if layer % 2 == 0 else (WIDE, NARROW)
            weights.append(sparse_tensor(f"w{layer}", dims, layer * WEIGHTS // LAYERS, onnx))
            for place in range(0, WEIGHTS // LAYERS, 1 << 24):  # a page in 4,096
                file.seek(layer * WEIGHTS // LAYERS + place)
                file.write(rng.standard_normal(1024, np.float32).tobytes())
            y = "logits" if layer == LAYERS - 1 else f"y{layer}"
            nodes.append(helper.make_node(("MatMul", "Gemm")[layer % 2], [nodes[-1].output[0] if nodes else "x", f"w{layer}"],
                                          [y if layer == LAYERS - 1 else f"p{layer}"], name=f"fc{layer}"))
            if layer < LAYERS - 1:
                nodes.append(helper.make_node("Relu", [f"p{layer}"], [y]))
    graph = helper.make_graph(nodes, "large", [helper.make_tensor_value_info("x", 1, ["N", NARROW])],
                              [helper.make_tensor_value_info("logits", 1, ["N", NARROW])], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7),
              str(folder / "model.onnx"))
    np.savez(folder / "data.npz", x=rng.standard_normal((SAMPLES, NARROW), np.float32))


def stated(folder, hardware):
    """Bytes beside the mapped weights, for all threads and both passes."""
    words = ["--hardware", hardware] if hardware else []
    m, _ = common.dynaprec("inspect", folder / "model.onnx", *words)
    return m["weights_bytes"] - m["mapped_bytes"] + THREADS * (m["thread_bytes"] + m["reverse_thread_bytes"])


def watched(words, room):
    """Peak of resident memory of a run that may allocate `room` bytes; None when it fails."""
    limit = int(room), int(room)
    child = subprocess.Popen([str(word) for word in words], stdout=subprocess.DEVNULL,
                             preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, limit))
    _, status, usage = os.wait4(child.pid, 0)
    return None if status else usage.ru_maxrss * 1024


def arguments(verb, hardware, folder):
    data, out = folder / "data.npz", folder / "out"
    return {"run": ["--inputs", data, "-o", f"{out}.npz"],
            "eval": ["--data", data, "--hardware", hardware, "--repetitions", 50],
            "learn": ["--data", data, "--hardware", hardware, "--energy", "20aJ/MAC", "--cache", "none",
                      "-o", f"{out}.yaml"]}[verb]


def measure():
    try:
        import onnx  # noqa: F401
    except ImportError:
        common.skip("python3-onnx is not there")
    runs = {f"{verb} {hardware}" if hardware else verb: (verb, hardware) for verb, hardware in RUNS}
    with common.scratch() as name:
        folder = pathlib.Path(name)
        make_model(folder)
        for key in common.selected(runs):
            verb, hardware = runs[key]
            common.say(key)
            own = stated(folder, hardware)
            peak = watched([common.BUILD / "dynaprec", verb, folder / "model.onnx", *arguments(verb, hardware, folder),
                            "--threads", THREADS, "--quiet"], own + ROOM)
            yield {"weights": WEIGHTS, "rows": {key: {"verb": verb, "hardware": hardware, "own": own, "peak": peak}}}


def tables(figures):
    weights = figures["weights"]
    rows = [[row["verb"], row["hardware"] or "", f"{weights / 1e9:.2f} GB", f"{(row['own'] + ROOM) / 1e9:.2f} GB",
             common.held(row["peak"] and row["peak"] / 1e9, "{:.2f} GB", most=(weights + row["own"] + ROOM) / 1e9)]
            for row in figures["rows"].values()]
    return [{"columns": ["verb", "hardware", "weights, mapped", "allowed beside them", "peak"], "rows": rows}]


if __name__ == "__main__":
    common.main(measure, tables)
