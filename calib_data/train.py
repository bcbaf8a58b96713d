#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the embedded demo network and write its calibration data.

A residual network with a depthwise-separable stage on scikit-learn's handwritten digits. The 1,797 images are split by a
fixed seed into three parts that share nothing: one to train on, one to learn schedules from (digits_learn.npz) and one for
a last look (digits_test.npz). Batch normalisation is left in the ONNX file on purpose, so that reading it exercises folding.

Usage: calib_data/train.py [FOLDER]; needs Debian's python3-torch, python3-sklearn and python3-onnx.
"""
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import digits

TRAIN, LEARN = 500, 900  # images; the other 397 are the test set


def conv(inputs, outputs, size=3, stride=1, groups=1):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    )


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = conv(1, 16)
        self.widen = conv(16, 32)
        self.block1 = conv(32, 32)
        self.block2 = conv(32, 32)
        self.depthwise = conv(32, 32, stride=2, groups=32)
        self.pointwise = conv(32, 64, size=1)
        self.top = conv(64, 64)
        self.classify = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.widen(F.relu(self.stem(x))))
        x = F.relu(x + self.block2(F.relu(self.block1(x))))
        x = F.relu(self.pointwise(F.relu(self.depthwise(x))))
        x = F.relu(self.top(x))
        return self.classify(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


def augment(x, generator):
    """Turn, scale and shift every image a little."""
    n = len(x)
    angle, scale, dx, dy = (torch.rand(4, n, generator=generator) * 2 - 1)
    angle, scale = 0.2 * angle, 1 + 0.1 * scale
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    theta = torch.stack([cos, -sin, 0.25 * dx, sin, cos, 0.25 * dy], 1).view(n, 2, 3)
    return F.grid_sample(x, F.affine_grid(theta, x.shape, align_corners=False),
                         padding_mode="border", align_corners=False)


def main(folder):
    digits.deterministic()
    data = digits.Digits(TRAIN, LEARN)
    images = data.images[:, None]
    seen = images[data.parts["train"]] / 255
    mean, std = np.float32([seen.mean()]), np.float32([seen.std()])
    tensors = data.tensors(images, mean, std)
    model = digits.train(Network(), *tensors["train"], augment, epochs=120, batch=50, rate=0.006, decay=0.02)
    digits.report(model, tensors)
    for part in ("learn", "test"):
        data.save(folder / f"digits_{part}.npz", part, mean, std, x=images)
    digits.export(model, tensors["test"][0][:2], folder / "digits.onnx", "x", 13,
                  training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False)


if __name__ == "__main__":
    main(digits.folder())
