#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Predicted noise, and measured

What conditioning is chosen by, and what sensitivities are of, is the variance of each site's noise that a clean pass over the samples
to learn from predicts. Here it is held to what one draw at 100,000 repetitions adds to the site's outputs, mean over channels, on the
same samples and on those to check on (with fewer repetitions noise further up changes operands, and with them the variance), which neither the prediction nor the conditioning has seen: of all sites the least and the most
of measured over predicted variance. A variance from n normals has a standard error of sqrt(2 / n) of it: of a last layer with 10
outputs that is 3% on 200 samples; the limit is on what is off beyond three of them. Then what conditioning leaves of it: the mean over
sites by multiply-accumulates of conditioned over plain variance. `tests/bench/variance.c` measures it. Weight noise is in the operands,
not in the outputs; tests hold its variance to the formula.
"""
import common

HARDWARE = {"homodyne": "shot", "thermal": "thermal"}
SAMPLES = {"dscnn": 200, "resnet20": 128, "resnet50": 16, "mobilenetv2": 32, "llama": 16, "charlstm": 64}
REPETITIONS = 100_000  # so that noise changes no operand
LEARN = ["--energy", "20aJ/MAC", "--search", "clean-point", "--trials", 1, "--cache", "none"]
UNMET, BUDGET = 5, 4
ERRORS, SAME = 3, 0.01  # on the same samples: at most so much beyond so many standard errors


def conditioned(network, hardware, data, folder):
    schedule, written = f"{folder}/schedule.yaml", f"{folder}/conditioned.onnx"
    common.dynaprec("learn", network.path, "--data", data, "--hardware", hardware, *LEARN, "-o", schedule, allow=(UNMET,))
    common.run(common.BUILD / "dynaprec", "export", schedule, "--model", network.path, "--to", "onnx", "-o", written, "--quiet")
    return written


def variances(model, learn, check, hardware):
    program = common.BUILD / "bench" / "variance"
    if not program.exists():
        common.skip(f"{program} is not there: `make bench` builds it")
    text, _ = common.run(program, model, learn, check, common.HARDWARE / f"{hardware}.yaml", REPETITIONS)
    return common.json.loads(text)["sites"]


def compare(network, hardware, count, folder):
    data = {which: common.subset(network, which, count, folder) for which in ("learn", "check")}
    models = {"plain": network.path, "conditioned": conditioned(network, hardware, data["learn"], folder)}
    return {kind: {which: variances(model, data["learn"], data[which], hardware) for which in data} for kind, model in models.items()}


def measure():
    for name, network in common.chosen(SAMPLES).items():
        for hardware in common.selected(HARDWARE):
            common.say(f"{network.title}, {hardware}")
            with common.scratch() as folder:
                yield {f"{name} {hardware}": compare(network, hardware, common.few(SAMPLES[name]), folder)}


def spread(sites):
    ratios = [s["measured"] / s["predicted"] for s in sites if s["predicted"] > 0]
    return min(ratios), max(ratios)


def beyond(sites):
    return max(max(abs(s["measured"] / s["predicted"] - 1) - ERRORS * (2 / s["outputs"]) ** 0.5, 0) for s in sites if s["predicted"] > 0)


def left(found, which, kind):
    before = {s["name"]: s for s in found["plain"][which]}
    pairs = [(s, before[s["name"]]) for s in found["conditioned"][which] if s["name"] in before and before[s["name"]][kind] > 0]
    return sum(b["macs"] * s[kind] / b[kind] for s, b in pairs) / sum(b["macs"] for _, b in pairs)


def tables(figures):
    rows = []
    for row, found in figures.items():
        name, hardware = row.split()
        for kind, title in ("plain", "as it is"), ("conditioned", "conditioned"):
            least, most = spread(found[kind]["learn"])
            rest = ["", ""] if kind == "plain" else [f"{left(found, 'check', k):.2f}" for k in ("predicted", "measured")]
            rows.append([common.NETWORKS[name].title, HARDWARE[hardware], title, len(found[kind]["learn"]), f"{least:.3f} to {most:.3f}",
                         common.held(beyond(found[kind]["learn"]), "{:.2%}", most=SAME), "{:.2f} to {:.2f}".format(*spread(found[kind]["check"])), *rest])
    return [{"columns": ["network", "noise", "operands", "sites", "measured over predicted, same samples", "beyond errors", "on other samples",
                         "variance left, predicted", "measured on others"], "rows": rows}]


if __name__ == "__main__":
    common.main(measure, tables)
