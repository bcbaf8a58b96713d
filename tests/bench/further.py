# SPDX-License-Identifier: GPL-3.0-or-later
"""What bench_further.py measures with: passes in PyTorch that see every site of a network, and rewritings of what a site multiplies.

A visit is one sample at one site: y = W x, the gradient g of the loss's curvature by y (methods.md, "Sensitivity"), and that by the
weights. A rewriting is a function from visits to visits; `outcome` says what a visit costs: sqrt(s B), by output channel. Energy at
equal loss is (sum of them)^2 with one K a channel, (sum over layers of their root sum of squares times channels)^2 with one a layer.
"""
import dataclasses
import math
import typing

import common  # noqa: F401  its path finds analog
import analog
import torch

KEPT = 2**14  # positions whose operands are kept of each site
ENOUGH = 2**21  # values that tell a percentile
analog.DIGITAL["Gather"] = lambda i, a: torch.index_select(i[0], a.get("axis", 0), i[1].reshape(-1)).reshape(
    i[0].shape[:a.get("axis", 0)] + i[1].shape + i[0].shape[a.get("axis", 0) + 1:])


@dataclasses.dataclass(frozen=True)
class Visit:
    product: typing.Any  # analog's, None: of two activations
    weight: torch.Tensor
    x: torch.Tensor
    g: torch.Tensor
    slope: torch.Tensor  # by the weights


def seed_of(logits, generator):
    """A random vector whose covariance is the curvature of the cross-entropy, at every position."""
    p = torch.softmax(logits, -1)
    signs = torch.randint(0, 2, p.shape, generator=generator) * 2.0 - 1
    return p.sqrt() * signs - p * (p.sqrt() * signs).sum(-1, keepdim=True)


def visits(network, x, generator):
    """Forward and reverse for one sample: {site: Visit}."""
    seen = {}

    def multiply(name, product, weight, x):
        if product:
            weight = weight.detach().clone().requires_grad_(True)
        y = product.product(weight, x) if product else x @ weight
        seen[name] = product, weight, x, y
        return y

    logits = network.run(x, multiply)
    names = list(seen)
    targets = [seen[n][3] for n in names] + [seen[n][1] for n in names]
    found = torch.autograd.grad(logits, targets, seed_of(logits.detach(), generator), allow_unused=True)
    result = {}
    for k, name in enumerate(names):
        product, weight, x, y = seen[name]
        g = found[k] if found[k] is not None else torch.zeros_like(y)
        slope = found[len(names) + k] if found[len(names) + k] is not None else torch.zeros_like(weight)
        result[name] = Visit(product, weight.detach(), x.detach(), g, slope)
    return result


# --- linear maps of channels: inputs, weights, outputs ---


def convolves(v):
    return isinstance(v.product, analog.Convolution)


def dense(v):
    return v.product is not None and not (convolves(v) and v.product.groups > 1)


def map_inputs(v, x, m):
    """m x."""
    return torch.einsum("ij,nj...->ni...", m, x) if convolves(v) else x @ m.T


def map_columns(v, weight, m):
    """W m."""
    return torch.einsum("cj...,ji->ci...", weight, m) if convolves(v) else m.T @ weight


def map_rows(v, weight, m):
    return torch.einsum("dc,c...->d...", m, weight) if convolves(v) else weight @ m.T


def map_outputs(v, y, m):
    return torch.einsum("dc,nc...->nd...", m, y) if convolves(v) else y @ m.T


def on_inputs(v, m, columns):
    """The core multiplies W columns with m x."""
    return dataclasses.replace(v, x=map_inputs(v, v.x, m), weight=map_columns(v, v.weight, columns),
                               slope=map_columns(v, v.slope, m.T))


def on_outputs(v, m):
    """It makes m y; what follows takes it back."""
    back = torch.linalg.inv(m.double()).T.float()
    return dataclasses.replace(v, weight=map_rows(v, v.weight, m), g=map_outputs(v, v.g, back),
                               slope=map_rows(v, v.slope, back))


# --- what a visit costs ---


def channels_of(v, t):
    """[channels, all else]; of two activations one channel."""
    if v.product is None:
        return t.reshape(1, -1)
    return (t.transpose(0, 1) if convolves(v) else t.movedim(-1, 0)).flatten(1)


def positions_of(v):
    return v.g.numel() / len(channels_of(v, v.g))


