"""The explorer: cells open, images and figures are the right ones, and names are only text."""

import re

import numpy as np
import pytest

from imgclf_lib.data import Split
from imgclf_lib.evaluate import Evaluation, evaluate, measure, prediction_table
from imgclf_lib.runs import Run
from imgclf_lib.widgets.confusion_explorer import ConfusionExplorer


def invent(
    classes: int = 3, count: int = 90, channels: int = 1, skill: float = 2.0, names=None
) -> Evaluation:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, classes, count)
    powers = np.exp(generator.normal(size=(count, classes)) + skill * np.eye(classes)[labels])
    probabilities = (powers / powers.sum(1, keepdims=True)).astype("float32")
    images = generator.integers(0, 256, (count, 12, 12, channels), "uint8")
    split = Split("test", images, labels, np.array([f"{n}.png" for n in range(count)], object))
    names = names or tuple(f"class {number}" for number in range(classes))
    figures = measure(probabilities, labels, names)
    table = prediction_table(probabilities, split, names)
    return Evaluation(figures, table, probabilities, split, names)


def text(widget) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", widget.value)).strip()


def test_it_opens_at_the_most_frequent_confusion():
    result = invent()
    explorer = ConfusionExplorer(result)
    mistakes = np.array(result.figures["confusion_matrix"])
    np.fill_diagonal(mistakes, 0)
    true, said = np.unravel_index(mistakes.argmax(), mistakes.shape)
    assert explorer.matrix.chosen == [true, said]
    assert (explorer.true.value, explorer.said.value) == (true, said)
    assert f"{mistakes.max()} images of class {true} taken for class {said}" in text(
        explorer.status
    )
    assert 'role="status"' in explorer.status.value
    assert not explorer.problem.value


def test_a_chosen_cell_opens():
    explorer = ConfusionExplorer(invent())
    before = explorer.images.png
    explorer.matrix.chosen = [2, 2]
    assert (explorer.true.value, explorer.said.value) == (2, 2)
    assert "of class 2, answered right. 1 to 12" in text(explorer.status)
    assert explorer.images.png != before
    assert explorer.often.value == ()
    count = int(explorer.matrix.alt != "") and explorer._count(explorer.answered)[2, 2]
    assert text(explorer.status).startswith(f"{count} images")


def test_the_menus_move_the_mark():
    explorer = ConfusionExplorer(invent())
    explorer.true.value = 1
    assert explorer.matrix.chosen[0] == 1
    explorer.often.value = explorer.pairs[-1][:2]
    assert explorer.matrix.chosen == list(explorer.pairs[-1][:2])
    assert (explorer.true.value, explorer.said.value) == explorer.pairs[-1][:2]


def test_pages_show_all_images_worst_first(monkeypatch):
    result = invent(2, 70)
    seen = []

    def remember(cell, images, page):
        seen.append(cell.index[page * 12 : page * 12 + 12].tolist())
        return drawn(cell, images, page)

    from imgclf_lib.widgets import confusion_explorer

    drawn = confusion_explorer.cell_images
    monkeypatch.setattr(confusion_explorer, "cell_images", remember)
    explorer = ConfusionExplorer(result)
    explorer.matrix.chosen = [1, 1]
    sizes, pages = {tuple(explorer.images.size)}, [seen[-1]]
    assert explorer.previous.disabled
    while not explorer.following.disabled:
        explorer.following.click()
        pages.append(seen[-1])
        sizes.add(tuple(explorer.images.size))
    rows = [row for page in pages for row in page]
    table = result.predictions
    wanted = table[(table["label"] == "class 1") & (table["predicted"] == "class 1")]
    assert rows == wanted.sort_values("probability", ascending=False).index.tolist()
    assert len(sizes) == 1, "nothing jumps"
    explorer.previous.click()
    assert seen[-1] == pages[-2]


def test_an_empty_cell_says_so_at_the_same_size():
    explorer = ConfusionExplorer(invent(skill=9.0))
    assert not explorer.pairs
    assert "no mistakes" in explorer.often.options[0][0]
    size = explorer.images.size
    explorer.matrix.chosen = [0, 1]
    assert text(explorer.status) == "No images of class 0 taken for class 1."
    assert explorer.images.size == size
    assert explorer.previous.disabled
    assert explorer.following.disabled


@pytest.mark.parametrize("threshold", [0.0, 0.55, 0.8, 1.0])
def test_the_threshold_counts_right(threshold):
    result = invent(count=300)
    explorer = ConfusionExplorer(result)
    explorer.threshold.value = threshold
    sure = result.probabilities.max(1) >= threshold
    right = result.probabilities.argmax(1)[sure] == result.split.labels[sure]
    said = text(explorer.figures)
    assert said.startswith(f"{sure.mean():.1%} coverage")
    assert f"{sure.sum()} of 300 images" in said
    accuracy = f"{right.mean():.1%}" if sure.any() else "nothing is answered"
    assert f"{accuracy} accuracy of the answered" in said
    assert not explorer.problem.value


def test_the_threshold_moves_matrix_images_and_curve():
    explorer = ConfusionExplorer(invent(count=300))
    pictures = [each.png for each in (explorer.matrix, explorer.images, explorer.coverage)]
    count = int(text(explorer.status).split()[0])
    explorer.threshold.value = 0.7
    assert int(text(explorer.status).split()[0]) < count
    for old, new in zip(
        pictures, (explorer.matrix, explorer.images, explorer.coverage), strict=True
    ):
        assert old != new.png


def test_two_hundred_classes_stay_usable():
    result = invent(200, 3000, channels=3, skill=1.0)
    explorer = ConfusionExplorer(result)
    assert explorer.matrix.cells == [12, 12]
    assert len(explorer.true.options) == 200
    assert len(explorer.often.options) == 21
    missing = next(label for label in range(200) if label not in explorer.shown)
    explorer.true.value = missing
    assert missing in explorer.shown
    row, column = explorer.matrix.chosen
    assert (explorer.shown[row], explorer.shown[column]) == (missing, explorer.said.value)
    assert not explorer.problem.value


def test_two_classes_and_hostile_names():
    names = ("<script>alert(1)</script>", "$x & " + 200 * "y")
    explorer = ConfusionExplorer(invent(2, 40, names=names))
    for cell in ([0, 0], [0, 1], [1, 0], [1, 1]):
        explorer.matrix.chosen = cell
        assert "<script" not in explorer.status.value
        assert len(text(explorer.status)) < 200
    assert not explorer.problem.value


def test_a_real_run(trained, tmp_path):
    for path in trained.folder.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    explorer = ConfusionExplorer(evaluate(Run(tmp_path)))
    assert not explorer.problem.value


def test_errors_are_shown(monkeypatch):
    explorer = ConfusionExplorer(invent())
    monkeypatch.setattr(explorer, "_show_cell", lambda: 1 / 0)
    explorer.matrix.chosen = [1, 2]
    assert "ZeroDivisionError" in explorer.problem.value
    assert not explorer._busy, "the next choice works again"
