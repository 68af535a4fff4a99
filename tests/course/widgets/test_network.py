"""The designer: its figures are the network's. The bench: it learns anew at every choice."""

import re
import time
from types import SimpleNamespace

import psutil
import pytest

from imgclf_lib.course.widgets import NetworkDesigner, TransferBench
from imgclf_lib.course.widgets.network import SIGHTS
from imgclf_lib.data import load_data
from imgclf_lib.experiment import Experiment
from imgclf_lib.network import build_model, layer_table
from imgclf_lib.training import cached_features


@pytest.fixture
def designer() -> NetworkDesigner:
    return NetworkDesigner(Experiment(batch_size=64), (28, 28, 1), 10)


@pytest.fixture
def memory(monkeypatch):
    def set_free(count: float) -> None:
        monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=int(count)))

    set_free(8e9)
    return set_free


def text(widget) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", widget.value))


def test_its_figures_are_those_of_the_network(designer):
    assert "421,642 parameters" in text(designer.totals)
    controls = designer.controls.controls
    controls["filters"].count.value = 3
    controls["filters"].sizes[2].value = 16
    controls["convolutions"].value = 2
    controls["normalization"].value = "batch"
    controls["head"].value = "average"
    controls["dense_units"].count.value = 0
    assert designer.experiment == Experiment(
        filters=(32, 64, 16),
        convolutions=2,
        normalization="batch",
        head="average",
        dense_units=(),
        batch_size=64,
    )
    table = layer_table(build_model(designer.experiment, (28, 28, 1), 10))
    assert f"{table['parameters'].sum():,} parameters" in text(designer.totals)
    assert f"{table['multiply_adds'].sum():,} multiply-adds" in text(designer.totals)
    field = table.loc[table["layer"] == "pooling3", "receptive_field"].iloc[0]
    assert f"{field} × {field}" in text(designer.totals)
    for layer in table["layer"]:
        assert layer in designer.layers.value
    assert "3 × 3 × 16 = 144" in text(designer.layers)
    assert not designer.problem.value


def test_picture_and_code_follow(designer):
    before, size = designer.drawing.png, designer.drawing.size
    designer.controls.controls["filters"].sizes[0].value = 8
    assert designer.drawing.png != before
    assert designer.drawing.size == size, "nothing jumps"
    assert "14 by 14 by 8" in designer.drawing.alt
    assert "Experiment(filters=(8, 64), batch_size=64)" in designer.code.value


def test_a_design_that_is_too_big_is_said_to_be_so_and_not_built(designer, memory):
    designer.update()
    assert "✓ Fits" in text(designer.verdict)
    units = designer.controls.controls["dense_units"]
    start = time.perf_counter()
    units.count.value = 3
    for slider in units.sizes[:3]:
        slider.value = 16_384
    assert time.perf_counter() - start < 10
    said = text(designer.verdict)
    assert "⚠ Too big for this machine: training needs about 9.5 GB, but only 8.0 GB" in said
    assert "dense2, 268,451,840 parameters: fewer units help." in said
    memory(10e9)
    designer.update()
    assert "⚠ Tight" in text(designer.verdict)
    memory(20e9)
    designer.update()
    assert "✓ Fits" in text(designer.verdict)
    assert 'role="status"' in designer.verdict.value


def test_many_values_are_named_where_weights_are_not_the_reason(designer, memory):
    memory(1e8)
    controls = designer.controls.controls
    controls["dense_units"].count.value = 0
    controls["convolutions"].value = 4
    controls["batch_size"].value = 1024
    said = text(designer.verdict)
    assert "1,024 images at a time" in said
    assert "25,088 for each image" in said, "28 x 28 x 32 values"
    assert "smaller batch size" in said


def test_start_again(designer):
    for name in ("kernel_size", "convolutions"):
        designer.controls.controls[name].value = 2
    designer.controls.controls["filters"].count.value = 0
    designer.reset.click()
    assert designer.experiment == Experiment(batch_size=64)
    assert "421,642" in designer.totals.value


@pytest.mark.parametrize(
    ("experiment", "shape", "classes"),
    [
        (Experiment(filters=(), dense_units=()), (24, 24, 1), 2),
        (Experiment(filters=(4, 8, 16, 32, 64, 128)), (64, 48, 3), 200),
        (Experiment(data="<script>alert(1)</script>", head="average"), (224, 224, 3), 200),
    ],
)
def test_any_data_and_any_start(experiment, shape, classes):
    designer = NetworkDesigner(experiment, shape, classes)
    assert designer.experiment == experiment
    assert "<script" not in designer.code.value
    assert f"{classes} classes" in designer.drawing.alt
    assert not designer.problem.value


def test_errors_are_shown(designer, monkeypatch):
    monkeypatch.setattr("imgclf_lib.course.widgets.network.network", lambda plan: 1 / 0)
    designer.controls.controls["kernel_size"].value = 5
    assert "ZeroDivisionError" in designer.problem.value


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
    assert data["text/plain"] == f"(Live in JupyterLab: {bench.title})"


def test_images_of_one_class_are_said(bench, given):
    dataset, features = given
    rows = dataset.train.labels == 0
    features = {"train": features["train"].take(rows), "val": features["val"]}
    one = TransferBench(dataset, features)
    assert "all of one class" in one.status.value
    assert one.rows == []
