"""Wrong labels are found, and become cautious suggestions; a test that was given stays closed."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from imgclf_lib.audit import audit, audit_json, audit_lines, suggest_fixes
from imgclf_lib.audit import labels as room
from imgclf_lib.audit.labels import find_label_errors
from imgclf_lib.data import load_data
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """1,797 images of handwritten digits, 8 x 8."""
    images, labels = load_digits(return_X_y=True)
    return (images * 15).astype("uint8").reshape(-1, 8, 8, 1), labels.astype("int64")


def flip(labels: np.ndarray, share: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    rows = generator.choice(len(labels), int(share * len(labels)), replace=False)
    flipped = labels.copy()
    flipped[rows] = (flipped[rows] + generator.integers(1, 10, len(rows))) % 10
    return flipped, rows


@pytest.mark.parametrize("kind", ["images", "features"])
def test_flipped_labels_are_found(digits, kind):
    images, labels = digits
    inputs = images if kind == "images" else images.reshape(-1, 64).astype("float32") / 7 - 3
    flipped, rows = flip(labels, 0.05)
    found = find_label_errors(inputs, flipped, 10)
    assert found.columns.tolist() == ["row", "label", "suggested", "score"]
    hits = found["row"].isin(rows)
    assert hits.sum() > 0.6 * len(rows)
    assert hits.mean() > 0.85
    assert (found["label"] == flipped[found["row"]]).all()
    assert (found["suggested"] != found["label"]).all()
    assert (found["suggested"] == labels[found["row"]])[hits].mean() > 0.95
    assert found["score"].is_monotonic_increasing
    assert found["score"].between(0, 0.05).all()
    assert found.attrs["judged"] == 1797
    assert 0.8 < found.attrs["accuracy"] < 0.97


@pytest.mark.slow
def test_flipped_labels_are_found_whatever_the_seed(digits):
    images, labels = digits
    known = [flip(labels, 0.05, seed) for seed in range(5)]
    found = [find_label_errors(images, flipped, 10, seed=7) for flipped, _ in known]
    hits = [each["row"].isin(rows) for each, (_, rows) in zip(found, known, strict=True)]
    assert np.mean([each.mean() for each in hits]) > 0.9
    assert np.mean([each.sum() for each in hits]) > 0.65 * len(known[0][1])


def test_clean_labels_and_labels_without_meaning_give_few(digits):
    images, labels = digits
    assert len(find_label_errors(images, labels, 10)) < 10
    random = np.random.default_rng(0).permutation(labels)
    found = find_label_errors(images, random, 10)
    assert len(found) < 20
    assert found.attrs["accuracy"] < 0.2


def test_the_same_seed_gives_the_same(digits):
    images, labels = digits
    flipped, _ = flip(labels, 0.05)
    first, again = (find_label_errors(images, flipped, 10, seed=3) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)


def test_copies_do_not_vouch_for_each_other():
    """A wrong label on an image and its three copies: only groups can tell."""
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1], 200)
    values = generator.normal(size=(400, 20)) + 2 * np.where(labels, 1, -1)[:, None]
    values[1:4] = values[0] + 1e-3
    labels[:4] = 1
    groups = np.arange(400)
    groups[:4] = 0
    grouped = find_label_errors(values.astype("float32"), labels, 2, groups=groups)
    assert set(grouped["row"]) == {0, 1, 2, 3}
    fold = room._folds(labels, groups, 0)
    assert len(set(fold[:4])) == 1
    assert set(np.bincount(fold[labels == 0])) <= {39, 40}


def test_small_classes_are_not_judged(digits):
    images, labels = digits
    rows = np.flatnonzero(labels < 3)
    some = labels[rows] * 2  # classes 0, 2 and 4; 1 and 3 have no image
    some = np.append(some, [5, 5])
    inputs = np.concatenate([images[rows], images[:2]])
    found = find_label_errors(inputs, some, 7)
    assert found.attrs["judged"] == len(rows)
    assert not set(found["label"]) & {1, 3, 5}
    with pytest.raises(InputError, match="Too few images"):
        find_label_errors(images[:4], np.array([0, 0, 1, 1]), 2)
    tiny = find_label_errors(images[rows[:9]], np.arange(9) % 3, 3)
    assert tiny.attrs["judged"] == 9


def test_large_folders_are_sampled(digits):
    assert find_label_errors(*digits, 10, most_rows=500).attrs["judged"] == 500


def test_without_cleanlab_it_says_what_to_install(digits, monkeypatch):
    monkeypatch.setattr(room, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'imgclf\[labels\]'"):
        find_label_errors(*digits, 10)


def tones(folder: Path) -> Path:
    """500 pictures in two classes, dark and light; 9 of the light ones are dark."""
    generator = np.random.default_rng(0)
    for number, label in enumerate(("dark", "light")):
        (folder / label).mkdir(parents=True)
        for place in range(250):
            tone = 60 + 140 * (number ^ (label == "light" and place < 9))
            coarse = Image.fromarray(
                generator.normal(tone, 30, (4, 4)).clip(0, 255).astype("uint8")
            )
            pixels = np.asarray(coarse.resize((16, 16), Image.Resampling.BICUBIC))
            name = "was dark" if tone == 60 and number else "good"
            Image.fromarray(pixels).save(folder / label / f"{name} {place}.png")
    return folder


def test_wrong_labels_are_found_in_every_split_that_was_made_here(tmp_path):
    folder = tones(tmp_path / "tones")
    chosen = (Experiment(data=str(folder), split_seed=seed) for seed in range(20))
    tables = ((each, load_data(each).table.set_index("path")) for each in chosen)
    experiment, table = next(
        (each, table)
        for each, table in tables
        if (table[table.index.str.contains("was dark")]["split"] == "test").sum() > 2
    )
    said = audit(experiment, label_errors=True)
    found = said.findings[said.findings["problem"] == "likely label error"]
    wrong = {path for path in table.index if "was dark" in path}
    assert set(found["path"]) <= wrong
    assert len(found) >= 4  # careful: it names the surest
    assert "test" in set(table.loc[found["path"], "split"])
    numbers = audit_json(said)["labels"]
    assert (numbers["judged"], numbers["images"], numbers["left_alone"]) == (500, 500, 0)
    assert any("The labels of 500 of 500 images were judged" in line for line in audit_lines(said))
    assert set(found["label"]) == {"dark"}
    assert set(found["action"]) == {"relabel"}
    assert "labelled 'light', looks like 'dark'" in found["detail"].iloc[0]
    fixes = suggest_fixes(said).set_index("path")
    rows = fixes.loc[found["path"], ["action", "label"]]
    assert rows.drop_duplicates().to_numpy().tolist() == [["keep", "dark"]]


def test_test_images_that_were_given_are_left_alone(tmp_path):
    folder = tones(tmp_path / "all" / "train")
    for path in sorted(folder.rglob("*.png"))[::5]:
        place = tmp_path / "all" / "test" / path.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
    said = audit(Experiment(data=str(tmp_path / "all")), label_errors=True)
    found = said.findings[said.findings["problem"] == "likely label error"]
    assert not found["path"].str.startswith("test/").any()
    assert said.judged is not None
    assert said.judged[:2] == (400, 500)
    assert said.judged.sentence.endswith("Not judged were 100 test images that were given.")


def test_too_few_images_are_refused(make_images, tmp_path):
    """Two of a class, besides a test that was given."""
    make_images(tmp_path / "few" / "train", {"rows": 2, "blob": 2})
    make_images(tmp_path / "few" / "test", {"rows": 1, "blob": 1}, seed=1)
    with pytest.raises(InputError, match="few"):
        audit(Experiment(data=str(tmp_path / "few")), label_errors=True)
