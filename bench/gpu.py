"""What a GPU makes of the same training, and what share of the time it computes.

Usage: python bench/gpu.py --data FOLDER [--rounds 2] [--contenders torch jax ...]

Needs an NVIDIA GPU, ``nvidia-smi``, and the backends in one environment. The contenders take turns,
each in a process of its own; the seed is the number of the round.

torch, jax       the backend as ``imgclf train`` uses it: bfloat16, images resident on the GPU
... host         the same with the images in the memory of the computer, sent batch by batch
... float32      the same in float32
... compiled     the same with ``jit_compile=True`` (JAX always compiles, and has no such line)

First ``imgclf train --preset fast`` to the end: seconds of training, and the test accuracy. Then
``fit`` alone for some seconds: images a second, and the share of the time in which the GPU worked,
as the driver counts it (``utilization.gpu``: the time in which at least one kernel ran).

Prints a table of medians, least and most.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partialmethod
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import tyro

SECONDS = 6
QUESTION = ("nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits")


def measure(contender: str, data: str, seed: int, preset_name: str, epochs: int) -> dict:
    """One contender in this process."""
    backend, *changes = contender.split()
    from imgclf_lib.backend import load_keras
    from imgclf_lib.training import batches

    keras = load_keras(backend)
    if "host" in changes:
        batches.place_on_gpu = lambda values: values
    if "compiled" in changes:
        keras.Model.compile = partialmethod(keras.Model.compile, jit_compile=True)
    from imgclf_lib.data import load_data
    from imgclf_lib.evaluation import evaluate
    from imgclf_lib.experiment import preset
    from imgclf_lib.network import build_model, pixel_statistics
    from imgclf_lib.training import compile_model, train

    experiment = preset(preset_name).replace(data=data, seed=seed, backend=backend)
    if epochs:
        experiment = experiment.replace(epochs=epochs)
    if "float32" in changes:
        experiment = experiment.replace(precision="float32")
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        run = train(experiment, Path(folder) / "run", progress="none")
        whole = time.perf_counter() - started
        seconds = run.history["seconds"]
        found = {
            "train_and_save_s": whole,
            "train_s": float(seconds.sum()),
            "first_epoch_s": float(seconds.iloc[0]),
            "test_accuracy": evaluate(run).metrics["accuracy"],
        }
    dataset = load_data(experiment)
    model = build_model(
        experiment,
        dataset.image_shape,
        len(dataset.class_names),
        pixel_statistics(dataset.train.images),
    )
    compile_model(model, experiment, 100_000)
    some = batches.Batches(dataset.train, experiment, len(dataset.class_names), training=True)
    batches.fit_batches(model, some, epochs=2)
    watch = subprocess.Popen([*QUESTION, "-lms", "100"], stdout=subprocess.PIPE, text=True)
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < SECONDS:
        batches.fit_batches(model, some, epochs=2)
        done += 2
    seconds = time.perf_counter() - started
    watch.terminate()
    busy = [float(line) for line in watch.communicate()[0].split() if line.strip()]
    found["images_per_second"] = done * len(dataset.train) / seconds
    found["gpu_busy"] = statistics.mean(busy) / 100
    return found


@dataclass
class Arguments:
    data: str = "fashion_mnist"
    """name or folder"""
    contenders: tuple[str, ...] = ("torch", "torch host", "torch float32", "jax", "jax host")
    """which of them take part"""
    rounds: int = 2
    """how often each contender runs"""
    preset: str = "fast"
    """which preset"""
    epochs: int = 0
    """how long; 0 for the length of the preset"""
    only: tuple[str, int] | None = None
    """contender, seed: run it in this process and print its figures"""


def main() -> None:
    given = tyro.cli(Arguments, description=__doc__)
    if given.only:
        name, seed = given.only
        print(json.dumps(measure(name, given.data, seed, given.preset, given.epochs)))
        return
    rows = []
    for seed in range(given.rounds):
        for name in given.contenders:
            command = [sys.executable, __file__, "--data", given.data, "--only", name, str(seed)]
            command += ["--preset", given.preset, "--epochs", str(given.epochs)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                print(f"{name}: failed\n{done.stderr[-1500:]}", file=sys.stderr)
                continue
            rows.append({"contender": name, **json.loads(done.stdout.splitlines()[-1])})
            print(rows[-1], file=sys.stderr)
    card = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    print(subprocess.run(card, capture_output=True, text=True, check=True).stdout.strip())
    installed = {each.split()[0] for each in given.contenders}
    print(", ".join(f"{name} {version(name)}" for name in ("keras", *sorted(installed))))
    table = pd.DataFrame(rows).groupby("contender", sort=False).agg(["median", "min", "max"])
    print(table.T.round(3).to_string())


if __name__ == "__main__":
    main()
