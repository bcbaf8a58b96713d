# SPDX-License-Identifier: GPL-3.0-or-later
"""What the training scripts have in common: scikit-learn's handwritten digits in parts that share nothing, training, the files."""
import pathlib
import sys

import numpy as np
import onnx
import sklearn.datasets
import torch
from torch.nn import functional as F

SEED = 8


def deterministic():
    """The same bytes from every run on one machine."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)  # sums in one order
    torch.use_deterministic_algorithms(True)


class Digits:
    """Images as uint8 [1797, 8, 8], labels, and their numbers in the parts train, learn and test (what is left)."""

    def __init__(self, train, learn):
        digits = sklearn.datasets.load_digits()
        self.images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        self.labels = digits.target.astype(np.int64)
        order = np.random.RandomState(SEED).permutation(len(self.labels))
        self.parts = {"train": order[:train], "learn": order[train:train + learn], "test": order[train + learn:]}

    def tensors(self, inputs, mean, std):
        """For each part: inputs [1797, ...] as the network sees them, and labels."""
        return {name: (torch.from_numpy((np.float32(inputs[part]) / 255 - mean) / std), torch.from_numpy(self.labels[part]))
                for name, part in self.parts.items()}

    def save(self, path, part, mean, std, **inputs):
        part = self.parts[part]
        inputs = {name: values[part] for name, values in inputs.items()}
        np.savez_compressed(path, **inputs, y=self.labels[part], mean=mean, std=std)


def train(model, x, y, disturb, *, epochs, batch, rate, decay):
    """AdamW on cross-entropy; disturb(inputs, generator) makes every epoch's inputs a little different."""
    generator = torch.Generator().manual_seed(SEED)
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, epochs * (len(x) // batch))
    for _ in range(epochs):
        for some in torch.randperm(len(x), generator=generator).view(-1, batch):
            loss = F.cross_entropy(model(disturb(x[some], generator)), y[some], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return model.eval()


def report(model, tensors):
    with torch.no_grad():
        for part, (x, y) in tensors.items():
            right = (model(x).argmax(1) == y).float().mean().item()
            print(f"{part}: {len(y)} images, {100 * right:.2f}% right")


def export(model, example, path, name, opset, **options):
    torch.onnx.export(model, example, str(path), opset_version=opset, input_names=[name], output_names=["logits"],
                      dynamic_axes={name: {0: "N"}, "logits": {0: "N"}}, **options)
    onnx.checker.check_model(str(path))


def folder():
    """Where to write: what the command line says, or beside the scripts."""
    return pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
