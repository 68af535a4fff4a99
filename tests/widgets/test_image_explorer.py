"""The explorer: every choice changes what is shown, and the picture keeps its size."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imgclf_lib.data import ImageData, load_data, sort_images
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.widgets.image_explorer import MEANINGS, ORDERS, PAGE, ImageExplorer


@pytest.fixture(scope="module")
def grey(images: Path) -> ImageData:
    return load_data(Experiment(data=str(images), validation_fraction=0.2))


@pytest.fixture
def explorer(grey: ImageData) -> ImageExplorer:
    made = ImageExplorer(grey)
    assert made.problem.value == ""
    return made


def many_classes(tmp_path: Path, names: list[str], count: int) -> ImageData:
    """Classes of a few tiny images each, without files behind them."""
    generator = np.random.default_rng(0)
    rows = [
        (f"{split}/{name}/{number}", name, split, 8, 8, "L", f"{split}{name}{number}", "")
        for split in ("train", "val")
        for name in names
        for number in range(count)
    ]
    columns = ["path", "label", "split", "width", "height", "mode", "hash", "problem"]
    for split in ("train", "val"):
        pixels = generator.integers(0, 256, (len(names) * count, 8, 8, 1), "uint8")
        np.save(tmp_path / f"{split}.npy", pixels)
    return ImageData("made", tuple(names), pd.DataFrame(rows, columns=columns), "", tmp_path)


def test_buttons_and_slider_turn_pages(explorer):
    pages = -(-len(explorer.source.train) // PAGE)
    assert (explorer.page.value, explorer.page.max) == (1, pages)
    assert pages >= 2
    seen = [explorer.picture.png]
    explorer.buttons["Next"].click()
    assert explorer.page.value == 2
    seen.append(explorer.picture.png)
    assert f"{PAGE + 1} to " in explorer.status.value
    explorer.buttons["First"].click()
    assert explorer.picture.png == seen[0] != seen[1]
    explorer.buttons["Previous"].click()
    assert explorer.page.value == 1
    explorer.buttons["Last"].click()
    assert explorer.page.value == pages
    explorer.buttons["Next"].click()
    assert explorer.page.value == pages
    explorer.page.value = 2
    assert explorer.picture.png == seen[1]


def test_all_pages_together_show_every_image_once(explorer):
    rows = []
    for page in range(1, explorer.page.max + 1):
        explorer.page.value = page
        rows += explorer.shown["row"].tolist()
    assert sorted(rows) == list(range(len(explorer.source.train)))


@pytest.mark.parametrize("order", ORDERS)
def test_orders_are_those_of_the_library(explorer, order):
    by, backwards = ORDERS[order]
    explorer.order.value = order
    expected = sort_images(explorer.source, "train", None, by)
    expected = expected.iloc[::-1] if backwards else expected
    pd.testing.assert_frame_equal(explorer.shown, expected.head(PAGE))
    assert MEANINGS[by] in explorer.picture.alt
    assert MEANINGS[by] in explorer.status.value
    steps = np.diff(explorer.shown["value"])
    assert by == "chance" or (steps <= 0 if backwards else steps >= 0).all()


def test_class_and_split_choose_images(explorer):
    explorer.page.value = 2
    explorer.label.value = 1
    assert explorer.page.value == 1
    assert set(explorer.shown["label"]) == {explorer.source.class_names[1]}
    explorer.split.value = "val"
    assert set(explorer.shown["path"]) <= set(explorer.source.val.paths)
    assert "validation images" in explorer.status.value
    assert "test" not in dict(explorer.split.options).values()


def test_the_picture_keeps_its_size(explorer):
    size = explorer.picture.size
    for label in (1, -1):
        explorer.label.value = label
        explorer.buttons["Last"].click()
        assert explorer.picture.size == size


def test_paths_are_listed_on_request(explorer):
    assert explorer.paths.layout.display == "none"
    explorer.want_paths.value = True
    assert explorer.paths.layout.display is None
    assert explorer.shown["path"].iloc[0] in explorer.paths.value
    explorer.buttons["Next"].click()
    assert f'start="{PAGE + 1}"' in explorer.paths.value
    assert explorer.shown["path"].iloc[0] in explorer.paths.value


def test_colour_images_with_their_own_splits(split_images):
    source = load_data(Experiment(data=str(split_images)))
    explorer = ImageExplorer(source, "size of the file: largest first")
    assert explorer.problem.value == ""
    assert (explorer.shown["value"] == 24 * 24).all()


def test_two_hundred_hostile_classes(tmp_path):
    names = [f"<script>{number}</script> & $x$ {'long ' * 40}" for number in range(200)]
    explorer = ImageExplorer(many_classes(tmp_path, names, 2))
    size = explorer.picture.size
    assert len(explorer.label.options) == 201
    explorer.want_paths.value = True
    for label in (0, 199):
        explorer.label.value = label
        assert explorer.problem.value == ""
        assert len(explorer.shown) == 2
        assert "<script>" not in explorer.status.value + explorer.paths.value
        assert "&lt;script&gt;" in explorer.paths.value
        assert len(explorer.status.value) < 400
    assert explorer.picture.size == size


def test_a_class_without_validation_images(tmp_path):
    source = many_classes(tmp_path, ["a", "b"], 3)
    table = source.table
    table.loc[table["split"] == "val", "label"] = "a"
    explorer = ImageExplorer(source)
    size = explorer.picture.size
    explorer.split.value = "val"
    explorer.label.value = 1
    for order in ORDERS:
        explorer.order.value = order
        assert explorer.problem.value == ""
        assert "No images" in explorer.status.value
    assert explorer.picture.size == size
    explorer.buttons["Next"].click()
    assert explorer.page.value == 1


def test_errors_are_shown(explorer, monkeypatch):
    def broken(*_: object) -> None:
        raise InputError("The <table> is gone")

    monkeypatch.setattr("imgclf_lib.widgets.image_explorer.sort_images", broken)
    explorer.label.value = 2
    assert "The &lt;table&gt; is gone" in explorer.problem.value