def depth_of(v):
    return v.product.depth(v.weight, v.x) if v.product else v.x.shape[-1]


def macs_of(v):
    return depth_of(v) * v.g.numel()


def row_ranges(v):
    rows = v.product.rows(v.weight)
    return rows.amax(1).clamp(min=0) - rows.amin(1).clamp(max=0)


def light_of(v):
    """|x|^2 for every output."""
    if v.product is None:
        return v.x.square().sum(-1, keepdim=True) * v.weight.square().sum(-2, keepdim=True)
    return v.product.noise_norms(v.weight, v.x).expand(v.g.shape)


def outcome(kind, v, input_range):
    """s B of every channel of one sample but for common factors; D of B and of the noise's variance included."""
    if kind == "shot":
        rows = v.product.rows(v.weight).square().sum(1) if v.product else 1.0
        return channels_of(v, v.g.square() * light_of(v)).sum(1).double() * rows * positions_of(v)
    if kind == "thermal":
        rows = row_ranges(v) if v.product else 1.0
        return channels_of(v, v.g.square()).sum(1).double() * (rows * input_range * depth_of(v))**2 * positions_of(v)
    if v.product is None:
        return torch.zeros(1, dtype=torch.double)
    return v.product.rows(v.slope).square().sum(1).double() * row_ranges(v)**2 * depth_of(v) * positions_of(v)


def variance(kind, v, input_range):
    """Of the outputs at K = 1, mean over them, but for common factors."""
    flat = dataclasses.replace(v, g=torch.ones_like(v.g))
    if kind != "weight":
        return (outcome(kind, flat, input_range).sum() / v.g.numel()).item() / positions_of(v)
    return 0.0 if v.product is None else (channels_of(v, light_of(v)).mean(1) * row_ranges(v)**2).mean().item()


# --- what is kept of a site ---


