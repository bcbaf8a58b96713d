#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What learning saves

What `dynaprec learn` comes to for each network on each of the three accelerators, beside other ways to the same budget: 2 points of top-1, or
0.05 nats of divergence for the language models, certified on the check set with 8 draws of the noise. Energies are attojoules a
multiply-accumulate, on the accelerator's own scale; the interval is from the dearest precision of the same shape that failed to the one that
passed. *Passes* are forward passes over as many samples as there are to learn from (one with its reverse pass counts 3): those that
found the shape, and all, with scaling, acceptance and uniform precision.

- *uniform*: the same repetitions everywhere, on the conditioned network: what `learn` states its saving against; *plain uniform*: on the network as
  it is (`--condition none`), which is what there is without dynaprec
- *layer*, *channel*: the defaults. Where converters round, these are learned on conditioned operands and on the network's own, and are the cheaper of both;
  in the comparison of operands below, the brackets say what conditioned ones need where the network's own have won. The schedule is that of `--condition none`
  then (tests hold it), and stands for it
- *Adam*: the procedure of Garg et al. in the same engine and on the operands that the default ended with (`--search adam --condition both`, or `none`): cross-entropy
  on the labels and a penalty for energy, 1,500 steps of 32 samples from a uniform start; its precision is scaled, rounded and accepted as the others are. On
  ResNet-50 and MobileNetV2 it stops after 300 steps
- *marginal*: the default for layers and for a loss (`--search marginal`), on a drop per channel, where the default descends on labels
- *one-shot*: relaxed at the clean point and no more (`--search clean-point`), on the conditioned and on the plain network
- *16 samples*: the default, learned from the first 16 calibration samples
- *levelled*: with converters, a drop is from what the network does on them without noise, and what they round off turns a few answers either way; conditioned
  or not, these are others. Here the conditioned network has as many points more or less to lose as its clean accuracy is above or below that of the
  network as it is, so that both are held to the same least accuracy

At 95% confidence a budget of 2 points leaves 256 images hardly room for a lost answer: what passes on ImageNet has a measured drop of about 0, so
energies there are higher than those of a measured drop of 2 points.

    dynaprec learn MODEL.onnx --data learn.npz --check check.npz --hardware homodyne --max-drop 2 --trials 8 --granularity channel
"""
import math
import pathlib

import common

TRIALS, UNMET, BUDGET = 8, 5, 4
DROP, LOSS = ("--max-drop", 2), ("--max-loss", 0.05)
NETWORKS = {"dscnn": DROP, "resnet20": DROP, "resnet50": DROP, "mobilenetv2": DROP, "llama": LOSS, "charlstm": LOSS}
NOISES = {"homodyne": "shot", "thermal": "thermal", "weight": "weight"}
CHANNEL, PLAIN, BOTH = ("--granularity", "channel"), ("--condition", "none"), ("--condition", "both")
ONE_SHOT = ("--search", "clean-point")
METHODS = {
    "channel": CHANNEL,
    "layer": ("--granularity", "layer"),
    "adam": (*CHANNEL, "--search", "adam"),
    "marginal": (*CHANNEL, *BOTH, "--search", "marginal"),
    "one-shot": (*CHANNEL, *BOTH, *ONE_SHOT),
    "plain channel": (*CHANNEL, *PLAIN),
    "plain layer": ("--granularity", "layer", *PLAIN),
    "plain one-shot": (*CHANNEL, *ONE_SHOT, *PLAIN),
    "16 samples": CHANNEL,
    "levelled channel": (*CHANNEL, *BOTH),
    "levelled layer": ("--granularity", "layer", *BOTH),
}
LEVELLED = ("levelled channel", "levelled layer")
SHORT_ADAM = {"resnet50": 300, "mobilenetv2": 300}
# least number of networks, and the most that the rest may be above
OF_ADAM, ADAM_WINS, ADAM_WORST, ADAM_PASSES = 0.95, 4, 1.05, 0.1
OF_ONE_SHOT, ONE_SHOT_WINS = 0.92, 3
# least savings with shot noise, per layer and per channel: of uniform precision, of uniform precision on the plain network
SAVED = {"resnet20": ((0.70, 0.80), (None, None)), "resnet50": ((0.65, 0.75), (None, None)),
         "llama": ((None, None), (0.40, None)), "charlstm": ((None, None), (0.40, None))}
CONDITIONED = {"resnet20": 0.65, "resnet50": 0.65, "mobilenetv2": 0.75}
CONDITIONED_UNIFORM, NEVER = 0.95, 1.0


def rows():
    """Of every network what there is to compare on the first accelerator; the rest of the table behind."""
    return [f"{network} {noise} {method}" for noise in NOISES for method in METHODS for network in NETWORKS
            if method not in ("marginal", *LEVELLED) or NETWORKS[network] is DROP]


def lost_to_plain(run):
    """The conditioned operands that the network's own were cheaper than; None where there are none."""
    other = run.get("alternative")
    return other if other and other["operands"] == "conditioned" else None


