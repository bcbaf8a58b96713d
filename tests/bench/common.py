# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmarks share: the real networks, running programs, figures beside their limits.

A benchmark is a file bench_NAME.py. Its docstring is what docs/benchmarks.md says of it: a title, then what is measured.
`measure()` yields figures that JSON can hold, {row: figure}, as soon as it has them: `main` puts them together and prints what there is,
so that a benchmark that is stopped loses the row at hand only. `tables(figures)` lays out what there is, and may be called long
after. A cell of a table is text, or what `held` returns: a figure beside its limit.
"""
import dataclasses
import fnmatch
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build"))
MODELS = pathlib.Path(os.environ.get("DYNAPREC_MODELS", ROOT.parent / "shared" / "models"))
HARDWARE = ROOT / "examples" / "hardware"
SKIPPED = 77
sys.path.insert(0, str(ROOT / "examples" / "pytorch"))


@dataclasses.dataclass(frozen=True)
class Network:
    title: str
    model: str
    data: str  # folder of learn.npz and check.npz
    scale: float = 0.0  # mean and standard deviation in place of the file's
    tokens: int = 0  # of a sample; 0: samples are images or sounds

    @property
    def path(self):
        return MODELS / self.model

    def file(self, which):
        return MODELS / self.data / f"{which}.npz"

    def options(self):
        return ["--mean", self.scale, "--std", self.scale] if self.scale else []


NETWORKS = {
    "resnet20": Network("ResNet-20", "resnet20/model.onnx", "cifar10"),
    "resnet50": Network("ResNet-50", "resnet50/model.onnx", "imagenet"),
    "mobilenetv2": Network("MobileNetV2", "mobilenetv2/model.onnx", "imagenet", scale=0.5),
    "dscnn": Network("DS-CNN", "dscnn/model.onnx", "dscnn"),
    "llama": Network("Llama, 260k", "llama/model.onnx", "llama", tokens=128),
    "charlstm": Network("character LSTM", "charlstm/model.onnx", "charlstm"),
    "charlstm_unrolled": Network("the same, unrolled", "charlstm/model_unrolled.onnx", "charlstm"),
}


def measured(benchmark):
    """The figures that results/bench.json has of it."""
    path = ROOT / "results" / "bench.json"
    report = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return report.get("benchmarks", {}).get(benchmark, {}).get("figures", {})


def say(text):
    print(f"   {text}", file=sys.stderr, flush=True)


def skip(why):
    print(f"skipped: {why}", file=sys.stderr)
    sys.exit(SKIPPED)


def chosen(names):
    """Those of the networks that BENCH_NETWORKS asks for, or all."""
    if not MODELS.is_dir():
        skip(f"{MODELS} with the real networks is not there (set DYNAPREC_MODELS)")
    wanted = os.environ.get("BENCH_NETWORKS", "").replace(",", " ").split()
    if wrong := set(wanted) - set(NETWORKS):
        sys.exit(f"BENCH_NETWORKS: no {', '.join(sorted(wrong))}; there are {', '.join(NETWORKS)}")
    return {name: NETWORKS[name] for name in names if not wanted or name in wanted}


def selected(rows):
    """Those of a benchmark's rows that BENCH_ROWS asks for (shell patterns with commas between them), or all."""
    wanted = [pattern.strip() for pattern in os.environ.get("BENCH_ROWS", "*").split(",")]
    return [row for row in rows if any(fnmatch.fnmatch(row, pattern) for pattern in wanted)]


def few(count):
    """`count`, or fewer when BENCH_SAMPLES only wants to see a benchmark work."""
    return min(count, int(os.environ.get("BENCH_SAMPLES", count)))


def subset(network, which, count, folder):
    """The first samples of a file, in one of its own that also holds the network's own scale."""
    import numpy as np

    with np.load(network.file(which)) as z:
        arrays = {name: z[name] if name in ("mean", "std") else z[name][:count] for name in z.files}
    if network.scale:
        arrays.update(mean=np.float32([network.scale] * 3), std=np.float32([network.scale] * 3))
    path = pathlib.Path(folder) / f"{which}.npz"
    np.savez(path, **arrays)
    return path