@dataclasses.dataclass
class Record:
    """Statistics over the learn set; channels of inputs and of outputs."""
    visit: Visit  # the last one
    count: int = 0
    kept: list = dataclasses.field(default_factory=list)
    right: list = dataclasses.field(default_factory=list)  # of a product of two activations
    curvature: torch.Tensor = None  # sum of g g'
    columns: torch.Tensor = None  # squares of the gradient by the weights, by column
    light: float = 0.0
    second: torch.Tensor = None  # E x x', once it is asked for
    heads: list = None  # of a product of two activations: sums of g g' and of the right operand's v v', by head

    def keep(self, v, samples, generator):
        self.visit = v
        self.count += 1
        rows = (v.x.transpose(0, 1).flatten(1) if convolves(v) else v.x.reshape(-1, v.x.shape[-1]).T)
        pick = torch.randint(0, rows.shape[1], (min(rows.shape[1], KEPT // samples),), generator=generator)
        self.kept.append(rows[:, pick])
        if v.product is None:
            self.right.append(v.weight.flatten()[torch.randint(0, v.weight.numel(), (KEPT,), generator=generator)])

    def add(self, v, samples, generator):
        self.keep(v, samples, generator)
        if v.product is None:
            grams = [torch.einsum("nhti,nhtj->hij", t, t).double() for t in (v.g, v.weight)] if v.g.dim() == 4 else []
            self.heads = grams if self.heads is None else [a + b for a, b in zip(self.heads, grams)]
            self.light += v.x.square().sum(-1).mean().item()
            return
        g = channels_of(v, v.g).double()
        self.curvature = g @ g.T + (0 if self.curvature is None else self.curvature)
        slopes = v.product.rows(v.slope).square().double()
        self.columns = slopes + (0 if self.columns is None else self.columns)
        self.light += light_of(v).mean().item()

    def operand(self):
        """[channels, positions]"""
        return torch.cat(self.kept, 1)

    def moment(self):
        """E x x', drawn a little towards its mean eigenvalue."""
        if self.second is not None:
            return self.second
        x = self.operand().double()
        m = x @ x.T / x.shape[1]
        self.second = m + torch.eye(len(m), dtype=torch.double) * m.trace() / len(m) * 1e-3
        return self.second

    def as_operand(self):
        """A visit whose x is what was kept, to map inputs and look at ranges."""
        x = self.operand()
        return dataclasses.replace(self.visit, x=x[None, :, :, None] if convolves(self.visit) else x.T)


def records(network, samples, generator):
    result = {}
    for x in samples:
        for name, v in visits(network, x, generator).items():
            result.setdefault(name, Record(v)).add(v, len(samples), generator)
    return result


def bounds_of(values, percentile=99.99):
    """Between which a converter has its levels that cuts at a percentile, zero included."""
    tail = (100 - percentile) / 100
    values = values.flatten()
    cut = int(tail / (2 if values.min() < 0 < values.max() else 1) * len(values)) + 1
    high, low = (float(values.topk(cut, largest=largest).values[-1]) for largest in (True, False))
    return min(low, 0.0), max(high, 0.0)


def range_of(values, percentile=99.99):
    low, high = bounds_of(values, percentile)
    return high - low


def input_range(record, rewrite):
    """Of both operands where there are two."""
    v = record.as_operand()
    x = v.x if v.product is None else rewrite(v).x
    return range_of(x) * (range_of(torch.cat(record.right)) if record.right else 1.0)


# --- matrices ---


def root(m, power=0.5):
    values, vectors = torch.linalg.eigh((m + m.T) / 2)
    floor = values.max() * 1e-9
    return vectors @ torch.diag(values.clamp(min=floor)**power) @ vectors.T


def taps_of(v):
    """[channels, taps, inputs]"""
    return v.weight.flatten(2).transpose(1, 2).double() if convolves(v) else v.weight.T[:, None].double()


def weighted_gram(v, h):
    """sum over channels and taps of h_c W_c' W_c."""
    taps = taps_of(v) * h.sqrt()[:, None, None]
    flat = taps.flatten(0, 1)
    return flat.T @ flat


def best_mixing(sigma, gram):
    """A that minimises |W A^-1|^2 E|A x|^2: the product becomes the square of the nuclear norm of W Sigma^1/2."""
    half, back = root(sigma), root(sigma, -0.5)
    a = root(back @ root(half @ gram @ half) @ back)
    return a / a.diagonal().mean()


def rotation(n, generator):
    """Hadamard's matrix with random signs where there is one, else any rotation."""
    if n & (n - 1):
        return torch.linalg.qr(torch.randn(n, n, dtype=torch.double, generator=generator)).Q
    h = torch.ones(1, 1, dtype=torch.double)
    while len(h) < n:
        h = torch.cat([torch.cat([h, h], 1), torch.cat([h, -h], 1)])
    signs = torch.randint(0, 2, (n,), generator=generator) * 2.0 - 1
    return h * signs / math.sqrt(n)


# --- one factor a channel and copies of channels ---


def spread(v, alpha, copies):
    """alpha x and W / alpha, each channel shared out to so many copies."""
    index = torch.arange(len(alpha)).repeat_interleave(copies)
    a, less = alpha.float(), (1 / (alpha * copies)).float()
    axis, weight_axis = (1, 1) if convolves(v) else (v.x.dim() - 1, v.weight.dim() - 2)

    def take(t, factor, axis):
        shape = [-1 if k == axis else 1 for k in range(t.dim())]
        return (t * factor.reshape(shape)).index_select(axis, index)

    return dataclasses.replace(v, x=take(v.x, a, axis), weight=take(v.weight, less, weight_axis),
                               slope=take(v.slope, a, weight_axis))


def bounded(alpha, farthest=4.0):
    alpha = alpha / alpha.log().mean().exp()
    return alpha.clamp(1 / farthest, farthest)


class Ranges:
    """What alpha and copies make of a site, from the learn set."""

    def __init__(self, record, kind):
        self.kind, v = kind, record.visit
        x = record.operand()
        self.x = x[:, :max(ENOUGH // len(x), 64)]
        self.reach = x.abs().amax(1).double().clamp(min=1e-9)
        self.square = self.x.double().square().mean(1).clamp(min=1e-12)
        self.rows = taps_of(v).float()  # [c, taps, inputs]
        self.h = record.curvature.diagonal()
        span = row_ranges(v).double().clamp(min=1e-30)
        self.column = (self.rows.abs().amax(1) / span[:, None]).amax(0).clamp(min=1e-9)
        inputs = len(self.x)
        self.slopes = record.columns.reshape(len(self.h), inputs, -1).sum(2)  # rows are inputs by taps

    def value(self, alpha, copies):
        """s B but for common factors."""
        rows = (self.rows / (alpha * copies).float()).flatten(1)
        span = (rows.amax(1).clamp(min=0) - rows.amin(1).clamp(max=0))**2
        growth = copies.double().mean()
        if self.kind == "thermal":
            values = (self.x * alpha[:, None].float()).repeat_interleave(copies, 0)
            return float((self.h * span.double()).sum()) * range_of(values)**2 * float(growth)**2
        span = span.double()
        return float(((self.slopes * alpha**2 * copies).sum(1) * span).sum()) * float(growth)

    def powers(self):
        """reach^-a column^b; (1, 0) makes the inputs' ranges equal, (1/2, 1/2) those of inputs and columns."""
        for a in (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 1.0):
            for b in (0.0, 0.125, 0.25, 0.375, 0.5):
                yield bounded(self.reach**-a * self.column**b)

    def limits(self):
        """Only what reaches farther than a limit is made smaller."""
        for share in (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.25):
            yield (share * self.reach.max() / self.reach).clamp(max=1.0)

    def best_alpha(self, rules):
        ones = torch.ones_like(self.reach)
        single = torch.ones(len(ones), dtype=torch.long)
        return min([ones, *(a for r in rules for a in r())], key=lambda a: self.value(a, single))

    def polished(self, alpha, steps=100):
        """Descent on log alpha, with a power mean near the inputs' largest; what it came past that is best by `value`."""
        single = torch.ones(len(alpha), dtype=torch.long)
        p = alpha.log().clone().requires_grad_(True)
        adam = torch.optim.Adam([p], lr=0.02)
        best, value = alpha, self.value(alpha, single)
        for step in range(steps):
            adam.zero_grad()
            a = p.exp()
            rows = (self.rows / a.float()).flatten(1)
            span = (rows.amax(1).clamp(min=0) - rows.amin(1).clamp(max=0)).double()
            if self.kind == "thermal":
                sharp = (a * self.reach / (a * self.reach).max()).pow(16).sum().log() / 16 + (a * self.reach).max().log()
                loss = sharp + 0.5 * (self.h * span**2).sum().log()
            else:
                loss = 0.5 * ((self.slopes * a**2).sum(1) * span**2).sum().log()
            loss.backward()
            adam.step()
            if step % 10 == 9:
                now = self.value(p.detach().exp(), single)
                if now < value:
                    best, value = p.detach().exp(), now
        return best

    def best_copies(self, alpha, most):
        """Copies of channels that reach too far, or whose columns do, for a choice of both limits."""
        single = torch.ones(len(alpha), dtype=torch.long)
        best, value = (alpha, single), self.value(alpha, single)
        for share in (1.0, 0.8, 0.65, 0.5, 0.4, 0.3, 0.2):
            limit = share * float((alpha * self.reach).max())
            less = torch.minimum(alpha, limit / self.reach)
            for rows in (0.4, 0.5, 0.65, 0.8, 1.0, 1.25, 1.5, 2.0):
                copies = (self.column / less / (rows * float((self.column / alpha).max()))).ceil().clamp(1, most).long()
                now = self.value(less, copies)
                if now < value:
                    best, value = (less, copies), now
        return best


# --- clipping: less range, and an error that repetitions do not average out ---


def divergence_of(network, samples, change):
    """Mean KL in nats where the operands of every site are changed, from where they are not."""
    def multiply(name, product, weight, x):
        x, weight = change(name, product, x, weight)
        return product.product(weight, x) if product else x @ weight

    total = 0.0
    with torch.no_grad():
        for x in samples:
            clean = network.run(x, lambda name, product, w, x: product.product(w, x) if product else x @ w)
            total += analog.divergence(clean, network.run(x, multiply))[0].item()
    return total / len(samples)


def clipped_inputs(bounds):
    return lambda name, product, x, weight: (x.clamp(*bounds[name]) if product else x, weight)


def clipped_rows(share):
    """Rows of weights cut to a share of what they span."""
    def change(name, product, x, weight):
        if not product:
            return x, weight
        rows, rank = product.rows(weight) * share, weight.dim()
        low, high = rows.amin(1).clamp(max=0), rows.amax(1).clamp(min=0)
        return x, torch.minimum(torch.maximum(weight, product.by_channel(low, rank)), product.by_channel(high, rank))

    return change