def conditioned_clean(run):
    """Top-1 of the conditioned network without noise."""
    return (lost_to_plain(run) or {"clean_top1": run["clean"]["top1"]})["clean_top1"]


def parts(row):
    network, noise, method = row.split(" ", 2)
    return network, noise, method


def options(network, noise, method):
    words = list(METHODS[method])
    if method == "adam":
        default = common.measured("schedules").get(f"{network} {noise} channel")
        words += [*(PLAIN if default and lost_to_plain(default) else BOTH), "--max-evaluations", SHORT_ADAM.get(network, 1500)]
    return words


def budget(name, noise, method):
    """What the options say that may be lost; None where it depends on rows that are not measured."""
    option, most = NETWORKS[name]
    if method not in LEVELLED:
        return option, most
    found, grain = Found(common.measured("schedules")), method.split(" ")[1]
    runs = [found.of(name, noise, m) for m in (grain, f"plain {grain}")]
    if None in runs:
        return None
    conditioned_top1, plain_top1 = conditioned_clean(runs[0]), runs[1]["clean"]["top1"]
    if conditioned_top1 is None:
        return None
    return option, round(most + 100 * (conditioned_top1 - plain_top1), 3)


def learn(name, noise, method, allowed, folder):
    network = common.NETWORKS[name]
    few = common.few(10**6)
    data, check = (common.subset(network, which, few, folder) if few < 10**6 else network.file(which)
                   for which in ("learn", "check"))
    if method == "16 samples":
        data = common.subset(network, "learn", 16, folder)
    found, status = common.dynaprec("learn", network.path, "--data", data, "--check", check, "--hardware", noise,
                                    *allowed, "--trials", TRIALS, *options(name, noise, method), *network.options(), "--cache", "none",
                                    "-o", pathlib.Path(folder) / "schedule.yaml", allow=(BUDGET, UNMET))
    found.pop("layers", None)
    return found | {"exit": status}


def measure():
    wanted = common.chosen(NETWORKS)
    for row in common.selected([r for r in rows() if parts(r)[0] in wanted]):
        common.say(row)
        allowed = budget(*parts(row))
        if allowed is None:
            common.say("left out: the rows that it is levelled with are not measured")
            continue
        with common.scratch() as folder:
            yield {row: learn(*parts(row), allowed, folder)}


class Found:
    """The figures, by what they are of; None for what was not measured, or not met."""

    def __init__(self, figures):
        self.figures = figures

    def of(self, network, noise, method):
        found = self.figures.get(f"{network} {noise} {method}")
        if method in ("plain layer", "plain channel"):
            default = self.figures.get(f"{network} {noise} {method.removeprefix('plain ')}")
            found = default if default and lost_to_plain(default) else found
        return found if found and found["exit"] == 0 else None

    def energy(self, network, noise, method, which="learned"):
        found = self.of(network, noise, method)
        return found and found[which]["energy_per_mac_aj"]

    def ratio(self, network, noise, methods, which="learned"):
        one, other = (self.energy(network, noise, method, which) for method in methods)
        return one / other if one and other else None

    def conditioned(self, network, noise, grain):
        """Of the plain network's energy; infinite where only that one met the budget."""
        unmet = self.figures.get(f"{network} {noise} {grain}", {"exit": 0})["exit"] != 0
        if unmet and self.of(network, noise, f"plain {grain}"):
            return math.inf
        return self.ratio(network, noise, (grain, f"plain {grain}"))

    def lost(self, network, noise, grain):
        """What conditioned operands need where the network's own have won, in words; of the plain network's energy."""
        run, plain = (self.of(network, noise, m) for m in (grain, f"plain {grain}"))
        other = run and lost_to_plain(run)
        if not other:
            return ""
        energy = other["energy_per_mac_aj"]
        if energy is None:
            return " (plain; conditioned: not met)"
        return f" (plain; conditioned: {energy / plain['learned']['energy_per_mac_aj']:.2f})" if plain else " (plain)"

    def some(self, noise):
        return [n for n in NETWORKS if any(f"{n} {noise} {m}" in self.figures for m in METHODS)]