def samples_in(path):
    import numpy as np

    with np.load(path) as z:
        return max(len(z[name]) for name in z.files if name not in ("mean", "std"))


def scratch():
    return tempfile.TemporaryDirectory(prefix="dynaprec-bench-")


def run(*command, allow=(), **environment):
    """Standard output and exit status of a program whose messages pass through."""
    words = [str(word) for word in command]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False, cwd=ROOT,
                          env=os.environ | environment)
    if done.returncode and done.returncode not in allow:
        sys.exit(f"{' '.join(words)}: exit status {done.returncode}")
    return done.stdout, done.returncode


def dynaprec(*words, allow=()):
    """What the program printed with --json ({} when it printed nothing) and its exit status."""
    text, status = run(BUILD / "dynaprec", *words, "--json", "--quiet", allow=allow)
    return json.loads(text) if text.strip() else {}, status


def ranks(count):
    """What starts dynaprec-mpi as so many processes."""
    if not shutil.which("mpirun") or not (BUILD / "dynaprec-mpi").exists():
        skip("mpirun or dynaprec-mpi is not there (make mpi)")
    return ["mpirun", "--oversubscribe", "--bind-to", "none", *["--allow-run-as-root"] * (os.geteuid() == 0),
            "-n", str(count), str(BUILD / "dynaprec-mpi")]


@dataclasses.dataclass
class Cost:
    """Of a program that ran: wall and processor seconds, and the megabytes that it touched at most."""
    seconds: float
    processor: float
    megabytes: float


def cost(*command, allow=()):
    words = [str(word) for word in command]
    start = time.monotonic()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode and process.returncode not in allow:
        sys.exit(f"{' '.join(words)}: exit status {process.returncode}")
    return Cost(time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)


def speed(*words):
    """What tests/bench/speed.c measured."""
    program = BUILD / "bench" / "speed"
    if not program.exists():
        skip(f"{program} is not there: `make bench` builds it")
    return json.loads(run(program, *words)[0])


def peer(script, *words, **environment):
    return json.loads(run(sys.executable, HERE / script, *words, **environment)[0])


def onnxruntime(*words):
    """What peer_onnxruntime.mjs measured, or None where there is no ONNX Runtime."""
    node = shutil.which("node")
    if not node:
        return None
    text, status = run(node, HERE / "peer_onnxruntime.mjs", *words, allow=(SKIPPED,))
    return None if status == SKIPPED else json.loads(text)


def pytorch():
    """The interpreter of examples/pytorch, or None where what it needs is missing."""
    try:
        import analog
    except ImportError:
        return None
    return analog


def pytorch_version():
    import torch

    return torch.__version__.partition("a")[0].partition("+")[0]


def median(values):
    return statistics.median(values)


def held(value, form, least=None, most=None):
    """A cell: a figure, written as `form` says, beside its limit."""
    holds = value is not None and (least is None or value >= least) and (most is None or value <= most)
    limit = f"≥ {form.format(least)}" if least is not None else f"≤ {form.format(most)}"
    text = "none" if value is None else form.format(value)
    return {"text": f"{text} ({limit})" if holds else f"**{text}, not {limit}**", "holds": holds}


def broken(tables):
    """The limits that do not hold, in words."""
    return [f"{row[0]}, {row[1]}: {table['columns'][k]}: {cell['text'].strip('*')}"
            for table in tables for row in table["rows"] for k, cell in enumerate(row)
            if isinstance(cell, dict) and not cell["holds"]]


def combined(old, new):
    """Figures, with newer ones in place of those of the same name."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: combined(old.get(key), value) for key, value in new.items()}
    return old if new is None else new


def report(figures, tables):
    try:
        wrong = broken(tables(figures))
    except (LookupError, TypeError, ValueError) as error:  # hours of measuring outlive a mistake in their layout
        wrong = [f"the tables cannot be made: {error!r}"]
    print(json.dumps({"figures": figures, "broken": wrong}), flush=True)


def main(measure, tables):
    figures = {}
    for row in measure():
        figures = combined(figures, row)
        report(figures, tables)
