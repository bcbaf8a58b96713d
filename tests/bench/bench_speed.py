#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speed and memory

Samples a second on two threads, loading not counted: a clean pass, a pass with shot noise at every site, and a forward and
reverse pass that gives the sensitivities of every channel. Beside them ONNX Runtime, clean, and PyTorch, clean and with the same
noise (`examples/pytorch/analog.py`), each at the better of two batch sizes. Programs take turns, and a figure is the median of
what the turns gave, a ratio the median of the ratios within each turn. `tests/bench/speed.c` measures the library. Its clean pass
is a noisy one without the noise: both multiply on AMX tiles where the processor has them, which `dynaprec run` does not.
OpenBLAS's sgemm (1024 x 1024, each thread its own) is what bounds a clean pass without them; normals are drawn on one thread.

Memory is the peak of `dynaprec learn` on ResNet-50: what a thread adds, and what samples add.
"""
import os
import pathlib

import common

SAMPLES = {"resnet50": 32, "mobilenetv2": 64, "llama": 64}
BATCHES = (8, 32)
THREADS, REPETITIONS, PASSES = 2, 20, 2
ROUNDS = int(os.environ.get("BENCH_ROUNDS", 5))
MEMORY = ((1, 16), (2, 16), (4, 16), (2, 64), (2, 128))  # threads, samples
# limits, all of ResNet-50; an image of 224 x 224 in uint8 is 0.15 MB
OF_ORT, OF_PYTORCH, REVERSE_COST, MEGABYTES, MEGABYTES_A_SAMPLE = 0.55, 2.5, 3.2, 1500, 0.5


def median_rates(peers):
    """The better batch's medians; None where the peer is missing."""
    if None in peers:
        return None
    return {kind: max(common.median(peer[kind]) for peer in peers) for kind in ("clean", "noisy") if kind in peers[0]}


def onnxruntime(network, data):
    """The first pass is left out: it finds its memory cold."""
    found = [common.onnxruntime(network.path, data, "--batch", batch, "--threads", THREADS, "--passes", PASSES + 1)
             for batch in BATCHES]
    return median_rates([one and {"clean": one["samples_per_second"][1:]} for one in found])


def pytorch(network, data, kernels):
    """With the OpenBLAS kernels that dynaprec takes, which PyTorch would not always find."""
    if not common.pytorch():
        return None
    return median_rates([common.peer("peer_speed.py", network.path, "--data", data, "--repetitions", REPETITIONS, "--batch",
                                     batch, "--threads", THREADS, "--passes", PASSES, OPENBLAS_CORETYPE=kernels)
                         for batch in BATCHES])


def turn(network, data, kernels):
    found = common.speed("network", network.path, data, common.HARDWARE / "homodyne.yaml", REPETITIONS, THREADS, PASSES)
    rates = {kind: common.median(found[kind]) for kind in ("clean", "noisy", "reverse")}
    return {"macs": found["macs"], "dynaprec": rates, "ONNX Runtime": onnxruntime(network, data),
            "PyTorch": pytorch(network, data, kernels),
            "sgemm": common.median(common.speed("gemm", THREADS, PASSES)["gflops"])}


def networks(kernels):
    for name, network in common.chosen(SAMPLES).items():
        if not common.selected([name]):
            continue
        with common.scratch() as folder:
            data, turns = common.subset(network, "check", common.few(SAMPLES[name]), folder), []
            for number in range(ROUNDS):
                common.say(f"{network.title}, turn {number + 1} of {ROUNDS}")
                turns.append(turn(network, data, kernels))
                yield {"networks": {name: turns}}


def memory():
    network = common.NETWORKS["resnet50"]
    for threads, samples in MEMORY:
        row = f"memory {threads} threads {samples} samples"
        if not common.selected([row]):
            continue
        common.say(row)
        with common.scratch() as folder:
            data = common.subset(network, "learn", common.few(samples), folder)
            found = common.cost(common.BUILD / "dynaprec", "learn", network.path, "--data", data, "--hardware", "homodyne",
                                "--max-loss", 1, "--trials", 1, "--cache", "none", "--threads", threads, "--quiet",
                                "-o", pathlib.Path(folder) / "schedule.yaml")
            yield {"memory": {row: {"threads": threads, "samples": samples, "megabytes": found.megabytes}}}


