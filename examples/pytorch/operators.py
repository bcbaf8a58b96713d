# SPDX-License-Identifier: GPL-3.0-or-later
"""ONNX operators that do not multiply, in PyTorch: what analog.py computes exactly. DIGITAL has a function of (inputs, attributes) for each."""
import math

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from torch.nn import functional as F


def ints(tensor):
    return [int(v) for v in tensor.reshape(-1).tolist()]


def pads_of(a, x, kernel, strides, dilations):
    """(begin..., end...) of every spatial axis, with auto_pad worked out."""
    spatial = len(kernel)
    auto = a.get("auto_pad", b"NOTSET").decode()
    if auto in ("NOTSET", "VALID"):
        return a.get("pads", [0] * 2 * spatial) if auto == "NOTSET" else [0] * 2 * spatial
    begin, end = [], []
    for i in range(spatial):
        size = x.shape[2 + i]
        reach = (kernel[i] - 1) * dilations[i] + 1
        total = max((math.ceil(size / strides[i]) - 1) * strides[i] + reach - size, 0)
        less, more = total // 2, total - total // 2
        begin.append(less if auto == "SAME_UPPER" else more)
        end.append(more if auto == "SAME_UPPER" else less)
    return begin + end


def pad_spatial(x, pads, value=0.0):
    spatial = len(pads) // 2
    flat = [p for i in reversed(range(spatial)) for p in (pads[i], pads[spatial + i])]
    return F.pad(x, flat, value=value) if any(flat) else x


def pool(x, a, kind):
    kernel = a["kernel_shape"]
    spatial = len(kernel)
    strides = a.get("strides", [1] * spatial)
    dilations = a.get("dilations", [1] * spatial)
    if a.get("ceil_mode", 0):
        raise NotImplementedError("pooling with ceil_mode")
    pads = pads_of(a, x, kernel, strides, dilations)
    if kind == "max":
        x = pad_spatial(x, pads, -math.inf)
        return (F.max_pool1d, F.max_pool2d)[spatial - 1](x, kernel, strides, dilation=dilations)
    average = (F.avg_pool1d, F.avg_pool2d)[spatial - 1]
    total = average(pad_spatial(x, pads), kernel, strides)
    if a.get("count_include_pad", 0):
        return total
    return total / average(pad_spatial(torch.ones_like(x), pads), kernel, strides)


def reshape(x, shape, a):
    shape = ints(shape)
    if not a.get("allowzero", 0):
        shape = [x.shape[i] if d == 0 else d for i, d in enumerate(shape)]
    return x.reshape(shape)


def slice_(x, starts, ends, axes=None, steps=None):
    starts, ends = ints(starts), ints(ends)
    axes = ints(axes) if axes is not None else range(len(starts))
    steps = ints(steps) if steps is not None else [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps):
        picked = range(*slice(start, end if end > -2**62 else None, step).indices(x.shape[axis]))
        x = x.index_select(axis, torch.tensor(list(picked), dtype=torch.long))
    return x


def pad(x, pads, value=None, a=None):
    if (a or {}).get("mode", b"constant") != b"constant":
        raise NotImplementedError("padding other than by a constant")
    pads, rank = ints(pads), x.dim()
    flat = [p for i in reversed(range(rank)) for p in (pads[i], pads[rank + i])]
    return F.pad(x, flat, value=0.0 if value is None else float(value))


def flatten(x, axis):
    return x.reshape(math.prod(x.shape[:axis]), -1)


def unsqueeze(x, axes):
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def squeeze(x, axes):
    for axis in sorted((axis % x.dim() for axis in axes), reverse=True):
        x = x.squeeze(axis)
    return x


