# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an invertible map of channels can be folded away, and which is best: for bench_further.py.

A fold is a set of sites that write a value, or read it, with nothing but sums and constants in between: writers make A y, readers
multiply W A^-1. Three kinds: values of convolutional networks that only sums touch (MobileNetV2's narrow ends of blocks), the values of
attention by head, and the residual stream of a Transformer, where the norm allows rotations and its scale one factor a channel.
"""
import dataclasses
import re
import typing

import further
import torch

STEPS = 120


@dataclasses.dataclass
class Fold:
    kind: str
    title: str
    start: typing.Callable  # () -> parameter
    maps: typing.Callable  # parameter -> {site: (of its inputs or None, of its outputs or None)}
    rotated: typing.Callable  # generator -> parameter


# --- convolutional networks ---


class Values:
    """Which values belong together, as a forest; scale: a reader's operand in parts of the common value."""

    def __init__(self):
        self.parent, self.scale, self.bad = {}, {}, set()

    def find(self, name):
        while self.parent.setdefault(name, name) != name:
            name = self.parent[name]
        return name

    def join(self, a, b):
        self.parent[self.find(a)] = self.find(b)


def is_site(node):
    return node.op_type in ("Conv", "Gemm", "MatMul")


def connect(values, network, node):
    """What a node that is no product does to the values that it touches."""
    acts = [n for n in node.input if n and n not in network.constants]
    out = node.output[0]
    if node.op_type in ("Add", "Sub") and acts and len(node.output) == 1:
        for n in acts:
            values.join(n, out)
            values.bad.update({n} if len(acts) > 1 and n in values.scale else ())
        values.scale.update({out: values.scale[n] for n in acts if n in values.scale})
    elif node.op_type == "Mul" and len(acts) == 1:
        factor = network.constants[next(n for n in node.input if n != acts[0])].flatten().double()
        values.join(acts[0], out)
        values.scale[out] = values.scale.get(acts[0], 1.0) * factor
    else:
        values.bad.update([*acts, *node.output])


def convolutional(network, kept):
    """Folds of values between dense convolutions."""
    values, writers, readers = Values(), {}, {}
    values.bad.update([*network.inputs, *network.outputs])
    for node, a in network.nodes:
        if node.op_type == "Conv" and a.get("group", 1) == 1 and node.input[1] in network.constants:
            readers.setdefault(node.input[0], []).append(node.name)
            writers.setdefault(node.output[0], []).append(node.name)
        else:
            connect(values, network, node)
    bad = {values.find(n) for n in values.bad}
    classes = {}
    for name in [*writers, *readers]:
        if values.find(name) not in bad:
            classes.setdefault(values.find(name), set()).add(name)
    for members in classes.values():
        made = [s for n in members for s in writers.get(n, [])]
        read = [(s, values.scale.get(n)) for n in members for s in readers.get(n, [])]
        if made and read:
            yield dense_fold(kept, made, read)


def dense_fold(kept, made, read):
    size = len(kept[made[0]].curvature)
    identity = torch.eye(size, dtype=torch.double)

    def maps(a):
        found = {}
        for site, scale in read:
            found[site] = (a if scale is None else a / scale.expand(size)), None
        for site in made:
            found[site] = found.get(site, (None, None))[0], a
        return found

    def start():
        parts = []
        for site, scale in read:
            d = identity if scale is None else torch.diag(scale.expand(size))
            sigma, gram = kept[site].moment(), reader_gram(kept[site])
            back = torch.linalg.inv(d)
            parts.append((back @ sigma @ back, d @ gram @ d))
        sigma, gram = (sum(m / m.trace() for m in group) for group in zip(*parts))
        return further.best_mixing(sigma, gram)

    def balanced_rotation(generator):
        return further.rotation(size, generator)

    return Fold("blocks' ends", f"{len(made)} to {len(read)} sites of {size}", start, maps, balanced_rotation)


def reader_gram(record):
    return further.weighted_gram(record.visit, record.curvature.diagonal())


# --- transformers, by the names of the benchmark's network ---


def heads_of(network, kept):
    """Values of each key-value head: what v makes, attention sums and o reads."""
    for layer in range(99):
        v, product, o = (f"/L.{layer}/{n}" for n in ("v/MatMul", "MatMul_1", "o/MatMul"))
        if v not in kept or product not in kept:
            return
        heads, size = kept[product].heads[0].shape[:2]
        groups = len(kept[v].curvature) // size

        def maps(a, v=v, product=product, o=o, times=heads // groups, scale=scale_behind(network, o)):
            a = a.reshape(-1, a.shape[-1], a.shape[-1])
            wide = a.repeat_interleave(times, 0)
            read = torch.block_diag(*wide)
            return {v: (None, torch.block_diag(*a)), product: (None, wide), o: (read / scale, None)}

        def start(groups=groups, size=size):
            return torch.eye(size, dtype=torch.double).repeat(groups, 1, 1)

        def rotated(generator, groups=groups, size=size):
            return torch.stack([further.rotation(size, generator) for _ in range(groups)])

        yield Fold("attention values", f"values of layer {layer}", start, maps, rotated)


def scale_behind(network, site):
    """Product of the constant factors between a site's operand and what is no sum or factor."""
    made = {out: node for node, _ in network.nodes for out in node.output}
    value = next(node for node, _ in network.nodes if node.name == site).input[0]
    scale = torch.ones(1, dtype=torch.double)
    while value in made and made[value].op_type in ("Add", "Sub", "Mul"):
        node = made[value]
        acts = [n for n in node.input if n not in network.constants]
        if len(acts) != 1:
            break
        if node.op_type == "Mul":
            scale = scale * network.constants[next(n for n in node.input if n != acts[0])].flatten().double()
        value = acts[0]
    return scale


def residual(network, kept):
    """The residual stream: Q orthogonal, through the norms; each reader's factors are the best for it."""
    read = [n for n in kept if re.search(r"/(q|k|v|w1|w3)/MatMul$", n) or n.startswith("/head")]
    made = [n for n in kept if re.search(r"/L.*/(o|w2)/MatMul$", n)]
    if not made:
        return
    size = len(kept[made[0]].curvature)
    facts = {}
    for site in read:
        w = scale_behind(network, site)
        facts[site] = w, kept[site].moment() / torch.outer(w, w), reader_gram(kept[site]) * torch.outer(w, w)

    def maps(raw, factors=True):
        q = torch.linalg.matrix_exp(raw - raw.T) if raw.dim() == 2 else raw[0]
        found = {site: (None, q) for site in made}
        for site, (w, sigma, gram) in facts.items():
            a = torch.ones(size, dtype=torch.double)
            if raw.dim() == 2:
                a = ((q @ gram @ q.T).diagonal() / (q @ sigma @ q.T).diagonal()).clamp(min=1e-12)**0.25
            found[site] = a[:, None] * q / w, None
        return found

    yield Fold("residual stream", "the residual stream", lambda: torch.zeros(size, size, dtype=torch.double), maps,
               lambda generator: further.rotation(size, generator)[None])


def folds(network, kept):
    return [*convolutional(network, kept), *heads_of(network, kept), *residual(network, kept)]


# --- the best ---


def cost_of_reader(record, a, times):
    """s B by channel from second moments."""
    sigma = record.moment()
    rows = torch.linalg.solve(a.T, further.taps_of(record.visit).flatten(0, 1).T).T
    norms = rows.square().sum(1).reshape(len(record.curvature), -1).sum(1)
    return record.curvature.diagonal() * norms * (a @ sigma @ a.T).trace() * times


def cost_of_writer(record, a):
    back = torch.linalg.inv(a)
    curvature = (back.T @ record.curvature @ back).diagonal()
    rows = further.taps_of(record.visit).flatten(1)
    return curvature * (a @ rows).square().sum(1) * record.light / record.count


def cost_of_heads(record, a):
    back = torch.linalg.inv(a)
    g, v = record.heads
    curvature = torch.einsum("hki,hkl,hlj->hij", back, g, back).diagonal(dim1=1, dim2=2)
    norms = (a @ v @ a.transpose(1, 2)).diagonal(dim1=1, dim2=2)
    return (curvature * norms).sum().reshape(1) * record.light / record.count**2


def cost(kept, maps, by_channel):
    """Sum of sqrt(s B)."""
    total = 0
    for site, (inputs, outputs) in maps.items():
        record, v = kept[site], kept[site].visit
        if v.product is None:
            values, units, times = cost_of_heads(record, outputs), 1, v.g[0].numel()
        else:
            taps = further.taps_of(v).shape[1]
            values = cost_of_reader(record, inputs, taps) if inputs is not None else cost_of_writer(record, outputs)
            if inputs is not None and outputs is not None:
                raise NotImplementedError(f"{site} reads and writes")
            times, units = further.positions_of(v), len(values)
        total = total + ((values * times).sqrt().sum() if by_channel else (units * times * values.sum()).sqrt())
    return total


def best(fold, kept, by_channel, first=None):
    """Adam from where readers have their optimum, and from nothing at all; the better one."""
    results = []
    starts = [fold.start()]
    if starts[0].dim() == 2 and starts[0].abs().sum() > 0:
        starts.append(torch.eye(len(starts[0]), dtype=torch.double))
    for begin in starts if first is None else [first]:
        p = begin.clone().requires_grad_(True)
        adam = torch.optim.Adam([p], lr=0.05 / len(begin)**0.5)
        for _ in range(STEPS):
            adam.zero_grad()
            value = cost(kept, fold.maps(p), by_channel).log()
            value.backward()
            adam.step()
        results.append((value.item(), p.detach()))
    return min(results, key=lambda r: r[0])[1]
