#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What learning saves

`dynaprec learn` finds repetitions for each layer or channel that meet a budget, and the smallest number of repetitions that
meets it when it is the same everywhere (*uniform*), both certified on check samples that the search does not see. The saving is
of energy, against uniform. Energy a MAC is optical, at 0.128 aJ a photon. Time is the wall's, for everything: reading,
learning, uniform and the check, with nothing kept from earlier runs (`--cache none`).

    dynaprec learn MODEL.onnx --data learn.npz --check check.npz --hardware homodyne --max-drop 2 --granularity channel

The language models have a budget of 0.05 nats of divergence from the clean network (`--max-loss 0.05`), MobileNetV2 its own
scale of images (`--mean 0.5 --std 0.5`).
"""
import pathlib
import time

import common

DROP, LOSS = ("--max-drop", 2), ("--max-loss", 0.05)
# network, granularity: budget, least saving
RUNS = {
    ("resnet20", "layer"): (DROP, 0.70),
    ("resnet20", "channel"): (DROP, 0.80),
    ("resnet50", "layer"): (DROP, 0.65),
    ("resnet50", "channel"): (DROP, 0.75),
    ("mobilenetv2", "layer"): (DROP, None),
    ("mobilenetv2", "channel"): (DROP, None),
    ("dscnn", "layer"): (DROP, None),
    ("dscnn", "channel"): (DROP, None),
    ("llama", "layer"): (LOSS, 0.40),
    ("charlstm", "layer"): (LOSS, 0.40),
}
BUDGET, UNMET = 4, 5  # exit statuses: no precision meets it; ended without meeting it


def samples(network, folder):
    """Both files as they are, unless only a few samples are wanted."""
    return [common.subset(network, which, few, folder) if (few := common.few(10**6)) < 10**6 else network.file(which)
            for which in ("learn", "check")]


def learn(network, grain, budget, folder):
    data, check = samples(network, folder)
    start = time.monotonic()
    found, status = common.dynaprec("learn", network.path, "--data", data, "--check", check, "--hardware", "homodyne",
                                    *budget, "--granularity", grain, *network.options(), "--cache", "none",
                                    "-o", pathlib.Path(folder) / "schedule.yaml", allow=(BUDGET, UNMET))
    return found | {"exit": status, "seconds": round(time.monotonic() - start, 1)}


def measure():
    networks = common.chosen(dict.fromkeys(name for name, _ in RUNS))
    for key in common.selected([f"{name} {grain}" for name, grain in RUNS if name in networks]):
        name, grain = key.split()
        common.say(f"{networks[name].title} per {grain}")
        with common.scratch() as folder:
            yield {key: learn(networks[name], grain, RUNS[name, grain][0], folder)}


def cost(measured, budget):
    """How much of the budget it took, and its bound."""
    if budget is DROP:
        return f"{measured['drop']:.2f} (≤ {measured['drop_upper']:.2f}) points"
    return f"{measured['rise']:.3f} (≤ {measured['rise_upper']:.3f}) nats"


def row(name, grain, figure):
    budget, least = RUNS[name, grain]
    head = [common.NETWORKS[name].title, grain, f"{budget[0]} {budget[1]}"]
    time_taken = f"{figure['seconds']:.0f} s"
    saving = figure["saving"] if figure["exit"] == 0 else None
    saved = f"{saving:.1%}" if saving is not None and least is None else common.held(saving, "{:.1%}", least=least or 0)
    if figure["exit"] == BUDGET:
        return [*head, *["none"] * 6, saved, time_taken]
    clean, learned, uniform = figure["clean"], figure["learned"], figure["uniform"]
    between = " to ".join("open" if end is None else f"{end:.1%}" for end in figure["saving_interval"])
    return [*head, f"{clean['top1']:.1%}", f"{uniform['repetitions']:g}", f"{uniform['energy_per_mac_aj']:.3g}",
            f"{learned['energy_per_mac_aj']:.3g}", cost(learned, budget), between, saved, time_taken]


def tables(figures):
    columns = ["network", "per", "budget", "clean top-1", "uniform K", "uniform, aJ/MAC", "learned, aJ/MAC",
               "lost, with its bound", "saved, interval", "saved", "time"]
    return [{"columns": columns, "rows": [row(*key, figures[" ".join(key)]) for key in RUNS if " ".join(key) in figures]}]


if __name__ == "__main__":
    common.main(measure, tables)
