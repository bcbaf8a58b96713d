# SPDX-License-Identifier: GPL-3.0-or-later
"""The candidates of bench_further.py, and what each would cost a network: see further.py for a site, folds.py for what folds away."""
import dataclasses
import math

import common
import folds
import further
import torch

LEAST_INPUTS = 16  # below, what is done digitally is most of the product
BUDGET = 0.05  # nats, that clipping takes a part of


# --- rewritings of one site, from what the learn set showed: {name: (rewrite, digital operations a sample)} ---


def of_rows(v):
    """W_ij - w_i, with the patch summed digitally."""
    if further.convolves(v):
        return dataclasses.replace(v, weight=v.weight - v.weight.flatten(1).mean(1).reshape([-1] + [1] * (v.weight.dim() - 1)))
    return dataclasses.replace(v, weight=v.weight - v.weight.mean(-2, keepdim=True))


def projecting(direction):
    """x without its part along a direction, which is multiplied digitally; no use for it in the rows then."""
    m = (torch.eye(len(direction), dtype=torch.double) - torch.outer(direction, direction)).float()
    return lambda v: further.on_inputs(v, m, m)


def of_ranges(record, kind):
    """Alphas for the ranges, and copies of channels."""
    r = further.Ranges(record, kind)
    single = torch.ones(len(r.reach), dtype=torch.long)
    alpha = r.polished(r.best_alpha([r.powers, r.limits]))
    plans = {"balance": (alpha, single), "copies, 4": r.best_copies(alpha, 4), "copies, 16": r.best_copies(alpha, 16)}
    return {name: (lambda v, a=a, c=c: further.spread(v, a, c), record.visit.x.numel()) for name, (a, c) in plans.items()}


def rewritings(record, kind, generator):
    v = record.visit
    if not further.dense(v):
        return {}
    found = {} if kind == "shot" else of_ranges(record, kind)
    if len(record.operand()) < LEAST_INPUTS:
        return found
    x, y, size = v.x.numel(), v.g.numel(), record.operand().shape[0]
    taps = further.taps_of(v).shape[1]
    ones = torch.ones(size, dtype=torch.double) / math.sqrt(size)
    sigma, gram = record.moment(), further.weighted_gram(v, record.curvature.diagonal())
    top = torch.linalg.eigh(sigma / sigma.trace() + gram / gram.trace()).eigenvectors[:, -1]
    found |= {"rows": (of_rows, x + taps * y / v.g.shape[1] + 2 * y),
             "mean": (projecting(ones), 2 * x + 2 * taps * y),
             "direction": (projecting(top), 4 * x + 2 * taps * y)}
    if kind == "shot":
        a = further.best_mixing(sigma, gram)
        back = torch.linalg.inv(a).float()
        found["mixing"] = (lambda v, a=a.float(), back=back: further.on_inputs(v, a, back)), 2 * size * x
    else:
        q = further.rotation(size, generator).float()
        found["rotation"] = (lambda v, q=q: further.on_inputs(v, q, q.T)), math.log2(size) * x
    return found


def folded(fold, parameter):
    """{site: rewrite}."""
    def rewrite(v, inputs, outputs):
        if v.product is None:
            back = torch.linalg.inv(outputs).transpose(1, 2)
            return dataclasses.replace(v, weight=torch.einsum("hij,nhtj->nhti", outputs.float(), v.weight),
                                       g=torch.einsum("hij,nhtj->nhti", back.float(), v.g))
        if inputs is not None:
            v = further.on_inputs(v, inputs.float(), torch.linalg.inv(inputs).float())
        return v if outputs is None else further.on_outputs(v, outputs.float())

    return {site: (lambda v, i=i, o=o: rewrite(v, i, o)) for site, (i, o) in fold.maps(parameter).items()}


# --- sums over a network ---


class Tally:
    """s B of every site, by channel, under one set of rewritings; and the variance by MACs."""

    def __init__(self, kind, rewrites):
        self.kind, self.rewrites, self.values, self.variances = kind, rewrites, {}, {}

    def add(self, name, v):
        if name not in self.rewrites:
            return
        v = self.rewrites[name](v)
        self.values[name] = self.values.get(name, 0) + further.outcome(self.kind, v, 1.0)
        self.variances[name] = self.variances.get(name, 0) + further.variance(self.kind, v, 1.0)

    def finish(self, seen):
        """Ranges are known at the end: those of the samples that nothing was chosen by."""
        for name, rewrite in self.rewrites.items() if self.kind == "thermal" else ():
            spread = further.input_range(seen[name], rewrite)
            self.values[name] *= spread**2
            self.variances[name] *= spread**2


def layers_of(net):
    """Sites by their weights: they share repetitions."""
    layers = {}
    for site in net.sites:
        layers.setdefault(site.weight or site.name, []).append(site.name)
    return list(layers.values())


def terms(values, sites, by_channel):
    """Sum of sqrt(s B) of one layer."""
    total = len(sites) * sum(values[s] for s in sites)
    return total.sqrt().sum().item() if by_channel else (len(total) * total.sum()).sqrt().item()


def energy(net, base, new, by_channel):
    """At equal loss, in parts of the base; layers change only if that is better, all sites of a layer or none."""
    before = after = 0.0
    for sites in layers_of(net):
        old = terms(base, sites, by_channel)
        before += old
        after += min(old, terms({s: new.get(s, base[s]) for s in sites}, sites, by_channel))
    return (after / before)**2


