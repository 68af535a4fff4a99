"""What leakage does to a score, on data where the answer is known."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from imgclf_lib.audit.leakage import _leakage_effect, measure_leaks
from imgclf_lib.evaluation import wilson_interval


def noise(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images that say nothing about their labels: only who saw them before knows."""
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (count, 8, 8, 1), "uint8")
    return images, generator.integers(0, 2, count)


def test_twins_raise_the_score():
    images, labels = noise(600, 0)
    others, other_labels = noise(300, 1)
    held = np.concatenate([others, images[:200] ^ 1])
    leaked = np.arange(500) >= 300
    found = _leakage_effect(images, labels, held, np.append(other_labels, labels[:200]), leaked)
    assert (found.n, found.leaked) == (500, 200)
    assert found.score_leaked == 1
    assert 0.4 < found.score_without < 0.6
    assert found.score_with == pytest.approx(0.6 * found.score_without + 0.4)
    assert found.interval_without == wilson_interval(round(300 * found.score_without), 300)
    assert "200 of 500" in found.sentence
    assert "raise the score" in found.sentence
    assert json.loads(json.dumps(found.metrics))["leaked"] == 200


def test_few_twins_prove_nothing():
    images, labels = noise(60, 0)
    others, other_labels = noise(30, 1)
    held = np.concatenate([others, images[:2]])
    found = _leakage_effect(
        images, labels, held, np.append(other_labels, labels[:2]), np.arange(32) >= 30
    )
    assert found.score_leaked == 1
    assert found.interval_leaked[0] < 0.5
    assert "too few" in found.sentence


def test_none_all_and_nothing_at_all():
    images, labels = noise(20, 0)
    none = _leakage_effect(images, labels, images[:5], labels[:5], np.zeros(5, bool))
    assert none.score_with == none.score_without == 1
    assert math.isnan(none.score_leaked)
    assert none.metrics["score_leaked"] is None
    assert none.metrics["interval_leaked"] == [None, None]
    assert "No twin of the 5" in none.sentence
    every = _leakage_effect(images, labels, images[:5], labels[:5], np.ones(5, bool))
    assert math.isnan(every.score_without)
    assert "No score can be trusted" in every.sentence
    empty = _leakage_effect(images, labels, images[:0], labels[:0], np.ones(0, bool))
    assert empty.n == 0
    assert math.isnan(empty.score_with)
    json.dumps(empty.metrics)
    one = _leakage_effect(images[:1], labels[:1], images[:1], labels[:1], np.ones(1, bool))
    assert one.score_with == 1


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
    assert said.metrics["split"] == split
    assert said.metrics["score_leaked"] == 1


def test_nothing_leaks():
    said = measure_leaks(*data(()))
    assert said.effect is None
    assert said.sentence == "No image of training was found in another split that was given."
    assert said.metrics == {"split": ""}
    table, images, places, groups = data(("test",))
    assert measure_leaks(table.assign(split=""), images, places, groups).effect is None
    table.loc[table["split"] == "train", "problem"] = "excluded"
    assert measure_leaks(table, images, places, groups).effect is None


def test_with_little_memory_the_leaked_images_stay():
    said = measure_leaks(*data(("test",)), most_bytes=60 * 64)
    assert said.effect.score_leaked == 1
    assert said.effect.leaked == 50
