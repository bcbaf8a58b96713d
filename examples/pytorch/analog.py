# SPDX-License-Identifier: GPL-3.0-or-later
"""An ONNX network on noisy analog hardware, in PyTorch: a few dozen operators, and the noise where the core multiplies.

This is a second, independent statement of what dynaprec computes: it shares no code with the C program, only the formulas.
y = sum_j W_ij x_j is a product of length D, done at K repetitions; its noise has mean zero and variance

    shot      |W_i|^2 |x|^2 / (D n0 K)             |x| of the patch that is there: zero padding carries no light
    thermal   (sigma_t R_w R_x)^2 D / K            R: range of the weight row's and of the input's 8-bit quantiser
    weight    W_ij off by sigma_w R_w / sqrt(K)    one error for all positions and for a batch of samples

    net = Network("model.onnx")
    analog = Analog(net, Hardware(shot=1.0))
    analog.repetitions = {site.name: 20.0 for site in net.sites}
    logits = analog(x)

A site without repetitions is computed exactly. `read_hardware` and `read_schedule` fill the two middle lines from a schedule.

Where a schedule has `conditioning`, the core multiplies other operands, of which W and x above stand for, and the rest is exact:

    sum_j W_ij x_j = sum_j (W_ij / alpha_j) (alpha_j (x_j - mu_j)) + sum_j W_ij mu_j

or, in attention, right operands less their mean over positions. `read_conditioning` fills `analog.conditioning`.
Needs torch, onnx, numpy and yaml.
"""
import dataclasses
import math
import pathlib

import numpy as np
import onnx
import onnx.numpy_helper
import torch
import yaml
from operators import DIGITAL, ints, pad_spatial, pads_of, split
from torch.nn import functional as F


@dataclasses.dataclass
class Hardware:
    """Noise at K = 1, 0: none. Bits, 0: floating point."""
    shot: float = 0.0  # n0, photons per MAC
    thermal: float = 0.0  # sigma_t
    weight: float = 0.0  # sigma_w
    weight_bits: int = 0
    input_bits: int = 0
    percentile: float = 99.99  # of the inputs' values; 100: their extremes


@dataclasses.dataclass
class Site:
    """One product: `name` is the ONNX node's."""
    name: str
    op: str
    weight: str  # initializer, "" for activation x activation
    averages: bool = False  # activation x activation whose left operand is a Softmax: rows add up to 1


@dataclasses.dataclass
class Conditioned:
    """What is done to a site's operands, None: nothing. Shapes: [input channels]."""
    mu: torch.Tensor | None = None
    alpha: torch.Tensor | None = None
    positions: bool = False  # activation x activation: right operands less their mean over positions


def attributes(node):
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


# --- products: each in the same few words for all of them ---


