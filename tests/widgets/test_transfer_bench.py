"""The bench: a classifier learns anew at every choice, on features or on pixels."""

import pytest

from imgclf_lib.data import load_data
from imgclf_lib.experiment import Experiment
from imgclf_lib.model import build_model
from imgclf_lib.transfer import cached_features
from imgclf_lib.widgets.transfer_bench import SIGHTS, TITLE, TransferBench


@pytest.fixture(scope="module")
def given(images):
    experiment = Experiment(
        data=str(images), backbone="efficientnet_lite0", validation_fraction=0.2
    )
    dataset = load_data(experiment)
    return dataset, cached_features(build_model(experiment, (24, 24, 1), 3), experiment, dataset)


@pytest.fixture
def bench(given):
    return TransferBench(*given)


def test_it_begins_with_a_point(bench):
    assert len(bench.rows) == 1
    images, name, accuracy = bench.rows[0]
    assert (images, name) == (bench.count.value, SIGHTS[0])
    assert accuracy > 0.6
    assert "training images" in bench.status.value
    assert bench.picture.png


def test_every_control_adds_a_point_and_changes_the_picture(bench):
    for change in (
        lambda: setattr(bench.count, "value", bench.count.options[-1]),
        lambda: setattr(bench.sight, "value", SIGHTS[1]),
        lambda: setattr(bench.draw, "value", 3),
    ):
        before = bench.picture.png, len(bench.rows)
        change()
        assert bench.picture.png != before[0]
        assert len(bench.rows) == before[1] + 1
    assert bench.problem.value == ""
    bench.clear_button.click()
    assert bench.rows == []
    assert "Nothing yet" in bench.picture.alt


def test_it_learns_from_no_more_than_there_is(bench, given):
    dataset, _ = given
    assert bench.count.options[-1] * 3 <= len(dataset.train)
    bench.count.value = 1
    assert "3 training images" in bench.status.value


def test_every_control_has_a_label_and_paper_has_words(bench):
    for control in (bench.count, bench.sight, bench.draw, bench.clear_button):
        assert control.description
    bundle = bench._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert data["text/plain"] == f"(Live in JupyterLab: {TITLE})"


def test_images_of_one_class_are_said(bench, given):
    dataset, features = given
    rows = dataset.train.labels == 0
    features = {"train": features["train"].take(rows), "val": features["val"]}
    one = TransferBench(dataset, features)
    assert "all of one class" in one.status.value
    assert one.rows == []
