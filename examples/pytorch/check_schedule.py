#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply a precision schedule to its network in PyTorch and report what it costs in accuracy.

    check_schedule.py model.onnx schedule.yaml test.npz [--learn calib.npz]

Noise, repetitions and what is done to operands (`conditioning`) come from the schedule; --learn names the samples that quantiser ranges are taken
from, where the schedule's hardware quantises. Nothing is shared with the C program but the file formats. Recurrent operators and transposed
convolutions are not simulated, nor are output converters.
"""
import argparse
import sys

import analog as an


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("model")
    p.add_argument("schedule")
    p.add_argument("data")
    p.add_argument("--learn", help="calibration samples, where the hardware quantises")
    p.add_argument("--draws", type=int, default=4)
    p.add_argument("--batch", type=int, default=50)
    p.add_argument("--limit", type=int, help="use the first so many samples")
    p.add_argument("--seed", type=int, default=0)
    a = p.parse_args()

    plan, repetitions = an.read_schedule(a.schedule)
    try:
        network = an.Network(a.model)
        hardware = an.read_hardware(plan["hardware"])
    except NotImplementedError as missing:
        sys.exit(str(missing))
    analog = an.Analog(network, hardware, a.seed)
    analog.repetitions = repetitions
    analog.conditioning = an.read_conditioning(a.schedule, plan)
    if unknown := set(repetitions) - {site.name for site in network.sites}:
        sys.exit(f"{a.schedule}: {a.model} has no layer named {', '.join(sorted(unknown))}")
    if analog.needs_ranges():
        if not a.learn:
            sys.exit(f"{a.schedule}: this hardware quantises; give the calibration samples with --learn")
        samples, _ = an.read_data(a.learn, network)
        analog.calibrate(an.batches_of(samples, a.batch))
    x, y = an.read_data(a.data, network, limit=a.limit)
    result = an.evaluate(analog, x, y, a.draws, a.batch)

    print(f"{len(x)} samples, {a.draws} draws of the noise, {len(repetitions)} layers with a precision of their own")
    for name, figure in result["noisy"].items():
        clean = result["clean"].get(name)
        print(f"{name:10} {figure['value']:8.4f} +- {figure['se_images']:.4f}"
              + (f"   clean {clean:.4f}" if clean is not None else ""))


if __name__ == "__main__":
    main()
