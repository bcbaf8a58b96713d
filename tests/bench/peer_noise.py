#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What PyTorch measures at the precision that dynaprec measured: an independent check of the noisy forward pass.

Runs the interpreter of examples/pytorch/analog.py, which shares no code with the C program, at a uniform number of
repetitions or at a schedule's, and prints JSON: top-1, cross-entropy, KL to clean and agreement, each with its standard
error over draws (what separates two programs on the same images) and over images.

    peer_noise.py MODEL.onnx --data check.npz --repetitions 20 --shot 1
    peer_noise.py MODEL.onnx --data check.npz --repetitions 4 --thermal 0.01 --bits 8 --learn learn.npz
"""
import argparse
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "examples" / "pytorch"))
import analog as an  # noqa: E402


def options():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("model")
    p.add_argument("--data", required=True)
    p.add_argument("--learn", help="samples that quantiser ranges are taken from")
    p.add_argument("--repetitions", type=float, help="the same K at every site")
    p.add_argument("--schedule", help="a schedule's repetitions in its place")
    p.add_argument("--shot", type=float, default=0.0, metavar="N0", help="photons per MAC at K = 1")
    p.add_argument("--thermal", type=float, default=0.0, metavar="SIGMA")
    p.add_argument("--weight", type=float, default=0.0, metavar="SIGMA")
    p.add_argument("--bits", type=int, default=0, help="of weights and inputs; 0: floating point")
    p.add_argument("--percentile", type=float, default=99.99)
    p.add_argument("--mean", type=float, nargs="+")
    p.add_argument("--std", type=float, nargs="+")
    p.add_argument("--draws", type=int, default=4)
    p.add_argument("--limit", type=int, help="use the first so many samples")
    p.add_argument("--batch", type=int, default=50, help="samples that share a draw of the weights' errors")
    p.add_argument("--seed", type=int, default=0)
    a = p.parse_args()
    if (a.repetitions is None) == (a.schedule is None):
        p.error("give --repetitions or --schedule")
    if (a.thermal or a.bits) and not a.learn:
        p.error("--thermal and --bits need --learn")
    return a


def main():
    a = options()
    network = an.Network(a.model)
    hardware = an.Hardware(shot=a.shot, thermal=a.thermal, weight=a.weight, weight_bits=a.bits,
                           input_bits=a.bits, percentile=a.percentile)
    analog = an.Analog(network, hardware, a.seed)
    if a.schedule:
        plan, analog.repetitions = an.read_schedule(a.schedule)
        analog.conditioning = an.read_conditioning(a.schedule, plan)
    else:
        analog.repetitions = {site.name: a.repetitions for site in network.sites}
    x, y = an.read_data(a.data, network, a.mean, a.std, a.limit)
    if a.learn:
        learn, _ = an.read_data(a.learn, network, a.mean, a.std)
        analog.calibrate(an.batches_of(learn, a.batch))
    start = time.perf_counter()
    result = an.evaluate(analog, x, y, a.draws, a.batch)
    result.update(samples=len(x), draws=a.draws, sites=len(network.sites),
                  seconds=round(time.perf_counter() - start, 2))
    json.dump(result, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
