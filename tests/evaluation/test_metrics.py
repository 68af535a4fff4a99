"""Evaluation against scikit-learn, plain loops and examples by hand."""

import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    classification_report,
    confusion_matrix,
    f1_score,
    log_loss,
)

from imgclf_lib.data import Split, load_data
from imgclf_lib.errors import InputError
from imgclf_lib.evaluation import (
    calibration_table,
    classes_to_show,
    confused_pairs,
    coverage_table,
    evaluate,
    images_in_cell,
    lowest_threshold,
    measure,
    predict_files,
    wilson_interval,
)
from imgclf_lib.evaluation.metrics import (
    _calibration_error,
    predict_probabilities,
    prediction_table,
)
from imgclf_lib.experiment import Experiment
from imgclf_lib.storage import write_json
from imgclf_lib.training import Run

NAMES = ("a", "b", "c", "d")
SURE = np.array([0.9, 0.6, 0.9, 0.7, 0.6])
PROBABILITIES = np.stack([SURE, 1 - SURE], 1)
LABELS = np.array([0, 1, 1, 0, 0])  # right: yes, no, no, yes, yes
COUNTS = np.array([[9, 2, 0, 0], [5, 7, 0, 0], [0, 0, 8, 1], [0, 0, 0, 6]])


def random_answers(seed: int, count: int = 200, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, count)
    scores = generator.normal(0, 1, (count, classes)) + 1.2 * np.eye(classes)[labels]
    powers = np.exp(scores)
    return (powers / powers.sum(1, keepdims=True)).astype("float32"), labels


@pytest.mark.parametrize("seed", range(5))
def test_figures_are_those_of_sklearn(seed):
    probabilities, labels = random_answers(seed)
    predicted = probabilities.argmax(1)
    metrics = measure(probabilities, labels, NAMES)
    assert metrics["accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    assert metrics["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert metrics["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    exact = probabilities.astype("float64")
    loss = log_loss(labels, exact / exact.sum(1, keepdims=True))
    assert metrics["loss"] == pytest.approx(loss)
    assert metrics["loss"] == pytest.approx(-np.log(exact[np.arange(200), labels]).mean(), rel=1e-5)
    assert metrics["n"] == 200
    assert metrics["confusion_matrix"] == confusion_matrix(labels, predicted).tolist()
    report = classification_report(labels, predicted, target_names=NAMES, output_dict=True)
    for row in metrics["per_class"]:
        wanted = report[row["class"]]
        assert row["precision"] == pytest.approx(wanted["precision"])
        assert row["recall"] == pytest.approx(wanted["recall"])
        assert row["f1"] == pytest.approx(wanted["f1-score"])
        assert row["support"] == wanted["support"]
    json.dumps(metrics, allow_nan=False)


def test_a_class_without_images():
    """Three images of two classes, by hand; the third class is named wrongly once."""
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.2, 0.6], [0.1, 0.7, 0.2]])
    metrics = measure(probabilities, np.array([0, 0, 1]), ("a", "b", "c"))
    assert metrics["confusion_matrix"] == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
    assert metrics["balanced_accuracy"] == pytest.approx((0.5 + 1) / 2)
    assert metrics["per_class"][2] == {
        "class": "c",
        "precision": 0.0,
        "recall": 0.0,
        "f1": 0.0,
        "support": 0,
    }
    assert metrics["loss"] == pytest.approx(-(math.log(0.8) + math.log(0.2) + math.log(0.7)) / 3)


def test_one_image_right_and_sure():
    metrics = measure(np.array([[0.0, 1.0]]), np.array([1]), ("a", "b"))
    assert metrics["accuracy"] == 1
    assert metrics["calibration_error"] == 0
    json.dumps(metrics, allow_nan=False)