def measure():
    chosen = common.chosen(SAMPLES)
    gemm = {str(threads): common.speed("gemm", threads, ROUNDS) for threads in (1, THREADS)}
    yield {"gemm": gemm, "normals": common.speed("normals", ROUNDS)}
    yield from networks(gemm["1"]["kernels"])
    if "resnet50" in chosen:
        yield from memory()


def over_turns(turns, number):
    """The median of what `number` finds in each turn; None where a peer is missing."""
    try:
        return common.median([number(one) for one in turns])
    except TypeError:
        return None


def ratio(turns, number, network, **limit):
    value = over_turns(turns, number)
    if value is None:
        return "not measured"
    return common.held(value, "{:.2f}", **limit) if network == "resnet50" else f"{value:.2f}"


def rate(turns, peer, kind, tokens):
    value = over_turns(turns, lambda one: one[peer][kind])
    return "not measured" if value is None else f"{value * (tokens or 1):.3g}"


def rates_table(figures):
    rows = []
    for name, turns in figures.items():
        network = common.NETWORKS[name]
        rows.append([f"{network.title}, {'tokens' if network.tokens else 'images'}",
                     *(rate(turns, peer, kind, network.tokens) for peer, kind in
                       (("dynaprec", "clean"), ("ONNX Runtime", "clean"), ("PyTorch", "clean"),
                        ("dynaprec", "noisy"), ("PyTorch", "noisy"), ("dynaprec", "reverse")))])
    columns = ["a second", "clean", "ONNX Runtime, clean", "PyTorch, clean", "noisy", "PyTorch, noisy", "forward and reverse"]
    return {"columns": columns, "rows": rows}


def ratios_table(figures):
    rows = []
    for name, turns in figures.items():
        rows.append([
            common.NETWORKS[name].title,
            ratio(turns, lambda one: one["dynaprec"]["noisy"] / one["ONNX Runtime"]["clean"], name, least=OF_ORT),
            ratio(turns, lambda one: one["dynaprec"]["noisy"] / one["PyTorch"]["noisy"], name, least=OF_PYTORCH),
            ratio(turns, lambda one: one["dynaprec"]["noisy"] / one["dynaprec"]["reverse"], name, most=REVERSE_COST),
            f"{over_turns(turns, lambda one: one['dynaprec']['clean'] * 2e-9 * one['macs'] / one['sgemm']):.0%}"])
    columns = ["network", "noisy, of ONNX Runtime's clean", "noisy, of PyTorch's noisy",
               "forward and reverse, in noisy passes", "clean, of the sgemm peak"]
    return {"columns": columns, "rows": rows}


def kernels_table(figures):
    rows = [[f"sgemm, {threads} thread{'s' * (int(threads) > 1)}, OpenBLAS's {found['kernels']} kernels",
             f"{common.median(found['gflops']):.0f} GFLOP/s", "", ""] for threads, found in figures["gemm"].items()]
    mine, gsl = figures["normals"]["ours"], figures["normals"]["gsl"]
    rows.append(["normals", f"{common.median(mine) / 1e6:.0f} million a second",
                 f"gsl_ran_gaussian_ziggurat: {common.median(gsl) / 1e6:.0f}",
                 f"{common.median([a / b for a, b in zip(mine, gsl)]):.1f}"])
    return {"columns": ["kernel", "speed", "peer", "ratio"], "rows": rows}


def memory_tables(found):
    rows = [[one["threads"], one["samples"], common.held(one["megabytes"], "{:.0f}", most=MEGABYTES)]
            for one in found.values()]
    megabytes = {(one["threads"], one["samples"]): one["megabytes"] for one in found.values()}
    result = [{"columns": ["threads", "samples", "peak, MB"], "rows": rows}]
    if {(1, 16), (4, 16), (2, 16), (2, 128)} <= set(megabytes):
        thread = (megabytes[4, 16] - megabytes[1, 16]) / 3
        sample = (megabytes[2, 128] - megabytes[2, 16]) / 112
        result.append({"columns": ["one more", "adds, MB"],
                       "rows": [["thread", f"{thread:.0f}"],
                                ["sample", common.held(sample, "{:.2f}", most=MEGABYTES_A_SAMPLE)]]})
    return result


def tables(figures):
    found = figures.get("networks", {})
    result = [rates_table(found), ratios_table(found), kernels_table(figures), *memory_tables(figures.get("memory", {}))]
    return [table for table in result if table["rows"]]


if __name__ == "__main__":
    common.main(measure, tables)
