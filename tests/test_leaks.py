"""What leaks is measured on the right split, and said; what does not leak is said too."""

import numpy as np
import pandas as pd
import pytest

from imgclf_lib.leaks import measure_leaks


def data(leaking: tuple[str, ...]) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    """Noise with random labels: only an image that was seen can be known."""
    generator = np.random.default_rng(0)
    splits = np.repeat(["train", "val", "test"], [200, 100, 100])
    images = generator.integers(0, 256, (400, 8, 8, 1), "uint8")
    labels, groups = generator.integers(0, 4, 400), np.arange(400)
    for split in leaking:
        rows = np.flatnonzero(splits == split)[:50]
        images[rows], labels[rows], groups[rows] = images[:50], labels[:50], groups[:50]
    table = pd.DataFrame({"label": labels.astype(str), "split": splits, "problem": ""})
    return table, images, np.arange(400), groups


@pytest.mark.parametrize(
    ("leaking", "split"), [(("val",), "val"), (("test",), "test"), (("val", "test"), "val")]
)
def test_the_validation_split_comes_first(leaking, split):
    said = measure_leaks(*data(leaking))
    assert said.split == split
    assert said.effect.leaked == 50
    assert said.effect.n == 100
    assert said.effect.score_leaked == 1
    assert said.effect.score_without < 0.5 < said.effect.score_with
    name = {"val": "validation", "test": "test"}[split]
    assert said.sentence.startswith(f"Leakage into the {name} split: 50 of 100")
    assert said.figures["split"] == split
    assert said.figures["score_leaked"] == 1


def test_nothing_leaks():
    said = measure_leaks(*data(()))
    assert said.effect is None
    assert said.sentence == "No image of training is in another split that was given."
    assert said.figures == {"split": ""}
    table, images, places, groups = data(("test",))
    assert measure_leaks(table.assign(split=""), images, places, groups).effect is None
    table.loc[table["split"] == "train", "problem"] = "excluded"
    assert measure_leaks(table, images, places, groups).effect is None


def test_with_little_memory_the_leaked_images_stay(monkeypatch):
    monkeypatch.setattr("imgclf_lib.leaks.MOST_BYTES", 60 * 64)
    said = measure_leaks(*data(("test",)))
    assert said.effect.score_leaked == 1
    assert said.effect.leaked == 50