@pytest.mark.parametrize(
    ("right", "count"), [(0, 1), (1, 1), (0, 20), (20, 20), (90, 100), (9321, 10_000)]
)
def test_interval_after_wilson(right, count):
    z, share = 1.959963984540054, right / count
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    low, high = wilson_interval(right, count)
    assert (low, high) == pytest.approx((max(0, middle - half), min(1, middle + half)), abs=1e-9)
    assert 0 <= low <= share <= high <= 1
    theirs = binomtest(right, count).proportion_ci(0.95, "wilson")
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_calibration_by_hand():
    """Confidences 0.9, 0.9, 0.62, 0.62, 0.5: their fifteenths are 13, 13, 9, 9 and 7."""
    sure = np.array([0.9, 0.9, 0.62, 0.62, 0.5])
    probabilities = np.stack([sure, 1 - sure], 1)
    labels = np.array([0, 1, 0, 1, 0])
    table = calibration_table(probabilities, labels)
    assert table["confidence"].tolist() == pytest.approx([0.5, 0.62, 0.9])
    assert table["accuracy"].tolist() == [1, 0.5, 0.5]
    assert table["count"].tolist() == [1, 2, 2]
    assert _calibration_error(table) == pytest.approx((1 * 0.5 + 2 * 0.12 + 2 * 0.4) / 5)


@pytest.mark.parametrize("seed", range(3))
def test_calibration_against_a_plain_loop(seed):
    probabilities, labels = random_answers(seed, 500)
    error = 0.0
    for number in range(15):
        chosen = [
            row for row in range(500) if number / 15 <= probabilities[row].max() < (number + 1) / 15
        ]
        if chosen:
            sure = np.mean([probabilities[row].max() for row in chosen])
            right = np.mean([probabilities[row].argmax() == labels[row] for row in chosen])
            error += len(chosen) / 500 * abs(sure - right)
    table = calibration_table(probabilities, labels)
    assert _calibration_error(table) == pytest.approx(error, abs=1e-6)
    assert table["count"].sum() == 500


def test_prediction_table_by_hand():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]])
    split = Split("test", np.zeros((2, 1, 1, 1), "uint8"), np.array([0, 1]), np.array(["x", "y"]))
    table = prediction_table(probabilities, split, ("cat", "dog", "emu"))
    assert table.to_dict("list") == {
        "path": ["x", "y"],
        "label": ["cat", "dog"],
        "predicted": ["cat", "emu"],
        "right": [True, False],
        "probability": [0.7, 0.4],
        "label_probability": [0.7, 0.3],
    }


