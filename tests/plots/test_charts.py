"""Plots: what is drawn is what was given, with titles, labels and units."""

import io
import random
import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from imgclf_lib.plots import charts, evaluation, new_axes, png, training

GENERATOR = np.random.default_rng(0)
NASTY = ("$x_1$", "a_b", "<b>&amp;</b>", "100 %", "$", "\\frac{1}{2}", "größe", "n" * 60)
MANY = tuple(f"class $_{number}" for number in range(200))
IMAGES = GENERATOR.integers(0, 256, (10, 6, 6, 1), "uint8")


def history(epochs: int = 3) -> pd.DataFrame:
    names = ["loss", "accuracy", "val_loss", "val_accuracy"]
    table = pd.DataFrame(GENERATOR.uniform(0, 1, (epochs, 4)), columns=names)
    return table.assign(epoch=range(1, epochs + 1))


def bin_table() -> pd.DataFrame:
    return pd.DataFrame({"confidence": [0.3, 0.9], "accuracy": [0.25, 0.95], "count": [10, 30]})


def drawings(names: tuple[str, ...], **options: object) -> dict:
    """One drawing of every kind on axes, with these class names."""
    count = len(names)
    numbers = GENERATOR.integers(0, 50, (count, count))
    points, labels = GENERATOR.normal(size=(3 * count, 2)), np.arange(3 * count) % count
    return {
        "bars": charts.bars(dict.fromkeys(names, 3.5), "Bars", "seconds", **options),
        "histogram": charts.histogram(
            {name: GENERATOR.normal(size=20) for name in names[:9]},
            "Histogram",
            "pixels",
            **options,
        ),
        "scatter": charts.scatter(points, labels, names, "Scatter", **options),
        "lines": charts.lines(
            {name: ([1, 2], [3, 4]) for name in names[:9]}, "Lines", ("epoch", "nats"), **options
        ),
        "confusion": evaluation.confusion_matrix(numbers, names, "Confusion", **options),
        "calibration": evaluation.calibration(bin_table(), "Calibration", **options),
    }


@pytest.mark.parametrize("names", [NASTY, NASTY[:2], MANY], ids=["nasty", "two", "many"])
def test_axes_have_titles_and_labels_and_can_be_drawn(names):
    for axes in drawings(names).values():
        assert axes.get_title()
        assert axes.get_xlabel()
        assert axes.get_ylabel() or axes.get_yticklabels()
        assert png(axes).startswith(b"\x89PNG")
    for figure in (
        charts.image_grid(IMAGES, names[:2] * 5, title="Grid", rows=names[:2]),
        training.learning_curves({name: history() for name in names[:8]}),
    ):
        assert figure.get_suptitle()
        assert png(figure).startswith(b"\x89PNG")


def test_drawing_on_axes_that_are_given():
    for name, axes in drawings(NASTY[:3], axes=new_axes()).items():
        assert axes.get_title(), name
    axes = new_axes()
    assert charts.bars({"a": 1}, "Bars", "s", axes=axes) is axes


def test_nothing_global_changes():
    settings, numbers, chance = (
        dict(mpl.rcParams),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
        random.getstate(),
    )
    drawings(NASTY)
    training.learning_curves({"run": history()})
    assert dict(mpl.rcParams) == settings
    assert np.random.get_state()[1].tolist() == numbers  # noqa: NPY002
    assert random.getstate() == chance
    assert "matplotlib.pyplot" not in sys.modules or mpl.pyplot.get_fignums() == []


def test_a_grid_shows_the_images():
    figure = charts.image_grid(IMAGES, titles=range(10), columns=4, title="Ten images")
    assert len(figure.axes) == 12
    for number, image in enumerate(IMAGES):
        axes = figure.axes[number]
        (drawn,) = axes.images
        np.testing.assert_array_equal(drawn.get_array(), image[..., 0])
        assert drawn.get_clim() == (0, 255)
        assert axes.get_title() == str(number)
    assert figure.get_suptitle() == "Ten images"
    assert not figure.axes[11].images


def test_a_white_image_is_seen_on_white_paper():
    figure = charts.image_grid(np.full((1, 5, 5), 255, "uint8"))
    with Image.open(io.BytesIO(png(figure))) as picture:
        assert picture.convert("L").getextrema()[0] < 230


def test_lines_above_an_image_are_no_wider_than_it_and_stay_different():
    names = [f"{'long ' * 9}{each}" for each in ("cat", "dog", "cat")]
    titles = [f"{name}\n90 %" for name in names]
    axes = charts.image_grid(IMAGES[:3], titles).axes
    drawn = [each.get_title().split("\n") for each in axes]
    assert all(len(line) <= 15 for text in drawn for line in text)
    assert drawn[0] == drawn[2] != drawn[1]
    assert [text[1] for text in drawn] == ["90 %"] * 3


@pytest.mark.parametrize("shape", [(1, 5, 5, 3), (3, 5, 5), (2, 5, 5, 1), (1, 1, 1, 1)])
@pytest.mark.parametrize("kind", ["uint8", "float64"])
def test_a_grid_of_any_shape(shape, kind):
    figure = charts.image_grid(np.ones(shape, kind))
    assert len([axes for axes in figure.axes if axes.images]) == shape[0]
    png(figure)


