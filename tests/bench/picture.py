#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw docs/savings.svg from what bench_schedules measured with shot noise: energy a MAC of learned schedules as a share of what
uniform precision on the plain network needs.

    tests/bench/run schedules && tests/bench/picture.py
"""
import json
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
TITLES = {"resnet20": "ResNet-20, CIFAR-10", "resnet50": "ResNet-50, ImageNet", "mobilenetv2": "MobileNetV2, ImageNet",
          "dscnn": "DS-CNN, keywords", "llama": "Llama, 5 layers", "charlstm": "LSTM, characters"}
BARS = [("plain", "#9aa5b1", "uniform precision"), ("uniform", "#c3a15f", "uniform, conditioned"),
        ("layer", "#4f8fc0", "learned per layer"), ("channel", "#1d5f8a", "learned per channel")]
LEFT, WIDE, THICK, GAP, TOP = 170, 430, 13, 18, 46


def shares(figures):
    """[(title, [(what, share, aJ/MAC)])] of the networks whose budget was met."""
    def energy(network, method, which="learned"):
        figure = figures.get(f"{network} homodyne {method}")
        return figure[which]["energy_per_mac_aj"] if figure and figure["exit"] == 0 else None

    found = []
    for network, title in TITLES.items():
        values = {"plain": energy(network, "plain channel", "uniform"), "uniform": energy(network, "channel", "uniform"),
                  "layer": energy(network, "layer"), "channel": energy(network, "channel")}
        if values["plain"]:
            found.append((title, [(what, value / values["plain"], value) for what, value in values.items() if value]))
    return found


def draw(networks):
    colours, y, rows = {what: colour for what, colour, _ in BARS}, TOP, []
    for title, bars in networks:
        middle = y + THICK * len(bars) / 2 + 4
        rows.append(f'<text x="{LEFT - 10}" y="{middle:.0f}" text-anchor="end">{title}</text>')
        for what, share, energy in bars:
            rows.append(f'<rect x="{LEFT}" y="{y}" width="{share * WIDE:.1f}" height="{THICK - 2}" fill="{colours[what]}"/>')
            rows.append(f'<text x="{LEFT + share * WIDE + 6:.1f}" y="{y + THICK - 4}" class="small">{energy:.3g} aJ/MAC</text>')
            y += THICK
        y += GAP
    legend, x = [], 60
    for _, colour, label in BARS:
        legend.append(f'<rect x="{x}" y="18" width="11" height="11" fill="{colour}"/><text x="{x + 16}" y="28">{label}</text>')
        x += 165
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="720" height="{y}" viewBox="0 0 720 {y}" role="img" '
            'aria-label="Optical energy a MAC at the same accuracy budget">\n'
            '<style>text{font:13px sans-serif;fill:#222}.small{font-size:11px}</style>\n'
            f'<rect width="720" height="{y}" fill="#fff"/>\n' + "\n".join(legend + rows) + "\n</svg>\n")


if __name__ == "__main__":
    bench = json.loads((ROOT / "results" / "bench.json").read_text(encoding="utf-8"))
    target = ROOT / "docs" / "savings.svg"
    target.write_text(draw(shares(bench["benchmarks"]["schedules"]["figures"])), encoding="utf-8")
    print(target.relative_to(ROOT))
