"""This project and the tutorials that a learner would otherwise copy, side by side in one run.

Usage: python bench/tutorials.py [--rounds 3] [--cifar10 data/cifar10] [--epochs 0.6 1 3 8]

The contenders take turns, each in a process of its own, so that a machine that slows down slows
all of them; the seed is the number of the round. All read the same arrays, decoded before.

ours     ``imgclf train --preset fast``, once for each number of ``--epochs``, because a
         schedule is made for its length; 0.6 is one pass over so many of the images
convnet  the Keras example "Simple MNIST convnet" (keras.io/examples, by F. Chollet): two
         convolutions, dropout 0.5, Adam, batch 128, 15 epochs
tutorial the TensorFlow tutorial "Convolutional Neural Network (CNN)": three convolutions, Adam,
         batch 32, 10 epochs; on CIFAR-10 alone, as there

Theirs run as TensorFlow comes, without this library's settings. Seconds are those of training;
ours contain validation and saving after each epoch, theirs do not. The test split is opened once,
after training. A data set whose folder is not there is left out, and said so.

Writes bench/results/tutorials.csv and tutorials.png, and prints medians, spread and ratios.
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


def ours(data: str, seed: int, epochs: float) -> dict[str, float]:
    """``imgclf train --preset fast``."""
    from imgclf_lib.data import load_data
    from imgclf_lib.evaluation import evaluate
    from imgclf_lib.experiment import preset
    from imgclf_lib.training import train

    experiment = preset("fast").replace(data=data, seed=seed)
    if epochs < 1:
        some = round(epochs * len(load_data(experiment).train))
        experiment = experiment.replace(limit=some, epochs=1)
    else:
        experiment = experiment.replace(epochs=round(epochs))
    with tempfile.TemporaryDirectory() as folder:
        run = train(experiment, Path(folder) / "run", progress="none")
        return {
            "seconds": float(run.history["seconds"].sum()),
            "val_accuracy": run.metrics["val_accuracy"],
            "test_accuracy": evaluate(run).metrics["accuracy"],
        }


def theirs(data: str, seed: int, epochs: int, batch_size: int, network: str) -> dict[str, float]:
    """A network trained as its tutorial does, by Keras alone."""
    from imgclf_lib.data import load_data
    from imgclf_lib.experiment import Experiment

    arrays = load_data(Experiment(data=data))
    import keras

    keras.utils.set_random_seed(seed)
    images, labels = arrays.train.images.astype("float32") / 255, arrays.train.labels
    layers = keras.layers
    stacks = {
        "tutorial": [
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ],
        "convnet": [
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ],
    }
    model = keras.Sequential([keras.Input(images.shape[1:]), *stacks[network]])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    started = time.perf_counter()
    model.fit(images, labels, batch_size=batch_size, epochs=epochs, verbose=0)
    seconds = time.perf_counter() - started
    accuracies = {}
    for name in ("val", "test"):
        split = getattr(arrays, name)
        predicted = model.predict(split.images / 255, batch_size=500, verbose=0).argmax(1)
        accuracies[f"{name}_accuracy"] = float((predicted == split.labels).mean())
    return {"seconds": seconds, **accuracies}


def contend(name: str, data: str, seed: int, epochs: float) -> dict[str, float]:
    """One contender in this process."""
    if name == "ours":
        return ours(data, seed, epochs)
    return theirs(data, seed, round(epochs), 32 if name == "tutorial" else 128, name)


@dataclass
class Arguments:
    rounds: int = 3
    """how often each contender trains"""
    cifar10: Path = Path("data/cifar10")
    """CIFAR-10 as a folder of images: train and test with class folders"""
    epochs: tuple[float, ...] = (0.6, 1, 3, 8)
    """lengths of our training"""
    leave_out: tuple[str, ...] = ()
    """contenders or data sets that do not take part, such as convnet or fashion_mnist"""
    only: tuple[str, str, int, float] | None = None
    """contender, data, seed, epochs: run it in this process and print its figures"""


def main() -> None:
    given = tyro.cli(Arguments, description=__doc__)
    if given.only:
        print(json.dumps(contend(*given.only)))
        return
    field = [("ours", "fashion_mnist", each) for each in given.epochs]
    field.append(("convnet", "fashion_mnist", 15))
    if given.cifar10.is_dir():
        folder = str(given.cifar10)
        field += [*[("ours", folder, each) for each in given.epochs]]
        field += [("convnet", folder, 15), ("tutorial", folder, 10)]
    else:
        print(f"CIFAR-10 is left out: there is no folder {given.cifar10}", file=sys.stderr)
    field = [each for each in field if not {each[0], Path(each[1]).name} & set(given.leave_out)]
    rows = []
    turns = [(*each, seed) for seed in range(given.rounds) for each in field]
    RESULTS.mkdir(exist_ok=True)
    for name, data, epochs, seed in tqdm(turns, "Training", unit="run"):
        command = [sys.executable, __file__, "--only", name, data, str(seed), str(epochs)]
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        label = f"ours, {epochs:g} epochs" if name == "ours" else name
        row = {"data": Path(data).name, "contender": label, "seed": seed, "epochs": epochs}
        rows.append({**row, **json.loads(done.stdout.splitlines()[-1])})
        pd.DataFrame(rows).to_csv(RESULTS / "tutorials.csv", index=False)
    table = pd.DataFrame(rows)
    packages = ", ".join(f"{name} {version(name)}" for name in ("keras", "numpy"))
    print(f"{platform.machine()}, {os.cpu_count()} cores, {platform.platform()}, {packages}")
    columns = ["seconds", "val_accuracy", "test_accuracy"]
    spread = table.groupby(["data", "contender"])[columns].agg(["median", "min", "max"])
    print(spread.round(3).to_string())
    for words in ratios(table):
        print(words)
    draw(table)


def ratios(table: pd.DataFrame) -> list[str]:
    """How long ours takes to the final test accuracy of theirs: a sentence for each."""
    medians = table.groupby(["data", "contender"])[["seconds", "test_accuracy"]].median()
    sentences = []
    for data, contender in medians.index:
        if contender.startswith("ours"):
            continue
        theirs = medians.loc[(data, contender)]
        good = [
            row["seconds"]
            for name, row in medians.loc[data].iterrows()
            if name.startswith("ours") and row["test_accuracy"] >= theirs["test_accuracy"]
        ]
        what = f"{data}, to {theirs['test_accuracy']:.3f} of the {contender}:"
        if good:
            sentences.append(
                f"{what} {min(good):.0f} s, theirs {theirs['seconds']:.0f} s;"
                f" ratio {min(good) / theirs['seconds']:.3f}"
            )
        else:
            sentences.append(f"{what} not reached")
    return sentences


def draw(table: pd.DataFrame) -> None:
    """Test accuracy against seconds and against images seen."""
    from matplotlib.figure import Figure

    names = table["data"].unique()
    figure = Figure(figsize=(11, 4 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), 2, squeeze=False, sharey="row")
    for row, name in zip(axes, names, strict=True):
        some = table[table["data"] == name]
        for ax, x, words in (
            (row[0], some["seconds"], "seconds of training"),
            (row[1], some["epochs"], "epochs (passes over the training images)"),
        ):
            for kind, marker in (("ours", "o"), ("convnet", "s"), ("tutorial", "^")):
                chosen = some["contender"].str.startswith(kind)
                if chosen.any():
                    ax.scatter(x[chosen], some["test_accuracy"][chosen], marker=marker, label=kind)
            ax.set(xlabel=words, ylabel="test accuracy", title=name)
            ax.set_xlim(left=0)
        row[0].legend()
    figure.savefig(RESULTS / "tutorials.png", dpi=100)


if __name__ == "__main__":
    main()