def number(value):
    return "" if value is None else f"{value:.3g}"


def with_interval(found, which):
    """A precision's energy, and the dearest failure below it."""
    if found is None:
        return ""
    learned, uniform = (found[w]["energy_per_mac_aj"] for w in ("learned", "uniform"))
    least, most = found["saving_interval"]
    low = {"learned": None if most is None else (1 - most) * uniform, "uniform": None if least is None else learned / (1 - least)}[which]
    value = {"learned": learned, "uniform": uniform}[which]
    return f"{value:.3g}" if low is None else f"{value:.3g} ({low:.3g} to {value:.3g})"


def passes(found):
    if found is None:
        return ""
    shape = found.get("passes_shape")
    return f"{found['passes']:.0f}" if shape is None else f"{shape:.0f}, {found['passes']:.0f}"


def energies(found, noise):
    table = []
    for n in found.some(noise):
        runs = {m: found.of(n, noise, m) for m in METHODS}
        saving = [f"{runs[m]['saving']:.1%}" if runs[m] else "" for m in ("layer", "channel", "marginal", "adam")]
        table.append([common.NETWORKS[n].title, with_interval(runs["channel"], "uniform"),
                      *(with_interval(runs[m], "learned") for m in ("layer", "channel", "marginal", "adam")), *saving,
                      *(passes(runs[m]) for m in ("layer", "channel", "marginal", "adam"))])
    columns = [f"{NOISES[noise]} noise", "uniform, aJ/MAC", "layer", "channel", "channel, marginal", "channel, Adam",
               "layer saves", "channel saves", "marginal saves", "Adam saves", "passes: layer", "channel", "marginal", "Adam"]
    return {"columns": columns, "rows": table}


def limited(value, least):
    if value is None:
        return ""
    return f"{value:.1%}" if least is None else common.held(value, "{:.1%}", least=least)


def savings(found):
    table, noise = [], "homodyne"
    for n in found.some(noise):
        least = SAVED.get(n, ((None, None), (None, None)))
        plain = found.energy(n, noise, "plain channel", "uniform")
        cells = []
        for m, own, whole in zip(("layer", "channel"), *least):
            learned, uniform = (found.energy(n, noise, m, which) for which in ("learned", "uniform"))
            cells.append(limited(learned and 1 - learned / uniform, own))
            cells.append(limited(1 - learned / plain if learned and plain else None, whole))
        run = found.of(n, noise, "channel") or found.of(n, noise, "layer")
        top1 = f"{run['clean']['top1']:.1%}" if run else ""
        table.append([common.NETWORKS[n].title, " ".join(map(str, NETWORKS[n])), top1, number(plain),
                      number(found.energy(n, noise, "channel", "uniform")), cells[0], cells[1], cells[2], cells[3]])
    return {"columns": ["shot noise", "budget", "clean top-1", "plain uniform, aJ/MAC", "uniform, aJ/MAC", "layer saves of uniform",
                        "of plain uniform", "channel saves of uniform", "of plain uniform"], "rows": table}


def counted(ratios, limit, wins):
    """How many networks are at or below a limit, beside how many have to be."""
    known = [r for r in ratios if r is not None]
    return common.held(sum(r <= limit for r in known), "{:.0f}", least=wins) if known else "not measured"


def against_adam(found):
    """Passes are limited where both learn once; with converters the default learns on two kinds of operands."""
    table = []
    for noise in NOISES:
        for n in found.some(noise):
            energy = found.ratio(n, noise, ("channel", "adam"))
            if energy is None:
                continue
            ours, theirs = (found.of(n, noise, m) for m in ("channel", "adam"))
            shape = ours["passes_shape"] / theirs["passes_shape"]
            table.append([common.NETWORKS[n].title, NOISES[noise], common.held(energy, "{:.2f}", most=ADAM_WORST),
                          common.held(shape, "{:.3f}", most=ADAM_PASSES) if noise == "homodyne" else f"{shape:.3f}",
                          f"{ours['passes'] / theirs['passes_shape']:.3f}"])
    ratios = [found.ratio(n, "homodyne", ("channel", "adam")) for n in found.some("homodyne")]
    table.append([f"networks at or below {OF_ADAM}", "shot", counted(ratios, OF_ADAM, ADAM_WINS), "", ""])
    return {"columns": ["default against Adam, per channel", "noise", "energy", "passes for the shape",
                        "all our passes, of those for Adam's shape"], "rows": table if len(table) > 1 else []}