class Convolution:
    """W [C, c/groups, kernel...] on x [N, c, ...]."""

    def __init__(self, weight, a):
        self.a, self.groups = a, a.get("group", 1)
        spatial = weight.dim() - 2
        self.kernel = list(weight.shape[2:])
        self.strides = a.get("strides", [1] * spatial)
        self.dilations = a.get("dilations", [1] * spatial)
        self.conv = (F.conv1d, F.conv2d)[spatial - 1]

    def depth(self, weight, x):
        return weight[0].numel()

    def by_channel(self, v, rank):
        return v.reshape([-1] + [1] * (rank - 1))  # to multiply weights

    def out_channel(self, v, rank):
        return v.reshape([1, -1] + [1] * (rank - 2))  # to multiply outputs

    def rows(self, weight):
        return weight.flatten(1)

    def padded(self, x):
        return pad_spatial(x, pads_of(self.a, x, self.kernel, self.strides, self.dilations))

    def product(self, weight, x):
        return self.conv(self.padded(x), weight, None, self.strides, 0, self.dilations, self.groups)

    def norms(self, x):
        """|x|^2 of every patch, one a group, repeated for the group's output channels by broadcasting later."""
        ones = torch.ones([self.groups, x.shape[1] // self.groups] + self.kernel)
        return self.conv(self.padded(x * x), ones, None, self.strides, 0, self.dilations, self.groups)

    def noise_norms(self, weight, x):
        squares = self.norms(x)
        return squares.repeat_interleave(weight.shape[0] // self.groups, 1)

    def of_inputs(self, v, rank):
        return v.reshape([1, -1] + [1] * (rank - 2))  # to multiply inputs

    def of_columns(self, v, weight):
        """To multiply weights: the inputs of each output channel's group."""
        by_group = v.reshape(self.groups, -1).repeat_interleave(len(weight) // self.groups, 0)
        return by_group.reshape(list(weight.shape[:2]) + [1] * (weight.dim() - 2))


class RowsTimesMatrix:
    """x [..., D] on W [D, C]: MatMul with stored weights, and Gemm once its operands are turned that way."""

    def depth(self, weight, x):
        return weight.shape[-2]

    def by_channel(self, v, rank):
        return v.reshape([1] * (rank - 1) + [-1])

    out_channel = by_channel

    def rows(self, weight):
        return weight.transpose(-1, -2).flatten(0, -2)

    def product(self, weight, x):
        return x @ weight

    def noise_norms(self, weight, x):
        return (x * x).sum(-1, keepdim=True)

    def of_inputs(self, v, rank):
        return v

    def of_columns(self, v, weight):
        return v[:, None]


class Quantiser:
    """Affine, zero exactly a level; low and high may be tensors (one a row)."""

    def __init__(self, low, high, bits):
        low = torch.clamp(torch.as_tensor(low, dtype=torch.float64), max=0.0)
        high = torch.clamp(torch.as_tensor(high, dtype=torch.float64), min=0.0)
        self.range = (high - low).float()
        self.steps = 2**bits - 1
        self.step = torch.where(high > low, (high - low) / self.steps, torch.ones_like(low))
        self.zero = torch.round(-low / self.step)

    def __call__(self, x, shape=lambda v: v):
        step, zero = shape(self.step).float(), shape(self.zero).float()
        return (torch.clamp(torch.round(x / step) + zero, 0, self.steps) - zero) * step


class Extremes:
    """The exact percentile range of values that arrive in batches: only the tails are kept."""

    def __init__(self, percentile, expected):
        self.tail = (100 - percentile) / 100
        self.keep = math.ceil(self.tail * expected) + 2
        self.count, self.top, self.bottom = 0, torch.empty(0), torch.empty(0)

    def add(self, x):
        x = x.reshape(-1)
        self.count += x.numel()
        top, bottom = torch.cat([self.top, x]), torch.cat([self.bottom, x])
        self.top = torch.topk(top, min(self.keep, top.numel())).values
        self.bottom = torch.topk(bottom, min(self.keep, bottom.numel()), largest=False).values

    def range(self):
        both = bool(self.bottom[0] < 0 < self.top[0])
        rank = self.tail / (2 if both else 1) * (self.count - 1)
        high = self.at(self.top, rank) if self.top[0] > 0 else 0.0
        low = self.at(self.bottom, rank) if self.bottom[0] < 0 else 0.0
        return low, high

    @staticmethod
    def at(values, rank):
        """Between two values as numpy.percentile has it."""
        first = min(int(rank), len(values) - 1)
        second = min(first + 1, len(values) - 1)
        return float(torch.lerp(values[first], values[second], rank - int(rank)))


class Network:
    """An ONNX file as a list of nodes and a way to run them; `multiply` does the products."""

    def __init__(self, path):
        graph = onnx.load(str(path)).graph
        self.constants = {t.name: torch.from_numpy(np.array(onnx.numpy_helper.to_array(t)))
                          for t in graph.initializer}
        self.inputs = [i.name for i in graph.input if i.name not in self.constants]
        self.outputs = [o.name for o in graph.output]
        self.nodes, self.sites = [], []
        for index, node in enumerate(graph.node):
            a = attributes(node)
            if node.op_type == "Constant":
                self.constants[node.output[0]] = torch.from_numpy(np.array(onnx.numpy_helper.to_array(a["value"])))
                continue
            if not node.name:
                node.name = f"{node.op_type}_{index}"
            self.nodes.append((node, a))
            if node.op_type in ("Conv", "Gemm", "MatMul"):
                stored = [n for n in node.input[:2] if self.origin(n)]
                if len(stored) < 2:
                    self.sites.append(Site(node.name, node.op_type, self.origin(stored[0]) if stored else "",
                                           not stored and self.maker(node.input[0]) == "Softmax"))
            elif node.op_type not in DIGITAL and node.op_type != "Split":
                raise NotImplementedError(f"{path}: node '{node.name}': operator {node.op_type}; this simulation has Conv, Gemm, MatMul, "
                                          f"Split, {', '.join(DIGITAL)}")

    def origin(self, name):
        """The constant that a name stands for, through Identity nodes; "" for an activation."""
        for node, _ in self.nodes:
            if node.op_type == "Identity" and name in node.output:
                return self.origin(node.input[0])
        return name if name in self.constants else ""

    def maker(self, name):
        """The operator that a value comes from."""
        return next((node.op_type for node, _ in self.nodes if name in node.output), "")

    def run(self, x, multiply):
        values = dict(self.constants)
        values.update(zip(self.inputs, [x] if torch.is_tensor(x) else x))
        left = {}  # how many readers a value still has, so that it can go after the last
        for node, _ in self.nodes:
            for name in node.input:
                left[name] = left.get(name, 0) + 1
        for node, a in self.nodes:
            i = [values[n] if n else None for n in node.input]
            if node.op_type in ("Conv", "Gemm", "MatMul"):
                out = [self.product(node, a, i, multiply)]
            elif node.op_type == "Split":
                out = split(i[0], ints(i[1]) if len(i) > 1 else a.get("split"), a, len(node.output))
            else:
                out = [DIGITAL[node.op_type](i, a)]
            values.update(zip(node.output, out))
            for name in node.input:
                left[name] -= 1
                if not left[name] and name not in self.outputs:
                    values.pop(name, None)
        return values[self.outputs[0]]

    def product(self, node, a, i, multiply):
        if node.op_type == "Conv":
            y = multiply(node.name, Convolution(i[1], a), i[1], i[0])
            return y if len(i) < 3 else y + i[2].reshape([1, -1] + [1] * (y.dim() - 2))
        if node.op_type == "Gemm":
            x = i[0].T if a.get("transA", 0) else i[0]
            weight = i[1].T if a.get("transB", 0) else i[1]
            y = a.get("alpha", 1.0) * multiply(node.name, RowsTimesMatrix(), weight, x)
            return y if len(i) < 3 else y + a.get("beta", 1.0) * i[2]
        right, left = self.origin(node.input[1]), self.origin(node.input[0])
        if right and not left:
            return multiply(node.name, RowsTimesMatrix(), i[1], i[0])
        if left and not right:  # W x = (x' W')'
            return multiply(node.name, RowsTimesMatrix(), i[0].transpose(-1, -2),
                            i[1].transpose(-1, -2)).transpose(-1, -2)
        return i[0] @ i[1] if left else multiply(node.name, None, i[1], i[0])


class Analog:
    """A network with noise at its products. Call it with a batch; `noisy = False` leaves only the quantisers."""

    def __init__(self, network, hardware, seed=0):
        self.network, self.hardware = network, hardware
        self.noisy = True
        self.repetitions = {}  # site name -> a number, or one a channel
        self.conditioning = {}  # site name -> Conditioned
        self.averages = {site.name for site in network.sites if site.averages}
        self.ranges = {}  # (site name, operand) -> (low, high)
        self.random = torch.Generator().manual_seed(seed)

    @torch.no_grad()
    def __call__(self, x):
        return self.network.run(x, self.multiply)

    @torch.no_grad()
    def calibrate(self, batches):
        """See the operands of every site in floating point: ranges for the quantisers."""
        batches = list(batches)
        samples = sum(len(b) for b in batches)
        extremes, seen = {}, 0

        def watch(name, product, weight, x):
            right, left, rest = self.condition(name, product, weight, x)
            for operand, value in (("x", left),) + ((("w", right),) if product is None else ()):
                key = name, operand
                if key not in extremes:
                    extremes[key] = Extremes(self.hardware.percentile, value.numel() / seen * samples)
                extremes[key].add(value)
            return (product.product(right, left) if product else left @ right) + rest

        for batch in batches:
            seen = len(batch)
            self.network.run(batch, watch)
        self.ranges = {key: e.range() for key, e in extremes.items()}

    def condition(self, name, product, weight, x):
        """The operands that the core multiplies, and what belongs to their product."""
        done = self.conditioning.get(name)
        if not done:
            return weight, x, 0.0
        if product is None:
            mean = weight.mean(-2 if name in self.averages else -1, keepdim=True)
            return weight - mean, x, mean if name in self.averages else x @ mean
        rest = 0.0
        if done.mu is not None:
            mu = product.of_inputs(done.mu, x.dim())
            rest = product.product(weight, mu.expand_as(x[:1]))  # padding carries no mu
            x = x - mu
        if done.alpha is not None:
            x = x * product.of_inputs(done.alpha, x.dim())
            weight = weight / product.of_columns(done.alpha, weight)
        return weight, x, rest

    def normal(self, shape):
        return torch.randn(shape, generator=self.random)

    def needs_ranges(self):
        return bool(self.hardware.input_bits or self.hardware.thermal)

    def quantise_input(self, name, operand, x):
        h = self.hardware
        if not self.needs_ranges():
            return x, None
        q = Quantiser(*self.ranges[name, operand], h.input_bits or 8)
        return (q(x) if h.input_bits else x), q.range

    def multiply(self, name, product, weight, x):
        if name not in self.repetitions:
            return product.product(weight, x) if product else x @ weight
        weight, x, rest = self.condition(name, product, weight, x)
        x, x_range = self.quantise_input(name, "x", x)
        core = self.multiply_stored if product else self.multiply_activations
        return core(name, product, weight, x, x_range) + rest

    def multiply_stored(self, name, product, weight, x, x_range):
        h, rank = self.hardware, weight.dim()
        rows = product.rows(weight)
        q = Quantiser(rows.amin(1), rows.amax(1), h.weight_bits or 8)
        if h.weight_bits:
            weight = q(weight, lambda v: product.by_channel(v, rank))
        if not self.noisy:
            return product.product(weight, x)
        k = torch.as_tensor(self.repetitions[name], dtype=torch.float32).expand(len(rows))
        core = weight
        if h.weight:
            sigma = product.by_channel(h.weight * q.range / k.sqrt(), rank)
            core = weight + sigma * self.normal(weight.shape)
        y = product.product(core, x)
        variance = 0.0
        depth = product.depth(weight, x)
        if h.shot:
            light = product.noise_norms(weight, x)
            gain = product.rows(weight).square().sum(1) / (depth * h.shot * k)
            variance = variance + light * product.out_channel(gain, y.dim())
        if h.thermal:
            gain = (h.thermal * q.range * x_range).square() * depth / k
            variance = variance + product.out_channel(gain, y.dim())
        return y + variance**0.5 * self.normal(y.shape) if torch.is_tensor(variance) else y

    def multiply_activations(self, name, _product, right, left, left_range):
        h = self.hardware
        right, right_range = self.quantise_input(name, "w", right)
        y = left @ right
        if not self.noisy:
            return y
        k, depth, variance = float(self.repetitions[name]), left.shape[-1], 0.0
        if h.shot:
            rows, columns = left.square().sum(-1, keepdim=True), right.square().sum(-2, keepdim=True)
            variance = variance + rows * columns / (depth * h.shot * k)
        if h.thermal:
            variance = variance + (h.thermal * left_range * right_range).square() * depth / k
        return y + variance**0.5 * self.normal(y.shape) if torch.is_tensor(variance) else y


def read_data(path, network, mean=None, std=None, limit=None):
    """Samples as the network takes them, and labels (None where there are none)."""
    with np.load(path) as z:
        x = z[network.inputs[0]] if network.inputs[0] in z else z["x"]
        y = torch.from_numpy(z["y"].astype(np.int64)) if "y" in z else None
        if x.dtype == np.uint8:
            mean = z["mean"] if mean is None and "mean" in z else np.float32(0 if mean is None else mean)
            std = z["std"] if std is None and "std" in z else np.float32(1 if std is None else std)
            shape = [1, -1] + [1] * (x.ndim - 2)
            x = (np.float32(x) / 255 - mean.reshape(shape)) / std.reshape(shape)
    x = torch.from_numpy(x.astype(np.float32) if x.dtype.kind == "f" else x)
    return x[:limit], y if y is None else y[:limit]


def read_hardware(description):
    """From the keys of a hardware file, or of a schedule's `hardware`."""
    parameter = {"shot": "photons_per_mac", "thermal": "sigma", "weight": "sigma"}
    bits = description["bits"]
    if bits.get("outputs", 0):
        raise NotImplementedError("quantised outputs")
    noise = {n["kind"]: n[parameter[n["kind"]]] for n in description["noise"]}
    return Hardware(**noise, weight_bits=bits["weights"], input_bits=bits["inputs"],
                    percentile=bits.get("percentile", 99.99))


def read_schedule(path):
    """The whole schedule, and its repetitions by site name, tiles spread over their channels."""
    with open(path, encoding="utf-8") as file:
        plan = yaml.safe_load(file)
    repetitions = {}
    for layer in plan["layers"]:
        k = torch.as_tensor(layer["repetitions"], dtype=torch.float32)
        kind, _, size = layer["granularity"].partition(":")
        if kind == "tile":
            k = k.repeat_interleave(int(size))[:layer["channels"]]
        repetitions[layer["name"]] = k
    return plan, repetitions


def read_conditioning(path, plan):
    """By site name what a schedule does to operands; vectors are in it, or in the file beside it that it names."""
    section = plan.get("conditioning") or {}
    file = section.get("file") and np.load(pathlib.Path(path).parent / section["file"])

    def vector(value):
        return None if value is None else torch.as_tensor(file[value] if isinstance(value, str) else np.float32(value))

    return {site["site"]: Conditioned(vector(site["mu"]), vector(site["alpha"]), site["positions"])
            for site in section.get("sites") or []}


def classes_last(logits, labels):
    """[N, C, H, W] with labels [N, H, W] has its classes on axis 1; all else on the last."""
    if labels is None or labels.dim() < 2 or logits.dim() != labels.dim() + 1:
        return logits
    first = logits.shape[2:] == labels.shape[1:] and logits.shape[1:-1] != labels.shape[1:]
    return logits.movedim(1, -1) if first else logits


def cross_entropy(logits, labels):
    """Nats and whether the top-1 is right, for every sample (averaged over its labelled positions)."""
    n = len(logits)
    logits, labels = logits.reshape(n, -1, logits.shape[-1]), labels.reshape(n, -1)
    used = labels != -100
    log_p = F.log_softmax(logits.double(), -1)
    nats = -log_p.gather(-1, labels.clamp(min=0)[..., None])[..., 0]
    right = (logits.argmax(-1) == labels).double()
    count = used.sum(1).clamp(min=1)
    return (nats * used).sum(1) / count, (right * used).sum(1) / count


def divergence(clean, noisy):
    """KL(clean || noisy) in nats and agreement of the top-1, for every sample (averaged over its positions)."""
    n = len(clean)
    clean, noisy = (v.reshape(n, -1, v.shape[-1]).double() for v in (clean, noisy))
    log_p, log_q = F.log_softmax(clean, -1), F.log_softmax(noisy, -1)
    kl = (log_p.exp() * (log_p - log_q)).sum(-1).mean(1)
    return kl, (clean.argmax(-1) == noisy.argmax(-1)).double().mean(1)


def batches_of(x, size):
    return [x[i:i + size] for i in range(0, len(x), size)]


def error_of_draws(table, batch):
    """Standard error of the mean of table [draws, images]: the images of a batch may share draws, batches do not."""
    draws, images = table.shape
    if draws < 2:
        return None
    sums = torch.stack([part.sum(1) for part in table.split(batch, 1)])  # [batches, draws]
    return (sums.var(1).sum() / draws).sqrt().item() / images


def evaluate(analog, x, y, draws, batch=50):
    """Noisy against clean: every figure with its standard error over draws, and over images at once."""
    analog.noisy = False
    clean = classes_last(torch.cat([analog(b) for b in batches_of(x, batch)]), y)
    analog.noisy = True
    figures = {"kl": [], "agreement": [], "top1": [], "loss": []}
    for _ in range(draws):
        noisy = classes_last(torch.cat([analog(b) for b in batches_of(x, batch)]), y)
        kl, agreement = divergence(clean, noisy)
        figures["kl"].append(kl)
        figures["agreement"].append(agreement)
        if y is not None:
            loss, right = cross_entropy(noisy, y)
            figures["loss"].append(loss)
            figures["top1"].append(right)
    result = {"clean": {}, "noisy": {}}
    if y is not None:
        loss, right = cross_entropy(clean, y)
        result["clean"] = {"loss": loss.mean().item(), "top1": right.mean().item()}
    for name, rows in figures.items():
        if rows:
            table = torch.stack(rows)  # [draws, images]
            result["noisy"][name] = {
                "value": table.mean().item(),
                "se_draws": error_of_draws(table, batch),
                "se_images": (table.mean(0).std() / len(x)**0.5).item(),
            }
    return result
