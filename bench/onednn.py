"""What TensorFlow's oneDNN kernels are worth on this processor: training with and without them.

Usage: python bench/onednn.py [--rounds 3]

TensorFlow turns them on by itself only where the processor has AVX-512. The library turns them
on everywhere (imgclf_lib/backend.py). Each way trains the same networks on random images, in a
process of its own, in turns. Prints images a second: median, and the ratio.
"""

import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import pandas as pd
import tyro

IMAGES = 4_000


def measure() -> dict[str, float]:
    """Images a second in the second epoch, by network."""
    from imgclf_lib.data import Split
    from imgclf_lib.experiment import preset
    from imgclf_lib.network import build_model, pixel_statistics
    from imgclf_lib.training import Batches, compile_model, fit_batches

    generator, speeds = np.random.default_rng(0), {}
    networks = {
        "simple, 28 x 28": (preset("simple"), (28, 28, 1)),
        "simple and batch normalisation": (
            preset("simple").replace(normalization="batch"),
            (28, 28, 1),
        ),
        "deep, 32 x 32": (preset("deep"), (32, 32, 3)),
    }
    for name, (experiment, shape) in networks.items():
        images = generator.integers(0, 256, (IMAGES, *shape), "uint8")
        labels = generator.integers(0, 10, IMAGES)
        split = Split("train", images, labels, np.arange(IMAGES))
        model = build_model(experiment, shape, 10, pixel_statistics(images[:500]))
        compile_model(model, experiment, 1_000)
        batches = Batches(split, experiment, 10, training=True)
        fit_batches(model, batches)
        started = time.perf_counter()
        fit_batches(model, batches)
        speeds[name] = IMAGES / (time.perf_counter() - started)
    return speeds


@dataclass
class Arguments:
    rounds: int = 3
    """how often each way trains"""
    only: bool = False
    """measure in this process and print the figures"""


def main() -> None:
    given = tyro.cli(Arguments, description=__doc__)
    if given.only:
        print(json.dumps(measure()))
        return
    rows = []
    for _ in range(given.rounds):
        for switch in ("0", "1"):
            done = subprocess.run(
                [sys.executable, __file__, "--only"],
                env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": switch},
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
            rows.append({"oneDNN": switch, **json.loads(done.stdout.splitlines()[-1])})
    table = pd.DataFrame(rows).groupby("oneDNN").median().T
    table["ratio"] = table["1"] / table["0"]
    packages = ", ".join(f"{name} {version(name)}" for name in ("keras", "numpy"))
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {packages}")
    print(table.round(2).to_string())


if __name__ == "__main__":
    main()
