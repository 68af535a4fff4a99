"""Figures: no global state, names drawn as they are, alternative text."""

import io

import IPython.display
import matplotlib as mpl
import pytest
from PIL import Image

from imgclf_lib import figures


def test_figures_belong_to_no_global_state():
    axes = figures.new_axes(3, 2)
    assert axes.figure.get_size_inches().tolist() == [3, 2]
    assert axes.figure.canvas.manager is None


def test_png_has_the_size_asked_for():
    picture = Image.open(io.BytesIO(figures.png(figures.new_axes(3, 2))))
    assert picture.size == (3 * figures.DOTS_PER_INCH, 2 * figures.DOTS_PER_INCH)
    figure = figures.new_figure(2, 1)
    inside = figure.subfigures(1, 2)[0].subplots()
    assert figures.png(inside) == figures.png(figure), "axes stand for their whole figure"


def test_equal_drawings_are_equal_files():
    assert figures.png(figures.new_axes()) == figures.png(figures.new_axes())


def test_alternative_text_is_in_the_metadata(monkeypatch):
    shown = []
    monkeypatch.setattr(IPython.display, "display", lambda *what, **how: shown.append((what, how)))
    axes = figures.new_axes()
    assert figures.show(axes, alt="A line that rises.") is None
    [(what, how)] = shown
    (bundle,) = what
    assert bundle == {"image/png": figures.png(axes), "text/plain": "A line that rises."}
    assert how == {"raw": True, "metadata": {"image/png": {"alt": "A line that rises."}}}


def test_save(tmp_path):
    axes = figures.new_axes()
    figures.save(axes, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == figures.png(axes)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("plain", "plain"),
        (3, "3"),
        ("$x_1$", r"\$x_1\$"),
        ("<b>&", "<b>&"),
        ("a" * 40, "a" * 40),
        ("a" * 41, "a" * 39 + "…"),
    ],
)
def test_plain(text, wanted):
    assert figures.plain(text) == wanted


@pytest.mark.parametrize("text", ["$", "$$", "$x_1$", "\\frac", "a_b^c", "<b>", "%", "{}", "#", ""])
def test_plain_text_is_drawn_letter_by_letter(text):
    """The same picture as with mathematics switched off."""
    pictures = []
    for shown, mathematics in ((figures.plain(text), True), (text, False)):
        figure = figures.new_figure(3, 1)
        figure.text(0.1, 0.5, shown, parse_math=mathematics)
        pictures.append(figures.png(figure))
    assert pictures[0] == pictures[1]


def test_the_palette_is_told_apart():
    assert len(set(figures.PALETTE)) == len(set(figures.MARKERS)) == 8
    assert all(mpl.colors.is_color_like(color) for color in figures.PALETTE)
