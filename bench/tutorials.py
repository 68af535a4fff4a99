"""This project and what a learner would otherwise copy, side by side in one run.

Usage: python bench/tutorials.py [--rounds 3] [--keras_epochs 15]

The contenders take turns, each in a process of its own: ours, theirs, ours, theirs, ... so that
a machine that slows down slows both. Ours is ``imgclf train`` with its defaults. Theirs is the
network and training of the Keras example "Simple MNIST convnet" (keras.io/examples, by
F. Chollet), on Fashion-MNIST: two convolutions of 32 and 64 filters with pooling, dropout 0.5,
Adam, batch 128. The test split is opened once, after training.

Writes bench/results/tutorials.csv and prints the medians, their spread and the ratios.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import tyro
from tqdm import tqdm

RESULTS = Path(__file__).parent / "results"


def ours(seed: int, epochs: int) -> dict[str, float]:
    """``imgclf train`` with its defaults; ``epochs`` is not used."""
    from imgclf_lib.evaluate import evaluate
    from imgclf_lib.experiment import Experiment
    from imgclf_lib.train import train

    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        run = train(Experiment(seed=seed), Path(folder) / "run", progress="none")
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "test_accuracy": evaluate(run).figures["accuracy"]}


def keras_example(seed: int, epochs: int) -> dict[str, float]:
    """The convnet of the Keras example, trained as there."""
    from imgclf_lib.backend import load_keras
    from imgclf_lib.datasets import load_known

    keras = load_keras()
    keras.utils.set_random_seed(seed)
    layers, known = keras.layers, load_known("fashion_mnist")
    started = time.perf_counter()
    images = known.train_images.astype("float32") / 255
    labels = keras.utils.to_categorical(known.train_labels, 10)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    model.fit(images, labels, batch_size=128, epochs=epochs, validation_split=0.1, verbose=0)
    seconds = time.perf_counter() - started
    predicted = model.predict(known.test_images.astype("float32") / 255, verbose=0).argmax(1)
    return {"seconds": seconds, "test_accuracy": float((predicted == known.test_labels).mean())}


CONTENDERS = {"ours": ours, "keras_example": keras_example}


@dataclass
class Arguments:
    rounds: int = 3
    """how often each contender trains; the seed is the number of the round"""
    keras_epochs: int = 15
    """epochs of the Keras example; 15 there"""
    only: str = ""
    """run one contender in this process and print its figures"""
    seed: int = 0
    """seed for --only"""


def main() -> None:
    given = tyro.cli(Arguments, description=__doc__)
    if given.only:
        print(json.dumps(CONTENDERS[given.only](given.seed, given.keras_epochs)))
        return
    rows = []
    turns = [(seed, name) for seed in range(given.rounds) for name in CONTENDERS]
    for seed, name in tqdm(turns, "Training", unit="run"):
        words = ["--only", name, "--seed", str(seed), "--keras_epochs", str(given.keras_epochs)]
        command = [sys.executable, __file__, *words]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows.append({"contender": name, "seed": seed, **json.loads(done.stdout.splitlines()[-1])})
    table = pd.DataFrame(rows)
    RESULTS.mkdir(exist_ok=True)
    table.to_csv(RESULTS / "tutorials.csv", index=False)
    packages = ", ".join(f"{name} {version(name)}" for name in ("keras", "numpy"))
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {packages}")
    print(table.groupby("contender")[["seconds", "test_accuracy"]].agg(["median", "min", "max"]))
    medians = table.groupby("contender")["seconds"].median()
    ratio = medians["ours"] / medians["keras_example"]
    print(f"time of ours / time of the Keras example: {ratio:.2f}")


if __name__ == "__main__":
    main()
