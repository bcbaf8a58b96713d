#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the paper's procedure takes a step: Adam on the logarithms of the energies, one a channel, through the noisy network of
examples/pytorch/analog.py, which is differentiated by PyTorch. Prints JSON: the seconds of every step after those that warm up.

The loss is cross-entropy on the labels + lambda max(ln E - ln E_target, 0), E the network's energy [Garg, section IV]; lr 0.01, batch
32. A batch goes through in parts, whose gradients add up to its own, so that memory suffices.

    peer_adam.py MODEL.onnx --data learn.npz --steps 3 --threads 2
"""
import argparse
import json
import math
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "examples" / "pytorch"))
import analog as an  # noqa: E402
import torch  # noqa: E402


def options():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("model")
    p.add_argument("--data", required=True)
    p.add_argument("--shot", type=float, default=1.0, metavar="N0", help="photons per MAC at K = 1")
    p.add_argument("--start", type=float, default=100.0, help="repetitions of every channel before the first step")
    p.add_argument("--target", type=float, default=20.0, help="mean repetitions over multiply-accumulates, times MACs: E_target")
    p.add_argument("--weight", type=float, default=2.0, help="lambda")
    p.add_argument("--rate", type=float, default=0.01)
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--part", type=int, default=8)
    p.add_argument("--steps", type=int, default=3)
    p.add_argument("--warm-up", type=int, default=1)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seed", type=int, default=0)
    return p.parse_args()


def channels_and_macs(network, x):
    """[(site, output channels, multiply-accumulates of one of them a sample)], seen in a pass over one sample."""
    found = []

    def watch(name, product, weight, values):
        y = product.product(weight, values) if product else values @ weight
        channels = len(product.rows(weight)) if product else 1
        depth = product.depth(weight, values) if product else values.shape[-1]
        found.append((name, channels, y.numel() / channels * depth))
        return y

    with torch.no_grad():
        network.run(x[:1], watch)
    return found


class Procedure:
    def __init__(self, a, network, x):
        self.a = a
        self.analog = an.Analog(network, an.Hardware(shot=a.shot), a.seed)
        self.sites = channels_and_macs(network, x)
        self.logs = {name: torch.full((channels,), math.log(a.start), requires_grad=True) for name, channels, _ in self.sites}
        self.adam = torch.optim.Adam(self.logs.values(), lr=a.rate)
        self.target = math.log(a.target * sum(channels * macs for _, channels, macs in self.sites))

    def excess(self):
        """max(ln E - ln E_target, 0), in units of the energy of one multiply-accumulate at K = 1."""
        energy = sum(self.logs[name].exp().sum() * macs for name, _, macs in self.sites)
        return torch.clamp(energy.log() - self.target, min=0)

    def forward(self, x):
        self.analog.repetitions = {name: log.exp() if log.numel() > 1 else log.exp()[0] for name, log in self.logs.items()}
        return self.analog.network.run(x, self.analog.multiply)

    def step(self, x, y):
        self.adam.zero_grad()
        loss = 0.0
        for start in range(0, len(x), self.a.part):
            part = x[start:start + self.a.part]
            nats, _ = an.cross_entropy(self.forward(part), y[start:start + self.a.part])
            (nats.sum() / len(x)).backward()
            loss += nats.sum().item() / len(x)
        excess = self.excess()
        (self.a.weight * excess).backward()
        self.adam.step()
        return loss + self.a.weight * excess.item()


def main():
    a = options()
    torch.set_num_threads(a.threads)
    network = an.Network(a.model)
    x, y = an.read_data(a.data, network)
    procedure = Procedure(a, network, x)
    order = torch.Generator().manual_seed(a.seed)
    seconds, losses = [], []
    for number in range(a.warm_up + a.steps):
        batch = torch.randint(len(x), (a.batch,), generator=order)
        start = time.perf_counter()
        losses.append(procedure.step(x[batch], y[batch]))
        if number >= a.warm_up:
            seconds.append(time.perf_counter() - start)
    json.dump({"seconds": seconds, "losses": losses, "parameters": sum(log.numel() for log in procedure.logs.values()),
               "version": torch.__version__, "threads": torch.get_num_threads()}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
