#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Train a small transformer on handwritten digits and write its calibration data.

scikit-learn's digits again (see train.py), read as a sequence: 16 patches of 2x2 pixels, each a word of 4 numbers. Two layers of
PyTorch's own nn.MultiheadAttention, so that the ONNX file has the products of two activations that attention makes. The
1,797 images are split by a fixed seed into three parts that share nothing: to train on, to learn schedules from
(transformer_learn.npz: 400), and the rest, which only the last line of the output looks at.

Usage: calib_data/train_transformer.py [FOLDER]; needs Debian's python3-torch, python3-sklearn and python3-onnx.
"""
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import digits

TRAIN, LEARN = 1100, 400  # images; the other 297 are for a last look
WIDTH, HEADS, HIDDEN, LAYERS = 32, 4, 64, 2


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.up, self.down = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)

    def forward(self, x):
        h = self.norm1(x)
        x = x + self.attention(h, h, h, need_weights=False)[0]
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(4, WIDTH)
        self.places = nn.Parameter(0.1 * torch.randn(16, WIDTH))
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm, self.classify = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 10)

    def forward(self, patches):
        x = self.embed(patches) + self.places
        for layer in self.layers:
            x = layer(x)
        return self.classify(self.norm(x).mean(1))


def disturb(x, generator):
    return x + 0.1 * torch.randn(x.shape, generator=generator)


def main(folder):
    digits.deterministic()
    data = digits.Digits(TRAIN, LEARN)
    # [4 rows, 2, 4 columns, 2] of pixels: a patch is a row and a column
    patches = data.images.reshape(-1, 4, 2, 4, 2).transpose(0, 1, 3, 2, 4)
    patches = np.ascontiguousarray(patches).reshape(-1, 16, 4)
    mean, std = np.float32([0.3]), np.float32([0.35])  # about those of the pixels
    tensors = data.tensors(patches, mean, std)
    model = digits.train(Transformer(), *tensors["train"], disturb, epochs=60, batch=50, rate=0.004, decay=0.05)
    digits.report(model, tensors)
    data.save(folder / "transformer_learn.npz", "learn", mean, std, patches=patches)
    digits.export(model, tensors["test"][0][:2], folder / "transformer.onnx", "patches", 14)


if __name__ == "__main__":
    main(digits.folder())
