"""Advice: only what the numbers support, and nothing where they ask for nothing."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from imgclf_lib.evaluation import Evaluation, data_advice, measure, result_advice
from imgclf_lib.experiment import Experiment

NAMES = ("<b>cat</b>", "猫", "dog")


def data(counts: dict[str, int], side: int = 32, problems: tuple[str, ...] = ()) -> SimpleNamespace:
    rows = [(name, "train", side, "") for name, count in counts.items() for _ in range(count)]
    rows += [("", "", 0, problem) for problem in problems]
    table = pd.DataFrame(rows, columns=["label", "split", "width", "problem"])
    table["height"] = table["width"]
    return SimpleNamespace(table=table, class_names=tuple(counts), image_shape=(32, 32, 3))


def test_a_good_data_set_needs_no_advice() -> None:
    assert data_advice(data(dict.fromkeys(NAMES, 60))) == []


def test_unused_files_are_counted_but_not_those_left_out_on_purpose() -> None:
    said = data_advice(data(dict.fromkeys(NAMES, 60), problems=("damaged", "empty", "excluded")))
    assert len(said) == 1
    assert said[0].startswith("2 of 183 files are not used.")
    assert data_advice(data(dict.fromkeys(NAMES, 60), problems=("excluded", "hidden"))) == []


def test_small_classes_are_named_if_they_are_few() -> None:
    said = data_advice(data({NAMES[0]: 19, NAMES[1]: 20, NAMES[2]: 18}))
    assert said == [
        "Collect more images of 'dog' and '<b>cat</b>': fewer than 20 training images make a"
        " class mostly a matter of luck."
    ]
    many = {f"class {number}": 12 for number in range(200)}
    assert "images of every class:" in data_advice(data(many))[0]
    assert "images of 200 of 201 classes:" in data_advice(data({**many, "large": 25}))[0]


def test_skew_and_size() -> None:
    (said,) = data_advice(data({"a": 500, "b": 40}))
    assert "'a', has 12.5 times as many training images as the smallest, 'b'" in said
    (said,) = data_advice(data({"a": 40, "b": 40}, side=1600))
    assert "2,500 times as many pixels as the network gets (32 x 32)" in said


def evaluation(counts: list[list[int]], confidence: float) -> Evaluation:
    """An evaluation with these counts; every answer has the same probability."""
    labels, answers = np.nonzero(np.array(counts))
    often = np.array(counts)[labels, answers]
    labels, answers = np.repeat(labels, often), np.repeat(answers, often)
    probabilities = np.full((len(labels), 3), (1 - confidence) / 2)
    probabilities[np.arange(len(labels)), answers] = confidence
    figures = measure(probabilities, labels, NAMES)
    return Evaluation(figures, pd.DataFrame(), probabilities, None, NAMES)  # type: ignore[arg-type]


def trained(
    train: float, val: float, epochs: tuple[float, ...] = (0.5, 0.9, 0.8)
) -> SimpleNamespace:
    metrics = {"train_accuracy": train, "val_accuracy": val, "epochs_run": len(epochs)}
    history = pd.DataFrame({"epoch": range(1, len(epochs) + 1), "val_accuracy": epochs})
    return SimpleNamespace(metrics=metrics, history=history, experiment=Experiment())


GOOD = [[450, 25, 25], [25, 450, 25], [25, 25, 450]]
WON = (60_000, "linear", {"only_first": 300, "only_second": 20, "p_value": 1e-9})


def test_a_good_result_needs_no_advice() -> None:
    assert result_advice(evaluation(GOOD, 0.9), trained(0.93, 0.9), *WON) == []


@pytest.mark.parametrize(
    ("numbers", "wanted"),
    [
        ((10, 9, 0.8), "1,500 test images cannot tell it from the baseline 'linear'"),
        ((9, 300, 1e-9), "the baseline 'linear' is better"),
    ],
)
def test_a_network_that_does_not_win(numbers: tuple, wanted: str) -> None:
    paired = dict(zip(("only_first", "only_second", "p_value"), numbers, strict=True))
    (said,) = result_advice(evaluation(GOOD, 0.9), trained(0.93, 0.9), 60_000, "linear", paired)
    assert wanted in said


def test_each_number_has_its_sentence() -> None:
    (said,) = result_advice(evaluation(GOOD, 0.9), trained(0.99, 0.8), *WON)
    assert "(99% right against 80% of the validation images)" in said
    (said,) = result_advice(evaluation(GOOD, 0.9), trained(0.9, 0.9, (0.5, 0.6)), *WON)
    assert said == "The best epoch was the last of 2: train longer, for example 4 epochs."
    (said,) = result_advice(evaluation(GOOD, 0.99), trained(0.93, 0.9), *WON)
    assert "99%, is higher than its accuracy, 90%" in said
    (said,) = result_advice(evaluation(GOOD, 0.5), trained(0.93, 0.9), *WON)
    assert "lower than its accuracy" in said


def test_small_tests_and_weak_classes() -> None:
    few = [[9, 1, 0], [0, 10, 0], [0, 1, 9]]
    (said,) = result_advice(evaluation(few, 0.92), trained(0.93, 0.9), *WON)
    assert "with 30 of them the accuracy may lie anywhere between" in said
    weak = [[450, 50, 0], [200, 300, 0], [0, 0, 500]]
    said_all = result_advice(evaluation(weak, 0.83), trained(0.9, 0.85), *WON)
    assert "'猫' is found in only 300 of its 500 test images" in said_all[0]
    assert "'<b>cat</b>' and '猫' are mixed up most: 250 of 250 mistakes" in said_all[1]
    assert len(said_all) == 2


def test_no_mistakes_no_pairs() -> None:
    assert (
        result_advice(evaluation(np.diag([500, 500, 500]).tolist(), 1), trained(1, 1), *WON) == []
    )


def test_a_network_that_hardly_began() -> None:
    run = trained(0.9, 0.9, (0.5, 0.6))
    batch = Experiment().batch_size
    (said,) = result_advice(evaluation(GOOD, 0.9), run, 9 * batch + 1, *WON[1:])
    assert said.startswith("The network took only 20 steps in 2 epochs")
    assert "`-p epochs 20 -p batch_size 16`" in said