def against_one_shot(found):
    others, noise = ("one-shot", "plain one-shot"), "homodyne"
    ratios = {n: [found.ratio(n, noise, ("channel", other)) for other in others] for n in found.some(noise)}
    table = [[common.NETWORKS[n].title, *("" if r is None else common.held(r, "{:.3g}", most=NEVER) for r in both)]
             for n, both in ratios.items() if both != [None, None]]
    table.append([f"networks at or below {OF_ONE_SHOT}", *(counted(column, OF_ONE_SHOT, ONE_SHOT_WINS) for column in zip(*ratios.values()))])
    return {"columns": ["default against one-shot, per channel, shot noise: energy", "one-shot, conditioned alike", "one-shot, plain network"],
            "rows": table if len(table) > 1 else []}


def mean(ratios):
    """Of those that are known: runs with a uniform precision each, whose last few per cent are chance."""
    known = [r for r in ratios if r]
    return math.exp(sum(map(math.log, known)) / len(known)) if known else None


def noted(cell, note):
    return cell | {"text": cell["text"] + note}


def conditioned(found):
    table = []
    for noise in NOISES:
        for n in found.some(noise):
            ratios = [found.conditioned(n, noise, m) for m in ("layer", "channel")]
            uniform = mean([found.ratio(n, noise, (m, f"plain {m}"), "uniform") for m in ("layer", "channel")])
            if ratios == [None, None]:
                continue
            most = CONDITIONED.get(n, NEVER) if noise == "homodyne" else NEVER
            limit = CONDITIONED_UNIFORM if noise == "homodyne" and n in CONDITIONED else NEVER
            table.append([common.NETWORKS[n].title, NOISES[noise],
                          *(noted(common.held(r, "{:.2f}", most=most), found.lost(n, noise, m)) if r is not None else ""
                            for r, m in zip(ratios, ("layer", "channel"))),
                          common.held(uniform, "{:.2f}", most=limit) if uniform is not None else ""])
    return {"columns": ["energy, default over plain operands", "noise", "layer", "channel", "uniform, mean of both runs"], "rows": table}


def levelled(found):
    table = []
    for noise in NOISES:
        for n in found.some(noise):
            cells = [found.ratio(n, noise, (f"levelled {m}", f"plain {m}"), which)
                     for which in ("learned", "uniform") for m in ("layer", "channel")]
            clean = [found.of(n, noise, m) for m in ("channel", "plain channel")]
            if any(cells) and all(clean):
                tops = conditioned_clean(clean[0]), clean[1]["clean"]["top1"]
                table.append([common.NETWORKS[n].title, NOISES[noise], *(f"{top:.1%}" for top in tops),
                              *(common.held(c, "{:.2f}", most=NEVER) if c else "" for c in cells)])
    return {"columns": ["energy, conditioned over plain, at the same least accuracy", "noise", "clean top-1, conditioned", "plain", "layer", "channel",
                        "uniform, with layers", "with channels"], "rows": table}


def never_worse(found):
    table = []
    for row, figure in found.figures.items():
        n, noise, method = parts(row)
        if figure["exit"] != 0 or method != "16 samples":
            continue
        ratio = figure["learned"]["energy_per_mac_aj"] / figure["uniform"]["energy_per_mac_aj"]
        table.append([common.NETWORKS[n].title, NOISES[noise], common.held(ratio, "{:.3f}", most=1.0)])
    return {"columns": ["learned from 16 samples", "noise", "energy, of uniform's"], "rows": table}


def tables(figures):
    found = Found(figures)
    result = [savings(found), *(energies(found, noise) for noise in NOISES), against_adam(found), against_one_shot(found), conditioned(found), levelled(found),
              never_worse(found)]
    return [table for table in result if table["rows"]]


if __name__ == "__main__":
    common.main(measure, tables)
