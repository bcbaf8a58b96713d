#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recurrent network in two forms

The character LSTM exported twice: with LSTM operators, whose two products are made inside, and unrolled into 255 matrix
products, which share one number of repetitions where they share a weight (the first step of a recurrent product multiplies
zeros and is left out). Outputs, divergence at one number of repetitions everywhere, sensitivities (of the unrolled form: summed over the steps) and the schedule have
to be the same: sensitivities to rounding, what depends on draws of the noise within its spread. Operands are as they are (`--condition none`):
states inside an operator cannot be centred, an unrolled network's can.

    dynaprec eval MODEL.onnx --data check.npz --hardware homodyne --repetitions 100
    dynaprec learn MODEL.onnx --data learn.npz --check check.npz --hardware homodyne --max-loss 0.05 --search clean-point \\
        --condition none --cache none
"""
import math
import pathlib

import common

FORMS = {"operator": "charlstm", "unrolled": "charlstm_unrolled"}
PRODUCTS = ("layer 1, input", "layer 1, recurrent", "layer 2, input", "layer 2, recurrent", "head")
WEIGHTS = ("weight_ih_l0", None, "weight_ih_l1", None, "o.weight")  # None: what is left, in order
WINDOWS, REPETITIONS = 128, 100


def products(layers, form):
    """The layers of a schedule as the five products that they are."""
    if form == "operator":
        return [[layer] for layer in layers]
    by_weight = {}
    for layer in layers:
        by_weight.setdefault(layer["weight"], []).append(layer)
    known = {end: name for end in WEIGHTS for name in by_weight if end and name.endswith(end)}
    others = (group for name, group in by_weight.items() if name not in known.values())
    return [by_weight[known[end]] if end else next(others) for end in WEIGHTS]


def logits(network, data, folder):
    import numpy as np

    out = pathlib.Path(folder) / "out.npz"
    common.run(common.BUILD / "dynaprec", "run", network.path, "--inputs", data, "-o", out, "--quiet")
    with np.load(out) as z:
        return z[z.files[0]]


def learn(network, form, data, check, folder):
    import yaml

    schedule = pathlib.Path(folder) / "schedule.yaml"
    found, _ = common.dynaprec("learn", network.path, "--data", data, "--check", check, "--hardware", "homodyne",
                               "--max-loss", 0.05, "--search", "clean-point", "--condition", "none", "--cache", "none",
                               "-o", schedule)
    groups = products(yaml.safe_load(schedule.read_text(encoding="utf-8"))["layers"], form)
    return {"sensitivity": [sum(layer["sensitivity"] for layer in group) for group in groups],
            "repetitions": [group[0]["repetitions"] for group in groups],
            "energy": found["learned"]["energy_per_mac_aj"], "saving": found["saving"],
            "rise": found["learned"]["rise"], "rise_upper": found["learned"]["rise_upper"],
            "uniform": found["uniform"]["repetitions"]}


def measure():
    networks = common.chosen(FORMS.values())
    if len(networks) < 2:
        common.skip("BENCH_NETWORKS leaves one of the forms out")
    network = networks["charlstm"]
    with common.scratch() as folder, common.scratch() as small:
        few = common.subset(network, "check", common.few(WINDOWS), small)
        one, other = (logits(networks[name], few, folder) for name in FORMS.values())
        yield {"difference": float(abs(one - other).max())}
        data, check = (common.subset(network, which, common.few(10**6), folder) for which in ("learn", "check"))
        for form, name in FORMS.items():
            common.say(form)
            noisy, _ = common.dynaprec("eval", networks[name].path, "--data", check, "--hardware", "homodyne",
                                       "--repetitions", REPETITIONS)
            yield {form: {"kl": noisy["noisy"]["kl"], "kl_interval": noisy["noisy"]["kl_interval"]}}
            yield {form: learn(networks[name], form, data, check, folder)}


def tables(figures):
    one, other = (figures[form] for form in FORMS)
    # 95% intervals: 4 standard errors of the difference of two
    spread = 4 / 1.96 * math.hypot(*(form["kl_interval"][1] - form["kl"] for form in (one, other)))
    share = math.exp(sum(math.log(b / a) for a, b in zip(one["repetitions"], other["repetitions"])) / len(PRODUCTS))
    rows = [[name, f"{one['sensitivity'][i]:.5f}", f"{other['sensitivity'][i]:.5f}",
             common.held(abs(other["sensitivity"][i] / one["sensitivity"][i] - 1), "{:.0e}", most=1e-4),
             one["repetitions"][i], other["repetitions"][i],
             common.held(abs(other["repetitions"][i] / one["repetitions"][i] / share - 1), "{:.1%}", most=0.05)]
            for i, name in enumerate(PRODUCTS)]
    totals = [["largest difference of a logit", "", "", common.held(figures["difference"], "{:.0e}", most=1e-4)],
              [f"divergence at K = {REPETITIONS}, nats", f"{one['kl']:.5f}", f"{other['kl']:.5f}",
               common.held(abs(other["kl"] - one["kl"]), "{:.5f}", most=spread)],
              ["uniform K", f"{one['uniform']:g}", f"{other['uniform']:g}", ""],
              ["learned, aJ/MAC", f"{one['energy']:.2f}", f"{other['energy']:.2f}",
               common.held(abs(other["energy"] / one["energy"] - 1), "{:.1%}", most=0.1)],
              ["saved", f"{one['saving']:.1%}", f"{other['saving']:.1%}",
               common.held(abs(other["saving"] - one["saving"]), "{:.1%}", most=0.05)],
              ["lost, with its bound", *(f"{form['rise']:.4f} (≤ {form['rise_upper']:.4f}) nats" for form in (one, other)), ""]]
    return [{"columns": ["product", "sensitivity", "unrolled", "apart", "K", "unrolled", "apart, but for their scale"], "rows": rows},
            {"columns": ["", "operators", "unrolled", "apart"], "rows": totals}]


if __name__ == "__main__":
    common.main(measure, tables)
