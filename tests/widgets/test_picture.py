"""Pictures in live widgets: what is drawn is sent, and cells lie where they are drawn."""

import io

import numpy as np
import pytest
from PIL import Image

from imgclf_lib.evaluation_plots import confusion_matrix
from imgclf_lib.plots import lines
from imgclf_lib.widgets.picture import Picture


def test_a_drawing_is_sent_with_its_size_and_words() -> None:
    picture = Picture(lines({"a": ([1, 2], [3, 4])}, "A", ("x", "y")), "A line.")
    drawn = Image.open(io.BytesIO(picture.png))
    assert list(drawn.size) == picture.size
    assert picture.alt == "A line."
    before = picture.png
    picture.show(lines({"a": ([1, 2], [4, 3])}, "A", ("x", "y")), "Another line.")
    assert picture.png != before
    assert picture.alt == "Another line."


@pytest.mark.parametrize("classes", [2, 5, 12])
def test_cells_lie_where_the_matrix_is_drawn(classes: int) -> None:
    counts = np.zeros((classes, classes), int)
    counts[1, 0] = 9  # the only dark cell: second row, first column
    axes = confusion_matrix(counts, [f"class {number}" for number in range(classes)])
    picture = Picture(axes, "A matrix.")
    picture.offer_cells(axes, classes, classes)
    assert picture.cells == [classes, classes]
    image = np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB")).astype(int)
    left, top, width, height = picture.area
    for row in range(classes):
        for column in range(classes):
            across = round((left + width * (column + 0.25) / classes) * image.shape[1])
            down = round((top + height * (row + 0.25) / classes) * image.shape[0])
            dark = image[down, across].sum() < 250
            assert dark == ((row, column) == (1, 0)), (row, column)
