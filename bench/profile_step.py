"""Where the time of a training step goes: ours, and plain PyTorch, by kind of operation.

Usage: python bench/profile_step.py [--torch .venv-torch/bin/python]

The contenders of ``throughput.py``, each in a process of its own, watched by the profiler of its
framework for a few steps on a processor. Milliseconds are those that an operation took from its
beginning to its end; where two of them run at the same time, both count, so that the sum is more
than a step.
"""

import json
import os
import platform
import re
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import tyro
from throughput import apart, contenders, our_model, random_batches, torch_step

STEPS = 8
# The first pattern that is found in the name of an operation says what it counts as.
OURS = {
    "convolution, backward": "BackpropFilter|BackpropInput",
    "convolution, forward": "MklNativeConv2D|:Conv2D|_FusedConv2D",
    "batch normalisation": "normalization",
    "pooling": "(?i)pool",
    "activation": "activation|Relu",
    "optimiser": "^(StatefulPartitionedCall/)?(sgd|muon|convolution_muon)",
    "the rest": ":",
}
TORCH = {
    "convolution, backward": "convolution_backward",
    "convolution, forward": "convolution",
    "batch normalisation": "batch_norm",
    "pooling": "pool",
    "activation": "relu|threshold",
    "optimiser": "_foreach|[Oo]ptimizer",
    "the rest": "^aten",
}


def watch_ours(kind: str) -> Counter:
    """Milliseconds of a step, by the name of the operation."""
    import tensorflow
    from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace

    batches = random_batches(kind)
    model = our_model(batches)
    for number in range(4):
        model.train_on_batch(*batches[number])
    spent: Counter = Counter()
    with tempfile.TemporaryDirectory() as folder:
        with tensorflow.profiler.experimental.Profile(folder):
            for number in range(STEPS):
                model.train_on_batch(*batches[number])
        for path in Path(folder).rglob("*.xplane.pb"):
            for plane in XSpace.FromString(path.read_bytes()).planes:
                for event in (event for line in plane.lines for event in line.events):
                    name = plane.event_metadata[event.metadata_id].name
                    if re.search(r"/.*:\w+$", name):  # an operation of the graph, and its kind
                        spent[name] += event.duration_ps / 1e9 / STEPS
    return spent


def watch_torch(kind: str) -> Counter:
    """The same of PyTorch."""
    import torch

    step = torch_step(random_batches(kind))
    for _ in range(4):
        step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as watched:
        for _ in range(STEPS):
            step()
    return Counter(
        {each.key: each.self_cpu_time_total / 1e3 / STEPS for each in watched.key_averages()}
    )


def by_kind(spent: Counter, patterns: dict[str, str]) -> dict[str, float]:
    """Milliseconds, by what the operations are for."""
    sums = dict.fromkeys(patterns, 0.0)
    for name, milliseconds in spent.items():
        for kind, pattern in patterns.items():
            if re.search(pattern, name):
                sums[kind] += milliseconds
                break
    return sums


@dataclass
class Arguments:
    torch: Path = Path(".venv-torch/bin/python")
    """a Python with PyTorch, as made by make test-torch"""
    only: str = ""
    """watch one contender in this process and print its figures"""


def main() -> None:
    given = tyro.cli(Arguments, description=__doc__)
    if given.only:
        of_torch = given.only.startswith("torch")
        spent = (watch_torch if of_torch else watch_ours)(given.only)
        print(json.dumps(by_kind(spent, TORCH if of_torch else OURS)))
        return
    kinds = contenders(given.torch)
    table = pd.DataFrame({kind: apart(__file__, kind, given.torch) for kind in kinds})
    table.loc["all"] = table.sum()
    print(f"{platform.machine()}, {os.cpu_count()} cores, {platform.platform()}")
    print("milliseconds of a step")
    print(table.round(1).to_string())


if __name__ == "__main__":
    main()