class Brightness:
    """Anything with ``predict``: two classes, dark and bright."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def predict(self, images):
        self.sizes.append(len(images))
        bright = images.mean((1, 2, 3)) / 255
        return np.stack([1 - bright, bright], 1)


def test_probabilities_in_pieces_are_in_order():
    images = np.random.default_rng(0).integers(0, 256, (9000, 2, 2, 1), "uint8")
    model = Brightness()
    found = predict_probabilities(model, images)
    np.testing.assert_allclose(found[:, 1], images.mean((1, 2, 3)) / 255)
    assert len(model.sizes) > 1
    assert len(set(model.sizes)) == 1  # the last piece is filled up
    assert sum(model.sizes) - 9000 < model.sizes[0]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_model_of_no_numbers_is_not_class_zero(bad):
    broken = SimpleNamespace(predict=lambda images, **_: np.full((len(images), 3), bad))
    with pytest.raises(InputError, match="not numbers"):
        predict_probabilities(broken, np.zeros((4, 2, 2, 1), "uint8"))


@pytest.fixture
def copied(trained, tmp_path) -> Run:
    """The trained run in a folder of its own."""
    for path in trained.folder.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return Run(tmp_path)


def test_a_run_is_evaluated_and_the_files_say_the_same(copied, tiny):
    result = evaluate(copied)
    data = load_data(tiny)
    probabilities = np.asarray(copied.model.predict(data.test.images, verbose=0))
    np.testing.assert_allclose(result.probabilities, probabilities, atol=1e-5)
    right = probabilities.argmax(1) == data.test.labels
    assert result.metrics["accuracy"] == pytest.approx(right.mean())
    assert (result.metrics["data"], result.metrics["split"]) == ("shapes", "test")
    assert result.metrics["n"] == len(data.test)
    written = json.loads((copied.folder / "evaluation.json").read_text())
    assert written == result.metrics
    table = pd.read_csv(copied.folder / "predictions.csv")
    assert table["path"].tolist() == data.test.paths.tolist()
    assert table["right"].tolist() == right.tolist()


def test_other_splits_and_data_have_their_own_files(copied, tmp_path, make_images):
    other = make_images(tmp_path / "others", 6, 3, seed=5)
    assert evaluate(copied, split="val").metrics["split"] == "val"
    found = evaluate(copied, data=str(other))
    assert found.split.images.shape[1:] == (24, 24, 1), "brought to the model's size and colours"
    names = {path.name for path in copied.folder.glob("*evaluation*")}
    assert names == {"evaluation-shapes-val.json", "evaluation-others-all.json"}
    assert (copied.folder / "predictions-others-all.csv").is_file()


def test_other_data_is_measured_whole(copied, tmp_path, make_images):
    """Nobody trains on it, so nothing is kept back; the labels are those of the model."""
    other = make_images(tmp_path / "others", 6, seed=5)
    (other / "rows" / "broken.png").write_bytes(b"no image")
    found = evaluate(copied, data=str(other))
    assert (found.metrics["n"], found.metrics["split"]) == (18, "all")
    alone = predict_files(copied, [other], top=1).table
    assert found.predictions["path"].tolist() == [
        str(Path(each).relative_to(other)) for each in alone["path"]
    ]
    assert found.predictions["predicted"].tolist() == alone["class"].tolist()
    assert found.predictions["label"].tolist() == sorted(["blob", "columns", "rows"] * 6)
    with pytest.raises(InputError, match="not divided by itself, so it has no split 'val'"):
        evaluate(copied, data=str(other), split="val")


def test_copies_of_training_images_are_counted(copied, tiny, tmp_path, make_images, capsys):
    other = make_images(tmp_path / "others", 6, seed=5)
    assert evaluate(copied, data=str(other)).metrics["copies_of_training"] == 0
    assert "copies" not in capsys.readouterr().err
    table = load_data(tiny).table
    for number, split in enumerate(("train", "train", "val", "test")):
        row = table[table["split"] == split].iloc[number]
        place = other / row["label"] / f"taken {number}.png"
        place.write_bytes((Path(tiny.data) / row["path"]).read_bytes())
    found = evaluate(copied, data=str(other))
    assert (found.metrics["copies_of_training"], found.metrics["n"]) == (2, 22)
    assert "2 of the 22 images of others are exact copies" in capsys.readouterr().err
    assert "copies_of_training" not in evaluate(copied).metrics


def test_that_copies_are_not_known_is_told(copied, tmp_path, make_images, capsys):
    place = copied.folder / "experiment.json"
    place.write_text(copied.experiment.replace(data=str(tmp_path / "gone")).to_json())
    other = make_images(tmp_path / "others", 6, seed=5)
    found = evaluate(Run(copied.folder), data=str(other))
    assert found.metrics["copies_of_training"] is None
    assert "is not known: There is no data set" in capsys.readouterr().err


def test_a_test_folder_of_its_own_is_measured(copied, tmp_path, make_images):
    for seed, (split, count) in enumerate({"train": 5, "test": 4}.items()):
        make_images(tmp_path / "field" / split, count, seed=seed + 7)
    found = evaluate(copied, data=str(tmp_path / "field"))
    assert (found.metrics["n"], found.metrics["split"]) == (12, "test")
    assert evaluate(copied, data=str(tmp_path / "field"), split="train").metrics["n"] == 15


def test_data_that_moved_is_divided_as_for_the_training(copied, tmp_path):
    moved = shutil.copytree(copied.experiment.data, tmp_path / "moved")
    found = evaluate(copied, data=str(moved))
    assert found.metrics["split"] == "test"
    np.testing.assert_array_equal(found.split.images, load_data(copied.experiment).test.images)


@pytest.mark.parametrize("names", [("rows", "columns"), ("rows",)], ids=len)
def test_classes_may_be_absent(names, copied, tmp_path, make_images):
    other = make_images(tmp_path / "others", dict.fromkeys(names, 5), seed=5)
    found = evaluate(copied, data=str(other))
    assert found.metrics["n"] == 5 * len(names)
    assert found.metrics["absent_classes"] == sorted({"blob", "columns", "rows"} - set(names))
    right = found.predictions["label"] == found.predictions["predicted"]
    assert found.metrics["accuracy"] == pytest.approx(right.mean())
    assert set(found.predictions["label"]) == set(names)


def test_unknown_classes_are_refused(copied, tmp_path, make_images):
    other = make_images(tmp_path / "others", {"rows": 5, "columns": 5})
    (other / "columns").rename(other / "Columns")
    with pytest.raises(
        InputError, match=r"others has classes.*not trained on: Columns.*blob, columns, rows"
    ):
        evaluate(copied, data=str(other))
    with pytest.raises(InputError, match=r"no such split.*train, val, test.*'valid'"):
        evaluate(copied, split="valid")
    assert not list(copied.folder.glob("evaluation*"))


def test_a_run_without_a_model_is_refused(tmp_path, images):
    write_json(tmp_path / "experiment.json", {**Experiment(data=str(images)).changes()})
    write_json(
        tmp_path / "environment.json",
        {"image_shape": [24, 24, 1], "class_names": ["blob", "columns", "rows"]},
    )
    with pytest.raises(InputError, match="no model at"):
        evaluate(Run(tmp_path))


def test_coverage_by_hand():
    table = coverage_table(PROBABILITIES, LABELS)
    assert table["threshold"].tolist() == [0.9, 0.7, 0.6]
    assert table["answered"].tolist() == [2, 3, 5]
    assert table["coverage"].tolist() == [0.4, 0.6, 1.0]
    assert table["accuracy"].tolist() == pytest.approx([1 / 2, 2 / 3, 3 / 5])
    lows = [wilson_interval(*each)[0] for each in [(1, 2), (2, 3), (3, 5)]]
    assert table["low"].tolist() == pytest.approx(lows)


@pytest.mark.parametrize("seed", range(3))
def test_coverage_against_a_plain_loop(seed):
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(3), 60).round(1)  # many are equally sure
    labels = generator.integers(0, 3, 60)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    table = coverage_table(probabilities, labels)
    assert table["threshold"].tolist() == sorted(set(confidence), reverse=True)
    for row in table.itertuples():
        sure = confidence >= row.threshold
        assert row.answered == sure.sum()
        assert row.coverage == pytest.approx(sure.mean())
        assert row.accuracy == pytest.approx(right[sure].mean())


def test_the_lowest_threshold_answers_most():
    """Half of 200 images are surely right, of the others nine in ten: 190 of 200 in all."""
    sure = np.repeat([0.9, 0.6], 100)
    labels = np.repeat([0, 0, 1], [100, 90, 10])
    table = coverage_table(np.stack([sure, 1 - sure], 1), labels)
    assert table["accuracy"].tolist() == [1.0, 0.95]
    assert table["low"].tolist() == pytest.approx([0.963, 0.910], abs=5e-4)
    assert lowest_threshold(table, 0.91) == 0.6
    assert lowest_threshold(table, 0.95) == 0.9, "reached, but not promised"
    assert lowest_threshold(table, 1.0) == float("inf")


@pytest.mark.parametrize("part", [2, 4])
def test_the_lowest_threshold_keeps_its_promise(part):
    """For images of the same kind that had no say; the highest accuracy alone would not."""
    generator, kept, lucky = np.random.default_rng(0), 0, 0
    for _ in range(100):
        sure = generator.uniform(0.5, 1, (2, 2000))
        right = generator.random((2, 2000)) < sure
        probabilities = np.stack([sure[0], 1 - sure[0]], 1)
        table = coverage_table(probabilities, np.where(right[0], 0, 1))
        wish = 1 - 0.25 / part
        truth = (1 + lowest_threshold(table, wish)) / 2  # mean of the confidences above it
        kept += truth >= wish
        plain = table.loc[table["accuracy"] >= wish, "threshold"].min()
        lucky += (1 + plain) / 2 >= wish
    assert kept >= 90
    assert 25 < lucky < 75


def test_pairs_are_those_of_the_largest_counts():
    assert confused_pairs(COUNTS) == [(1, 0, 5), (0, 1, 2), (2, 3, 1)]
    assert confused_pairs(COUNTS, 1) == [(1, 0, 5)]
    assert confused_pairs(np.eye(3)) == []
    assert COUNTS[0, 0] == 9, "the matrix stays as it is"


def test_the_most_confused_classes_are_shown():
    assert classes_to_show(COUNTS, 4) == [0, 1, 2, 3]
    assert classes_to_show(COUNTS, 2) == [0, 1]
    assert classes_to_show(COUNTS, 3) == [0, 1, 2]
    assert classes_to_show(COUNTS, 2, (3, 1)) == [1, 3]
    assert classes_to_show(np.eye(200), 12) == list(range(12))


def test_images_of_a_cell_begin_with_the_most_confident():
    table = pd.DataFrame(
        {
            "label": ["a", "a", "a", "b"],
            "predicted": ["b", "a", "b", "b"],
            "probability": [0.6, 0.9, 0.8, 0.7],
        }
    )
    assert images_in_cell(table, "a", "b").index.tolist() == [2, 0]
    assert images_in_cell(table, "b", "a").empty