def changed(net, base, new):
    return sorted(s for sites in layers_of(net) for s in sites if s in new
                  and terms({k: new.get(k, base[k]) for k in sites}, sites, False) < terms(base, sites, False))


def summed(net, base, new):
    """Without a choice: all of it is done."""
    both = [[sum(terms({s: v.get(s, base[s]) for s in sites}, sites, c) for sites in layers_of(net)) for c in (False, True)]
            for v in (base, new)]
    return [(b / a)**2 for a, b in zip(*both)]


def row(net, base, new, macs, operations=None):
    """The figures of one candidate."""
    used = changed(net, base.values, new.values)
    left = sum(macs[s] * (new.variances[s] / base.variances[s] if s in used and base.variances[s] else 1.0) for s in macs)
    return {"layer": energy(net, base.values, new.values, False), "channel": energy(net, base.values, new.values, True),
            "variance": left / sum(macs.values()), "sites": len(used),
            "operations": sum(operations[s] for s in used) / sum(macs.values()) if operations else 0.0}


def fold_rows(net, base, found):
    """The best parameter of every fold, one for layers and one for channels."""
    total = [0.0, 0.0]
    whole = [sum(terms(base.values, s, c) for s in layers_of(net)) for c in (False, True)]
    for options in found:
        for c in (0, 1):
            before = sum(terms(base.values, [s], c) for s in options[0].rewrites)
            after = min(sum(terms(t.values, [s], c) for s in t.rewrites) for t in options)
            total[c] += max(0.0, before - after)
    return {"layer": (1 - total[0] / whole[0])**2, "channel": (1 - total[1] / whole[1])**2, "folds": len(found)}


def columns(net, kept, base):
    """Weight noise, if each column of weights had repetitions of its own: what the best ones would leave."""
    new = {}
    for name, record in kept.items():
        if record.visit.product is not None:
            g = (record.columns * further.row_ranges(record.visit)[:, None].double()**2).sum(0)
            new[name] = base.values[name] * ((g.sqrt().sum()**2 / (len(g) * g.sum())).item() if g.sum() else 1.0)
    return {"layer": energy(net, base.values, new, False), "channel": energy(net, base.values, new, True), "sites": len(new)}


def clippings(net, kind, kept, base, check):
    """Converters that cut more: what of the budget that takes, and the energy that keeps within the rest."""
    def left(ratios, loss):
        after = summed(net, base.values, {s: base.values[s] * r**2 for s, r in ratios.items()})
        return {"loss": loss} | {k: v / (1 - loss / BUDGET) if loss < BUDGET else 9.99 for k, v in zip(("layer", "channel"), after)}

    rows, products = {}, {s: r for s, r in kept.items() if r.visit.product}
    for percentile in (99.9, 99.5, 99.0) if kind == "thermal" else ():
        bounds = {s: further.bounds_of(r.operand(), percentile) for s, r in products.items()}
        ratios = {s: (b[1] - b[0]) / further.range_of(products[s].operand()) for s, b in bounds.items()}
        rows[f"inputs at {percentile:g}%"] = left(ratios, further.divergence_of(net, check, further.clipped_inputs(bounds)))
    for share in (0.9, 0.8, 0.7) if kind != "shot" else ():
        rows[f"rows to {share:g}"] = left(dict.fromkeys(products, share), further.divergence_of(net, check, further.clipped_rows(share)))
    return rows


def of_folds(net, kept, kind, generator):
    """{kind of fold: [the tallies of each fold's parameters]}."""
    found = {}
    for fold in folds.folds(net, kept):
        parameters = [fold.rotated(generator)]
        parameters += [folds.best(fold, kept, c) for c in {"shot": (False, True), "weight": (False,)}.get(kind, ())]
        found.setdefault(fold.kind, []).append([Tally(kind, folded(fold, p)) for p in parameters])
        common.say(fold.title)
    return found


def tally_all(net, check, tallies, generator):
    seen = {}
    for x in check:
        for name, v in further.visits(net, x, generator).items():
            seen.setdefault(name, further.Record(v)).keep(v, len(check), generator)
            for tally in tallies:
                tally.add(name, v)
    for tally in tallies:
        tally.finish(seen)


def measure(net, kind, learn, check, seed):
    """{candidate: figures} of a network."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)
    kept = further.records(net, learn, generator)
    made = {name: rewritings(r, kind, generator) for name, r in kept.items()}
    names = dict.fromkeys(n for found in made.values() for n in found)
    base = Tally(kind, {name: lambda v: v for name in kept})
    single = {n: Tally(kind, {s: found[n][0] for s, found in made.items() if n in found}) for n in names}
    found = of_folds(net, kept, kind, generator)
    tally_all(net, check, [base, *single.values(), *(t for of in found.values() for fold in of for t in fold)], generator)
    macs = {name: further.macs_of(r.visit) for name, r in kept.items()}
    rows = {n: row(net, base, tally, macs, {s: made[s][n][1] for s in tally.rewrites}) for n, tally in single.items()}
    rows |= clippings(net, kind, kept, base, check)
    rows |= {f"folded, {k}": fold_rows(net, base, of) for k, of in found.items()}
    return rows | ({"columns": columns(net, kept, base)} if kind == "weight" else {})