def split(x, sizes, a, count):
    axis = a.get("axis", 0)
    return torch.split(x, sizes or [x.shape[axis] // count] * count, axis)


def divide(x, y):
    return x / y if x.is_floating_point() else torch.div(x, y, rounding_mode="trunc")


def cast(x, to):
    types = {1: torch.float32, 6: torch.int32, 7: torch.int64, 9: torch.bool}
    if to not in types:
        raise NotImplementedError(f"Cast to {onnx.TensorProto.DataType.Name(to)}")
    return x.to(types[to])


def filled(shape, a):
    value = torch.from_numpy(np.array(onnx.numpy_helper.to_array(a["value"]))) if "value" in a else torch.zeros(1)
    return value.reshape(-1)[0].expand(ints(shape)).clone()


def layer_norm(x, scale, bias=None, a=None):
    shape = x.shape[a.get("axis", -1) % x.dim():]
    return F.layer_norm(x, shape, scale, bias, a.get("epsilon", 1e-5))


def batch_norm(x, scale, bias, mean, variance, a):
    return F.batch_norm(x, mean, variance, scale, bias, eps=a.get("epsilon", 1e-5))


def clip(x, low=None, high=None, a=None):
    low = a.get("min") if low is None else low
    high = a.get("max") if high is None else high
    return torch.clamp(x, None if low is None else float(low), None if high is None else float(high))


def axes_of(i, a, k=1):
    """The axes of an operator that has them as an input since opset 13 and as an attribute before."""
    return ints(i[k]) if len(i) > k and i[k] is not None else list(a["axes"])


DIGITAL = {
    "Add": lambda i, a: i[0] + i[1],
    "AveragePool": lambda i, a: pool(i[0], a, "average"),
    "BatchNormalization": lambda i, a: batch_norm(*i[:5], a),
    "Clip": lambda i, a: clip(*i, a=a),
    "Cast": lambda i, a: cast(i[0], a["to"]),
    "Concat": lambda i, a: torch.cat(i, a["axis"]),
    "ConstantOfShape": lambda i, a: filled(i[0], a),
    "Div": lambda i, a: divide(*i),
    "Dropout": lambda i, a: i[0],
    "Equal": lambda i, a: i[0] == i[1],
    "Erf": lambda i, a: torch.erf(i[0]),
    "Exp": lambda i, a: torch.exp(i[0]),
    "Expand": lambda i, a: torch.broadcast_to(i[0], torch.broadcast_shapes(i[0].shape, ints(i[1]))),
    "Flatten": lambda i, a: flatten(i[0], a.get("axis", 1)),
    "Gather": lambda i, a: torch.from_numpy(np.asarray(np.take(i[0].numpy(), i[1].numpy(), a.get("axis", 0)))),
    "GlobalAveragePool": lambda i, a: i[0].mean(tuple(range(2, i[0].dim())), keepdim=True),
    "GlobalMaxPool": lambda i, a: i[0].amax(tuple(range(2, i[0].dim())), keepdim=True),
    "HardSigmoid": lambda i, a: torch.clamp(a.get("alpha", 0.2) * i[0] + a.get("beta", 0.5), 0, 1),
    "HardSwish": lambda i, a: F.hardswish(i[0]),
    "Identity": lambda i, a: i[0],
    "InstanceNormalization": lambda i, a: F.instance_norm(i[0], weight=i[1], bias=i[2], eps=a.get("epsilon", 1e-5)),
    "LayerNormalization": lambda i, a: layer_norm(*i[:3], a=a),
    "LeakyRelu": lambda i, a: F.leaky_relu(i[0], a.get("alpha", 0.01)),
    "LogSoftmax": lambda i, a: F.log_softmax(i[0], a.get("axis", -1)),
    "MaxPool": lambda i, a: pool(i[0], a, "max"),
    "Mul": lambda i, a: i[0] * i[1],
    "Neg": lambda i, a: -i[0],
    "Pad": lambda i, a: pad(*i[:3], a=a),
    "Pow": lambda i, a: i[0] ** i[1],
    "ReduceMean": lambda i, a: i[0].mean(tuple(a["axes"]), keepdim=bool(a.get("keepdims", 1))),
    "Relu": lambda i, a: F.relu(i[0]),
    "Reshape": lambda i, a: reshape(i[0], i[1], a),
    "Shape": lambda i, a: torch.tensor(i[0].shape[a.get("start", 0):a.get("end")]),
    "Sigmoid": lambda i, a: torch.sigmoid(i[0]),
    "Slice": lambda i, a: slice_(*i),
    "Softmax": lambda i, a: F.softmax(i[0], a.get("axis", -1)),
    "Sqrt": lambda i, a: torch.sqrt(i[0]),
    "Squeeze": lambda i, a: squeeze(i[0], axes_of(i, a)),
    "Sub": lambda i, a: i[0] - i[1],
    "Tanh": lambda i, a: torch.tanh(i[0]),
    "Transpose": lambda i, a: i[0].permute(a.get("perm", list(reversed(range(i[0].dim()))))),
    "Unsqueeze": lambda i, a: unsqueeze(i[0], axes_of(i, a)),
    "Where": lambda i, a: torch.where(*i),
}
