#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same noise

ResNet-20 on 1,000 CIFAR-10 images with the same number of repetitions K at every site: `dynaprec eval`, and beside it
`tests/bench/peer_noise.py`, which computes the noise in PyTorch with code of its own. Both see the same images, so what separates
them is the draws of the noise: the difference of the top-1 accuracies is given in their combined standard error over draws, and
may be 3 of them at most. So may that of the divergence from the clean network, which notices less. `dynaprec` draws twice
for each of 8 seeds, PyTorch 4 times. Quantisers are calibrated on the same images in both. In rows *conditioned* it is a schedule in place of
K: channels on conditioned operands, learned for 10 aJ/MAC from other images (`--condition both`), whose `conditioning` both apply.
"""
import statistics

import common

NOISE = ("homodyne", "thermal", "weight")
REPETITIONS = ("20", "100")
CONDITIONED = "conditioned"
IMAGES, LIMIT = 1000, 3
SEEDS, TRIALS = 8, 2  # ours; the seeds tell the error
DRAWS, BATCH = 4, 16  # PyTorch's; the batches tell the error
FIGURES = {"top1": "top-1", "kl": "divergence"}


def schedule(network, hardware, folder):
    path = f"{folder}/schedule.yaml"
    common.dynaprec("learn", network.path, "--data", network.file("learn"), "--hardware", hardware, "--energy", "10aJ/MAC", "--granularity",
                    "channel", "--condition", "both", "--trials", 1, "--cache", "none", "-o", path)
    return path


def ours(network, data, precision):
    found = [common.dynaprec("eval", network.path, "--data", data, *precision, "--trials", TRIALS, "--seed", seed)[0]["noisy"]
             for seed in range(1, SEEDS + 1)]
    result = {}
    for name in FIGURES:
        values = [one[name] for one in found]
        result[name] = {"value": statistics.mean(values), "error": statistics.stdev(values) / len(values)**0.5}
    return result


def theirs(network, data, hardware, precision):
    import yaml

    described = yaml.safe_load((common.HARDWARE / f"{hardware}.yaml").read_text(encoding="utf-8"))
    noise = common.pytorch().read_hardware(described)
    found = common.peer("peer_noise.py", network.path, "--data", data, "--learn", data, *precision,
                        "--shot", noise.shot, "--thermal", noise.thermal, "--weight", noise.weight,
                        "--bits", noise.weight_bits, "--percentile", noise.percentile, "--draws", DRAWS, "--batch", BATCH)
    return {name: {"value": found["noisy"][name]["value"], "error": found["noisy"][name]["se_draws"]} for name in FIGURES}


def measure():
    if not (network := common.chosen(["resnet20"]).get("resnet20")):
        common.skip("BENCH_NETWORKS leaves ResNet-20 out")
    if not common.pytorch():
        common.skip("python3-torch, python3-onnx or python3-yaml is not there")
    with common.scratch() as folder:
        data = common.subset(network, "check", common.few(IMAGES), folder)
        for row in common.selected([f"{hardware} {k}" for hardware in NOISE for k in (*REPETITIONS, CONDITIONED)]):
            hardware, k = row.split()
            common.say(row)
            precision = ("--schedule", schedule(network, hardware, folder)) if k == CONDITIONED else ("--repetitions", k)
            yield {row: {"dynaprec": ours(network, data, ("--hardware", hardware, *precision)),
                         "PyTorch": theirs(network, data, hardware, precision)}}


def separation(figure, name):
    """In combined standard errors."""
    a, b = figure["dynaprec"][name], figure["PyTorch"][name]
    return abs(a["value"] - b["value"]) / (a["error"]**2 + b["error"]**2)**0.5


def tables(figures):
    rows = []
    for key, figure in figures.items():
        cells = []
        for name, form in (("top1", "{:.2%} ± {:.2%}"), ("kl", "{:.4f} ± {:.4f}")):
            cells += [form.format(*figure[peer][name].values()) for peer in ("dynaprec", "PyTorch")]
            cells.append(common.held(separation(figure, name), "{:.1f}", most=LIMIT))
        rows.append([*key.split(), *cells])
    columns = ["noise", "K", "top-1", "PyTorch's", "difference in errors", "divergence, nats", "PyTorch's",
               "difference in errors"]
    return [{"columns": columns, "rows": rows}]


if __name__ == "__main__":
    common.main(measure, tables)
