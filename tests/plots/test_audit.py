"""Figures of an audit: they show what the tables say, whatever the names are."""

import numpy as np
import pandas as pd
import pytest

from imgclf_lib.audit import count_findings
from imgclf_lib.audit.findings import make_findings, sort_findings
from imgclf_lib.plots import (
    PALETTE,
    class_bars,
    finding_bars,
    measure_histograms,
    pair_grid,
    png,
    size_scatter,
)

NOTHING = sort_findings([])


def table(count: int = 40, split: str = "", classes: int = 2) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    labels = [f"$c_{number % classes}$" for number in range(count)]
    return pd.DataFrame(
        {
            "path": [f"{label}/{number}.jpg" for number, label in enumerate(labels)],
            "label": labels,
            "split": split,
            "width": generator.integers(100, 300, count),
            "height": generator.integers(100, 200, count),
            "brightness": generator.normal(120, 20, count),
            "sharpness": 10 ** generator.normal(2, 0.3, count),
            "problem": "",
        }
    )


def test_findings_have_bars_in_the_colour_of_their_severity():
    parts = [
        make_findings("damaged", ["a", "b"], ["", ""]),
        make_findings("near-duplicate", ["c"] * 3000, [""] * 3000),
    ]
    axes = finding_bars(count_findings(sort_findings(parts)), "Findings")
    assert [text.get_text() for text in axes.get_yticklabels()] == ["damaged", "near-duplicate"]
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == [2, 3000]
    assert axes.patches[0].get_facecolor() != axes.patches[1].get_facecolor()
    assert axes.patches[0].get_hatch() != axes.patches[1].get_hatch()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["error", "remark"]
    assert axes.get_xscale() == "log"
    assert png(axes)
    assert png(finding_bars(count_findings(NOTHING), "None"))


def test_classes_are_stacked_by_split_and_sorted_by_size():
    files = pd.concat([table(30, "train", 3), table(9, "test", 2)], ignore_index=True)
    files.loc[0, "problem"] = "damaged"
    axes = class_bars(files, "Classes")
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == [r"\$c_0\$", r"\$c_1\$", r"\$c_2\$"]
    assert [bar.get_width() for bar in axes.patches] == [9, 10, 10, 5, 4, 0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["train", "test"]
    assert axes.get_xlabel() == "images"
    assert png(axes)


@pytest.mark.parametrize("classes", [1, 200])
def test_classes_one_or_many(classes):
    assert png(class_bars(table(400, "", classes), "Classes"))
    assert png(class_bars(table(0), "Classes"))


def test_odd_sizes_are_marked():
    files = table()
    files.loc[3, ["width", "height"]] = [3000, 2000]
    files.loc[4, ["width", "height"]] = [900, 50]
    odd = sort_findings(
        [
            make_findings("odd size", [files.loc[3, "path"]], [""]),
            make_findings("odd shape", [files.loc[4, "path"]], [""]),
        ]
    )
    axes = size_scatter(files, odd, "Sizes")
    usual, size, shape = axes.collections
    assert len(usual.get_offsets()) == len(files)
    assert size.get_offsets().tolist() == [[3000, 2000]]
    assert shape.get_offsets().tolist() == [[900, 50]]
    assert axes.get_xlabel() == "width (pixels)"
    assert png(axes)
    assert png(size_scatter(table().assign(width=32, height=32), NOTHING, "All equal"))
    assert png(size_scatter(table(0), NOTHING, "None"))


def test_measures_mark_what_stands_out():
    files = table()
    files.loc[5, "brightness"], files.loc[6, "sharpness"] = 1.0, 0.0
    odd = sort_findings(
        [
            make_findings("very dark", [files.loc[5, "path"]], [""]),
            make_findings("nearly constant", [files.loc[6, "path"]], [""]),
        ]
    )
    figure = measure_histograms(files, odd, "Measures")
    light, sharp = figure.axes
    assert light.collections[0].get_offsets()[0][0] == 1
    assert sharp.collections[0].get_offsets()[0][0] == pytest.approx(0.1)
    assert sharp.get_xscale() == "log"
    assert sum(bar.get_height() for bar in light.patches) == len(files)
    assert sum(bar.get_height() for bar in sharp.patches) == len(files)
    assert png(figure)
    assert png(measure_histograms(table().assign(brightness=np.nan, sharpness=np.nan), NOTHING, ""))
    assert png(measure_histograms(table(0), NOTHING, "None"))


@pytest.mark.parametrize("channels", [1, 3])
def test_pairs_stand_side_by_side(channels):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (8, 12, 12, channels), "uint8")
    pairs = [(images[2 * n], images[2 * n + 1]) for n in range(4)]
    figure = pair_grid(pairs, ["$a$\nb"] * 4, "Pairs")
    assert len(figure.axes) == 6
    shown = np.asarray(figure.axes[3].images[0].get_array()).reshape(12, 25, channels)
    np.testing.assert_array_equal(shown[:, :12], images[6])
    np.testing.assert_array_equal(shown[:, 13:], images[7])
    assert figure.axes[0].get_title() == "\\$a\\$\nb"
    assert not figure.axes[5].images
    assert png(figure)
    assert png(pair_grid([], [], "None"))


def test_colours_are_those_of_the_palette():
    axes = class_bars(table(), "Classes")
    assert axes.patches[0].get_facecolor()[:3] == pytest.approx(
        [int(PALETTE[0][place : place + 2], 16) / 255 for place in (1, 3, 5)]
    )
