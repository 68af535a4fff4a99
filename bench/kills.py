"""Does a training that was killed end as if nothing had happened? Counts the kills and the losses.

Usage: python bench/kills.py [--kills 200] [--recipes float16 fast] [--seed 0]

Trains each recipe once without a break. Then it trains again and again, kills the process (SIGKILL)
at random moments, resumes, and compares weights, history and metrics with those of the first run:
on TensorFlow they have to be equal to the last bit, on other backends to a thousandth. After each
kill the model that is there has to load. The backend is that of KERAS_BACKEND.

Writes bench/results/kills.csv after each recipe, and prints it; rows of the other backend stay.
"""

import multiprocessing
import os
import platform
import random
import signal
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tyro
from PIL import Image

from imgclf_lib.backend import backend_name, load_keras
from imgclf_lib.experiment import Experiment, preset
from imgclf_lib.training import Run, load_model, train

RESULTS = Path(__file__).parent / "results"
SMALL = Experiment(filters=(8,), dense_units=(16,), batch_size=16, epochs=5, learning_rate=0.01)
BACKBONE = SMALL.replace(backbone="efficientnet_lite0", filters=(), epochs=3)
RECIPES = {
    "dropout": SMALL.replace(dropout=0.3, flip="both", shift=0.1, normalization="batch"),
    "early_stopping": SMALL.replace(early_stopping=2, epochs=8),
    "float16": SMALL.replace(precision="float16", scaling="none", batch_size=64),
    "fast": preset("fast").replace(batch_size=32, epochs=3),
    "balanced": SMALL.replace(sampling="balanced", class_weights="balanced"),
    "one_cycle": SMALL.replace(schedule="one_cycle", optimizer="sgd", label_smoothing=0.1),
    "averaged": SMALL.replace(ema=0.9, optimizer="adamw", weight_decay=0.01),
    "test_time_flip": SMALL.replace(test_time_flip="yes"),
    "head": BACKBONE.replace(epochs=6),
    "fine_tuning": BACKBONE.replace(fine_tune_epochs=2, fine_tune_learning_rate=1e-4),
}


@dataclass
class Arguments:
    kills: int = 200
    """how many in all, divided among the recipes"""
    recipes: tuple[str, ...] = tuple(RECIPES)
    """which ones"""
    seed: int = 0
    """of the moments"""


def main() -> None:
    given = tyro.cli(Arguments, description=__doc__)
    load_keras()  # imported once: every training is a fork of this process
    chance = random.Random(given.seed)
    table = pd.DataFrame()
    with tempfile.TemporaryDirectory() as place:
        os.environ["IMGCLF_CACHE"] = f"{place}/cache"
        images = write_images(Path(place) / "shapes")
        for name in given.recipes:
            experiment = RECIPES[name].replace(data=str(images), validation_fraction=0.2)
            wanted = -(-given.kills // len(given.recipes))
            row = {"backend": backend_name("auto"), "recipe": name}
            row |= torture(experiment, Path(place) / name, wanted, chance)
            row |= {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "seed": given.seed}
            table = keep(row)
    print(table.to_string(index=False))
    sys.exit(bool(table[["unequal", "lost"]].sum().sum()))


def keep(row: dict) -> pd.DataFrame:
    """Put the figures of one recipe in their place among those that are there."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "kills.csv"
    before = pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=list(row))
    same = (before["backend"] == row["backend"]) & (before["recipe"] == row["recipe"])
    table = pd.concat([before[~same], pd.DataFrame([row])], ignore_index=True)
    table.to_csv(path, index=False)
    print(row, flush=True)
    return table


def torture(experiment: Experiment, place: Path, wanted: int, chance: random.Random) -> dict:
    """Kill and resume until there were enough kills; each finished run is compared."""
    assert run_child(experiment, place / "whole", None) == 0, "the run without a break failed"
    started = time.monotonic()
    assert run_child(experiment, place / "timed", None) == 0
    seconds = time.monotonic() - started
    found = {"kills": 0, "runs": 0, "unequal": 0, "lost": 0}
    while found["kills"] < wanted:
        out = place / f"run{found['runs']}"
        while (code := run_child(experiment, out, chance.uniform(0, seconds))) != 0:
            assert code == -signal.SIGKILL, f"a resumed training failed ({code})"
            found["kills"] += 1
            found["lost"] += not loads(out)
        found["runs"] += 1
        found["unequal"] += not equal(Run(place / "whole"), Run(out))
    return found


def run_child(experiment: Experiment, out: Path, kill_after: float | None) -> int:
    """Train in a process of its own, killed after so many seconds; its exit code."""
    child = multiprocessing.get_context("fork").Process(
        target=train, args=(experiment,), kwargs={"out": out, "resume": True, "progress": "none"}
    )
    child.start()
    child.join(kill_after)
    if child.is_alive():
        with suppress(ProcessLookupError):
            os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
    return child.exitcode or 0


def loads(out: Path) -> bool:
    """Whether the model that is there, if one is, can be used; in a process of its own."""
    if not (out / "model.keras").is_file():
        return True
    child = multiprocessing.get_context("fork").Process(
        target=load_model, args=(out / "model.keras",)
    )
    child.start()
    child.join()
    return child.exitcode == 0


def contents(run: Run, answer: "multiprocessing.SimpleQueue") -> None:
    columns = [name for name in run.history if name not in ("seconds", "images_per_second")]
    figures = [run.metrics[name] for name in ("status", "epochs_run", "val_accuracy")]
    answer.put((run.history[columns].to_dict("list"), figures, run.model.get_weights()))


def equal(one: Run, other: Run) -> bool:
    """Whether two runs have the same history, metrics and weights."""
    seen = []
    for run in (one, other):
        context = multiprocessing.get_context("fork")
        answer = context.SimpleQueue()
        child = context.Process(target=contents, args=(run, answer))
        child.start()
        seen.append(answer.get())
        child.join()
    history, figures, weights = ([each[place] for each in seen] for place in range(3))
    exact = backend_name("auto") == "tensorflow"

    def close(one: np.ndarray, other: np.ndarray) -> bool:
        return one.shape == other.shape and np.allclose(
            one, other, *([0, 0] if exact else [1e-3, 1e-5])
        )

    tables = [pd.DataFrame(each) for each in history]
    texts = [each.select_dtypes("str") for each in tables]
    numbers = [each.select_dtypes("number").to_numpy() for each in tables]
    return (
        figures[0] == figures[1]
        and texts[0].equals(texts[1])
        and all(map(close, [numbers[0], *weights[0]], [numbers[1], *weights[1]]))
    )


def write_images(folder: Path) -> Path:
    """Three classes of 60 noisy images of 24 by 24 pixels, that a network tells apart."""
    generator = np.random.default_rng(0)
    down, across = np.mgrid[:24, :24]
    for label, waves in {"rows": down, "columns": across, "both": down + across}.items():
        (folder / label).mkdir(parents=True)
        for number in range(60):
            phase = generator.uniform(0, 6)
            pixels = 128 + 60 * np.sin(waves + phase) + generator.normal(0, 40, (24, 24))
            Image.fromarray(pixels.clip(0, 255).astype("uint8")).save(
                folder / label / f"{number}.png"
            )
    return folder


if __name__ == "__main__":
    main()