def test_a_grid_of_no_image_holds_its_title():
    figure = charts.image_grid(IMAGES[:0], [], title="The 0 most confident mistakes", rows=["a"])
    assert figure.get_suptitle()
    assert not [axes for axes in figure.axes if axes.images]
    assert png(figure)


def test_grid_limits():
    floats = GENERATOR.normal(size=(2, 4, 4))
    limits = [axes.images[0].get_clim() for axes in charts.image_grid(floats).axes]
    assert limits == [(each.min(), each.max()) for each in floats]
    shared = charts.image_grid(floats, limits=(-1, 1)).axes
    assert [axes.images[0].get_clim() for axes in shared] == [(-1, 1)] * 2


def test_bars_are_as_long_as_their_values():
    axes = charts.bars(pd.Series({"a": 1200, "b": 7}), "Images", "images", errors=[1, 2])
    assert [bar.get_width() for bar in axes.patches] == [1200, 7]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert {"1,200", "7"} <= {text.get_text() for text in axes.texts}
    assert axes.yaxis_inverted()
    shares = charts.bars({"a": 0.25}, "Share", "share")
    assert [text.get_text() for text in shares.texts] == ["0.250"]


def test_histogram_counts_everything():
    values = {"a": GENERATOR.normal(size=300), "b": GENERATOR.normal(size=50)}
    axes = charts.histogram({"a": values["a"]}, "Sizes", "pixels")
    heights = axes.patches[0].get_path().vertices[:, 1]
    counts = np.histogram(values["a"], bins=40)[0]
    assert heights.max() == counts.max()
    both = charts.histogram(values, "Sizes", "pixels")
    assert both.get_legend_handles_labels()[1] == ["a", "b"]
    edges = np.histogram_bin_edges(np.concatenate(list(values.values())), 40)
    for drawn, each in zip(both.patches, values.values(), strict=True):
        shares = np.histogram(each, edges)[0] / len(each)
        assert drawn.get_path().vertices[:, 1].max() == pytest.approx(shares.max())
    assert both.get_ylabel() == "share of each group's images"


def test_scatter_puts_points_where_they_are():
    points, labels = GENERATOR.normal(size=(9, 2)), np.array([0, 1, 2] * 3)
    axes = charts.scatter(points, labels, "abc", "Points")
    for label, drawn in enumerate(axes.collections):
        np.testing.assert_allclose(drawn.get_offsets(), points[labels == label])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b", "c"]
    assert charts.scatter(points, labels, MANY, "Points").get_legend() is None


def test_scatter_styles_do_not_repeat_before_they_must():
    labels = np.arange(40)
    axes = charts.scatter(GENERATOR.normal(size=(40, 2)), labels, MANY[:40], "Points")
    styles = {
        (tuple(drawn.get_facecolor()[0]), drawn.get_paths()[0].vertices.tobytes())
        for drawn in axes.collections
    }
    assert len(styles) == 40
    colors = {tuple(drawn.get_facecolor()[0]) for drawn in axes.collections[:10]}
    assert len(colors) == 10
    # The line round a marker is seen on white, whatever is in it: a contrast of at least 3.
    lines = np.concatenate([drawn.get_edgecolor() for drawn in axes.collections])[:, :3]
    light = np.where(lines <= 0.04045, lines / 12.92, ((lines + 0.055) / 1.055) ** 2.4)
    assert (1.05 / (light @ [0.2126, 0.7152, 0.0722] + 0.05) >= 3).all()


@pytest.mark.parametrize("count", [1, 2, 10, 24])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_map_of_pictures_names_its_classes(count, channels):
    """The names stand apart, also where all classes lie on each other."""
    labels = np.repeat(np.arange(count), 2)
    images = GENERATOR.integers(0, 256, (len(labels), 40, 30, channels)).astype("uint8")
    names = [f"class {number}" for number in range(count)]
    axes = charts.scatter(np.zeros((len(labels), 2)), labels, names, "Map", images=images)
    assert len(axes.artists) == len(labels)
    assert [text.get_text() for text in axes.texts] == names
    points = GENERATOR.normal(0, 0.01, (len(labels), 2)) + (labels[:, None] == 0) * 3
    axes = charts.scatter(points, labels, names, "Map", images=images)
    places = sorted(text.get_position()[1] for text in axes.texts[1:])
    if count > 2:
        assert np.diff(places).min() > 0.04 * np.ptp(points[:, 1])
    assert png(axes).startswith(b"\x89PNG")


def test_lines():
    axes = charts.lines(
        {"a": ([1, 10], [3, 4]), "b": (range(1, 50), range(1, 50))},
        "Loss",
        ("learning rate", "loss, nats"),
        logarithmic=True,
    )
    assert axes.lines[0].get_xydata().tolist() == [[1, 3], [10, 4]]
    assert axes.get_xscale() == "log"
    assert axes.lines[0].get_marker() != "None"
    assert axes.lines[1].get_marker() == "None"
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == 2
