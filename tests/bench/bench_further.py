#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Further in the direction of conditioning

What else could be done to the operands of sites, measured on networks that are conditioned already (`--condition both`): the energy that
is predicted at equal loss, (sum sqrt(s B))², in parts of what it is now, with one K a layer and, in brackets, one a channel. What is
done is chosen on samples of the learn set and measured on others (`tests/bench/candidates.py`, in PyTorch, with sensitivities of its own); a
layer is left alone where that is better on those. [methods.md](methods.md), "Looked at and left out", says what each is. "Operations" are digital additions
and multiplications for each multiply-accumulate of the network: what such a saving costs. Copies are in the energy: their products are longer.
"""
import common

HARDWARE = {"homodyne": "shot", "thermal": "thermal", "weight": "weight"}
SAMPLES = {"dscnn": 96, "resnet20": 64, "llama": 16, "charlstm_unrolled": 8, "mobilenetv2": 16, "resnet50": 8}
LEARN_FROM = 64  # samples that conditioning is learned from
LEARN = ["--condition", "both", "--energy", "20aJ/MAC", "--search", "clean-point", "--trials", 1, "--cache", "none"]
UNMET, SEED = 5, 1  # exit status of a schedule that is written all the same


def conditioned(network, hardware, folder):
    """The network as `learn` conditions it, by way of ONNX."""
    schedule, written = f"{folder}/schedule.yaml", f"{folder}/conditioned.onnx"
    data = common.subset(network, "learn", common.few(LEARN_FROM), folder)
    common.dynaprec("learn", network.path, "--data", data, "--hardware", hardware, *LEARN, "-o", schedule, allow=(UNMET,))
    common.run(common.BUILD / "dynaprec", "export", schedule, "--model", network.path, "--to", "onnx", "-o", written,
               "--quiet")
    return common.pytorch().Network(written)


def samples(network, net, which, count):
    x, _ = common.pytorch().read_data(network.file(which), net, *([network.scale] * 2 if network.scale else [None] * 2))
    return [x[i:i + 1] for i in range(min(count, len(x)))]


def measure():
    if not common.pytorch():
        common.skip("python3-torch, python3-onnx or python3-yaml is not there")
    import candidates

    for name, network in common.chosen(SAMPLES).items():
        for hardware in common.selected(HARDWARE):
            common.say(f"{network.title}, {hardware}")
            with common.scratch() as folder:
                net = conditioned(network, hardware, folder)
                learn, check = (samples(network, net, which, common.few(SAMPLES[name])) for which in ("learn", "check"))
                yield {name: {hardware: candidates.measure(net, HARDWARE[hardware], learn, check, SEED)}}


def cell(found):
    if not found:
        return "–"
    if found.get("loss", 0) >= 0.05:
        return "over the budget"
    work = f", {found['operations']:.2f}" if found.get("operations", 0) >= 0.005 else ""
    return f"{found['layer']:.2f} ({found['channel']:.2f}){work}"


def tables(figures):
    result = []
    for hardware in HARDWARE:
        of = {name: found[hardware] for name, found in figures.items() if hardware in found}
        rows = [[what, *(cell(found.get(what)) for found in of.values())]
                for what in dict.fromkeys(w for found in of.values() for w in found)]
        if rows:
            columns = [f"{hardware}: layer (channel), operations", *(common.NETWORKS[name].title for name in of)]
            result.append({"columns": columns, "rows": rows})
    return result


if __name__ == "__main__":
    common.main(measure, tables)
