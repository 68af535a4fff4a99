"""How fast a training step is, beside plain PyTorch, and what share of it the input takes.

Usage: python bench/throughput.py [--rounds 3] [--torch .venv-torch/bin/python]

The same network (preset ``fast``) and the same batches of random images, shifted and mirrored; ours
by Keras with TensorFlow, as ``imgclf train`` runs it, and a careful loop in plain PyTorch
(channels-last), the yardstick of what the machine can do; each in float32 and in bfloat16. All with
SGD and Nesterov momentum, because PyTorch has no Muon for convolutions; ours also with Muon, in the
number format that ``fast`` chooses here, to show what that costs. They take turns, each in a
process of its own.

The share of the input is measured on our side: the seconds that an epoch of batches takes by itself
(shuffling, mirroring, shifting; while ``fit`` runs, they are made beside the step), as a share of
the epoch.

Prints images a second (median, least, most) and the ratios.
"""

import itertools
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import tyro

if TYPE_CHECKING:
    import keras

    from imgclf_lib.training import Batches

BATCH, SIDE, SECONDS = 256, 32, 12
NAMES = ("ours", "torch")
KINDS = ("ours float32", "ours bfloat16", "ours muon", "torch float32", "torch bfloat16")


def pixels(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Random images and labels."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (count, SIDE, SIDE, 3), "uint8")
    return images, generator.integers(0, 10, count)


def steps_a_second(step: Callable[[], object]) -> float:
    """After three steps to warm up."""
    for _ in range(3):
        step()
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < SECONDS:
        step()
        count += 1
    return count / (time.perf_counter() - started)


def random_batches(kind: str) -> "Batches":
    """What both contenders learn from: mirrored and shifted as ``fast`` does."""
    from imgclf_lib.data import Split
    from imgclf_lib.experiment import preset
    from imgclf_lib.training import Batches

    experiment = preset("fast").replace(batch_size=BATCH, learning_rate=0.001)
    if kind != "ours muon":
        experiment = experiment.replace(optimizer="sgd", precision=kind.split()[1])
    images, labels = pixels(32 * BATCH)
    split = Split("train", images, labels, np.arange(len(images)))
    return Batches(split, experiment, 10, training=True)


def our_model(batches: "Batches") -> "keras.Model":
    """Our network, compiled for random images."""
    from imgclf_lib.network import build_model, pixel_statistics
    from imgclf_lib.training import compile_model

    images, experiment = batches.split.images, batches.experiment
    model = build_model(experiment, images.shape[1:], 10, pixel_statistics(images[:500]))
    compile_model(model, experiment, 10_000)
    return model


def ours(kind: str) -> dict[str, float]:
    """Our network, trained by Keras through ``fit``."""
    from imgclf_lib.training import fit_batches

    batches = random_batches(kind)
    model = our_model(batches)
    fit_batches(model, batches)
    started, epochs = time.perf_counter(), 0
    while time.perf_counter() - started < SECONDS:
        fit_batches(model, batches)
        epochs += 1
    seconds = (time.perf_counter() - started) / epochs
    started = time.perf_counter()
    for number in range(len(batches)):
        batches[number]
    made = time.perf_counter() - started
    return {"images_per_second": len(batches) * BATCH / seconds, "input_share": made / seconds}


def plain_torch(kind: str) -> dict[str, float]:
    """The same network, trained by a loop in plain PyTorch."""
    return {"images_per_second": BATCH * steps_a_second(torch_step(random_batches(kind)))}


def torch_step(batches: "Batches") -> Callable[[], object]:
    """The same network and step, written in PyTorch; the next batch is made beside the step."""
    import torch
    from torch import nn

    def block(before: int, after: int, halve: bool = True) -> list[nn.Module]:
        return [
            nn.Conv2d(before, after, 3, padding=1, bias=False),
            nn.MaxPool2d(2) if halve else nn.Identity(),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        ]

    stem = nn.Conv2d(3, 24, 2, bias=False)
    stem.weight.requires_grad_(False)
    network = nn.Sequential(
        stem,
        nn.ReLU(inplace=True),
        *block(24, 32),
        *block(32, 64),
        *block(64, 128),
        *block(128, 128, halve=False),  # 3 x 3 pixels are left
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(128, 10),
    ).to(memory_format=torch.channels_last)
    learned = [each for each in network.parameters() if each.requires_grad]
    optimizer = torch.optim.SGD(learned, lr=0.001, momentum=0.9, nesterov=True)
    half = batches.experiment.precision == "bfloat16"
    beside = ThreadPoolExecutor(1)
    order = itertools.cycle(range(len(batches)))
    ahead = [beside.submit(batches.__getitem__, next(order))]

    def step() -> None:
        images, targets = map(torch.from_numpy, ahead.pop().result())
        ahead.append(beside.submit(batches.__getitem__, next(order)))
        # Channels last in memory, as they are: no copy.
        values = images.permute(0, 3, 1, 2).float().div_(255)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            answers = network(values)
        loss = nn.functional.cross_entropy(answers.float(), targets, label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


@dataclass
class Arguments:
    rounds: int = 3
    """how often each contender runs"""
    torch: Path = Path(".venv-torch/bin/python")
    """a Python with PyTorch, as made by make test-torch"""
    only: str = ""
    """run one contender in this process and print its figures"""


def contenders(torch: Path) -> list[str]:
    """Those of ``KINDS`` that can run here; what is left out is said, with its reason."""
    from imgclf_lib.backend import compute_dtype

    kinds = list(KINDS)
    if not torch.is_file():
        kinds = [kind for kind in kinds if not kind.startswith("torch")]
        print(f"PyTorch is left out: there is no {torch} (make test-torch)", file=sys.stderr)
    if compute_dtype("fastest") != "bfloat16":
        kinds = [kind for kind in kinds if not kind.endswith("bfloat16")]
        print("bfloat16 is left out: this processor does not multiply it", file=sys.stderr)
    return kinds


def apart(script: str, kind: str, torch: Path) -> dict[str, float]:
    """What ``script --only kind`` prints as its last line, in a process of its own."""
    python = str(torch) if kind.startswith("torch") else sys.executable
    done = subprocess.run(
        [python, script, "--only", kind],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    given = tyro.cli(Arguments, description=__doc__)
    if given.only:
        measure = plain_torch if given.only.startswith("torch") else ours
        print(json.dumps(measure(given.only)))
        return
    kinds = contenders(given.torch)
    rows = [
        {"contender": kind, **apart(__file__, kind, given.torch)}
        for _ in range(given.rounds)
        for kind in kinds
    ]
    table = pd.DataFrame(rows).groupby("contender").agg(["median", "min", "max"])
    print(f"{platform.machine()}, {os.cpu_count()} cores, {platform.platform()}")
    print(table.round(3).to_string())
    speed = table["images_per_second"]["median"]
    best = {name: speed.filter(regex=f"^{name} .*float").max() for name in NAMES}
    print(f"ours with Muon / the faster of ours with SGD: {speed['ours muon'] / best['ours']:.2f}")
    if "torch float32" in kinds:
        print(f"the faster of ours / the faster of PyTorch: {best['ours'] / best['torch']:.2f}")


if __name__ == "__main__":
    main()
