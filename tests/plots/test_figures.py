"""Figures: no global state, names in any script drawn without a warning, alternative text."""

import base64
import copy
import html.parser
import io
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import IPython.display
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.text import Text
from PIL import Image

from imgclf_lib.plots import (
    charts,
    cut,
    evaluation,
    figures,
    new_figure,
    plain,
    png,
    short_names,
    training,
)
from imgclf_lib.plots.figures import _fit_text, _readable

NAMES = (
    *("猫", "ねこ", "고양이", "кошка", "γάτα", "قطة", "חתול", "बिल्ली", "แมว", "கீற்று"),
    *(
        "🐈",
        "👩‍🔬 at work",
        "e\u0301te\u0301",
        "a\u202egnp.exe",
        "a\x07b",
        "tab\tbed",
        "two\nlines",
    ),
    *(
        "$x_1$",
        "_hidden",
        "100 %",
        r"\frac{1}{2}",
        "<b>bold</b>",
        "a & b",
        "\"'`",
        "\ue000",
        "\uffff",
    ),
    *("Cat", "cat", "n" * 90, "n" * 90 + "1", "n" * 90 + "2"),
)
MADE = "Imgclf Test"  # a family that no machine has


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


def test_alternative_text_is_in_every_form_of_a_figure(monkeypatch):
    shown = []
    monkeypatch.setattr(IPython.display, "display", lambda *what, **how: shown.append((what, how)))
    axes, alt = figures.new_axes(), """A "line" <that> rises & 'falls'."""
    assert figures.show(axes, alt=alt) is None
    [((bundle,), how)] = shown
    content = bundle["image/png"]
    assert content == figures.png(axes)
    assert bundle["text/plain"] == alt
    assert how == {"raw": True, "metadata": {"image/png": {"alt": alt}}}
    [(tag, attributes)] = tags_of(bundle["text/html"])
    assert (tag, attributes["alt"]) == ("img", alt)
    assert attributes["style"] == "max-width: 100%", "as large as it is, if there is room"
    kind, _, packed = attributes["src"].partition(",")
    assert (kind, base64.b64decode(packed)) == ("data:image/png;base64", content)
    assert set(bundle) == {"text/html", "image/png", "text/plain"}


def tags_of(markup: str) -> list[tuple[str, dict[str, str | None]]]:
    """The tags of HTML in order, each with its attributes."""
    found = []
    reader = html.parser.HTMLParser()
    reader.handle_starttag = lambda tag, given: found.append((tag, dict(given)))
    reader.feed(markup)
    return found


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
    assert len(set(figures.PALETTE)) == 10  # as many as most data sets have classes
    assert len(set(figures.MARKERS)) == 8
    assert all(mpl.colors.is_color_like(color) for color in figures.PALETTE)


@pytest.fixture(params=["fonts of this machine", "only the fonts of Matplotlib"])
def fonts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if request.param.startswith("only"):
        only_dejavu(monkeypatch)
    yield
    forget()


def only_dejavu(monkeypatch: pytest.MonkeyPatch) -> None:
    own = [each for each in fontManager.ttflist if each.name == "DejaVu Sans"]
    monkeypatch.setattr(fontManager, "ttflist", own)
    forget()


def forget() -> None:
    for each in (figures._families, figures._drawable):
        each.cache_clear()


def make_font(path: Path, characters: str) -> Path:
    """A real font in which every character is a filled square."""
    pen = TTGlyphPen(None)
    corners = [(0, 0), (0, 700), (700, 700), (700, 0)]
    pen.moveTo(corners[0])
    for corner in corners[1:]:
        pen.lineTo(corner)
    pen.closePath()
    square, order = pen.glyph(), [".notdef", *(f"uni{ord(each):04X}" for each in characters)]
    font = FontBuilder(1000)
    font.setupGlyphOrder(order)
    font.setupCharacterMap({ord(each): f"uni{ord(each):04X}" for each in characters})
    font.setupGlyf(dict.fromkeys(order, square))
    font.setupHorizontalMetrics(dict.fromkeys(order, (800, 0)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": MADE, "styleName": "Regular"})
    font.setupOS2(usWeightClass=400)
    font.setupPost()
    font.save(path)
    return path


def every_picture() -> list:
    count = len(NAMES)
    numbers = np.eye(count, dtype=int)
    image = np.zeros((8, 8, 3), "uint8")
    table = pd.DataFrame(
        {"epoch": [1], "loss": [1], "accuracy": [1], "val_loss": [1], "val_accuracy": [1]}
    )
    return [
        charts.bars(dict.fromkeys(NAMES, 3.5), NAMES[0], NAMES[1]),
        charts.histogram({name: np.arange(9) for name in NAMES[:9]}, "Histogram", "pixels"),
        charts.scatter(np.zeros((count, 2)), np.arange(count), NAMES, "Scatter"),
        charts.scatter(np.zeros((24, 2)), np.arange(24), NAMES[-24:], "Scatter"),
        charts.lines({name: ([1, 2], [3, 4]) for name in NAMES[-9:]}, "Lines", ("x", "y")),
        charts.image_grid(
            [image] * count,
            [f"is {name}\nsaid {name}" for name in NAMES],
            title="🐈",
            rows=NAMES[:4],
        ),
        evaluation.confusion_matrix(numbers, NAMES, "猫"),
        training.learning_curves(dict.fromkeys(NAMES[:4], table), "고양이"),
        evaluation.prediction(image, image, pd.Series(np.ones(count), list(NAMES)), "🐈"),
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("fonts")
def test_no_picture_warns_of_any_name() -> None:
    """Warnings are errors here: a missing glyph is one."""
    for drawing in every_picture():
        assert png(drawing).startswith(b"\x89PNG")


@pytest.mark.usefixtures("fonts")
def test_texts_that_were_not_prepared_are_drawn_too() -> None:
    figure = new_figure()
    axes = figure.subplots()
    axes.set(title="猫", xlabel="🐈", xticks=[0, 1])
    axes.set_xticklabels(["고양이", "\x07"], rotation=30)
    axes.annotate("बिल्ली", (0, 0))
    figure.supylabel("\udc80")
    first = png(figure)
    assert png(figure) == first, "drawing again changes nothing"


def test_stand_ins_where_no_font_has_a_character(monkeypatch: pytest.MonkeyPatch) -> None:
    only_dejavu(monkeypatch)
    wanted = {
        "猫": "[U+732B]",
        "猫犬 und Maus": "[U+732B U+72AC] und Maus",
        "cat猫": "cat[U+732B]",
        "ねこ": "[U+306D U+3053]",
        "고양이": "[U+ACE0 U+C591 U+C774]",
        "🐈": "[cat]",
        "a\x07b": "a[U+0007]b",
        "a\u202eb": "a[U+202E]b",
        "\udc80": "[U+DC80]",
        "tab\tbed": "tab bed",
        "two\nlines": "two\nlines",
    }
    assert {text: _readable(text) for text in wanted} == wanted
    for text in ("кошка", "γάτα", "قطة", "חתול", "e\u0301", "größe", "✓ €", "$x_1$", "<b>"):
        assert _readable(text) == text
    for text in NAMES:
        assert _readable(_readable(text)) == _readable(text)
    forget()


def test_a_font_that_has_the_character_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    only_dejavu(monkeypatch)
    alone = png(one_text("猫 cat"))
    made = copy.copy(fontManager)
    made.ttflist = list(fontManager.ttflist)
    made.addfont(make_font(tmp_path / "made.ttf", "猫"))
    monkeypatch.setattr(figures, "FAMILIES", (*figures.FAMILIES, MADE))
    monkeypatch.setattr(fontManager, "ttflist", made.ttflist)
    forget()
    assert _readable("猫 cat") == "猫 cat"
    figure = one_text("猫 cat")
    _fit_text(figure)
    (text,) = figure.findobj(Text)
    assert text.get_fontfamily() == ["sans-serif", "DejaVu Sans", MADE]
    assert png(figure) != alone
    forget()


def one_text(words: str) -> Figure:
    figure = new_figure(3, 1)
    figure.text(0.1, 0.4, words)
    return figure


@pytest.mark.usefixtures("fonts")
@pytest.mark.parametrize("longest", [6, 12, 40])
def test_short_names_are_as_different_as_the_names(longest: int) -> None:
    short = short_names(NAMES, longest)
    assert len(set(short)) == len({unicodedata.normalize("NFC", each) for each in short})
    assert len(set(short)) == len(NAMES)
    assert not [each for each in short if "\n" in each]
    assert not [each for each in short if figures._width(each) > longest]


def test_short_names() -> None:
    assert short_names(["b", "a", "b", 3]) == ["b", "a", "b", "3"]
    assert short_names(["a long name of a cat", "a dog"], 12) == ["a long name…", "a dog"]
    both = short_names(["a long name of a cat", "a long name of a dog"], 12)
    assert both == ["a long… a cat", "a long… a dog"] or all(len(each) <= 12 for each in both)
    assert both[0] != both[1]
    equal = short_names(["begin " * 9 + "middle " + "end " * 9, "begin " * 9 + "end " * 9], 20)
    assert [each[-4:] for each in equal] == [" (1)", " (2)"]
    assert short_names(["\u00e9", "e\u0301"]) == ["\u00e9 (1)", "e\u0301 (2)"]
    assert short_names(["two\nlines", "two  lines"]) == ["two lines (1)", "two lines (2)"]
    assert short_names([]) == []


def test_cut_counts_columns() -> None:
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 6) == "abcde…"
    assert cut("abcdefg", 6, keep_end=True) == "abc…fg"
    assert cut("ねこねこ", 8) == "ねこねこ"
    assert cut("ねこねこ", 7) == "ねこね…"
    assert cut("e\u0301" * 6, 6) == "e\u0301" * 6


def test_a_name_with_an_underscore_has_its_line_in_the_legend() -> None:
    axes = charts.lines({"_a": ([1], [1]), "b": ([1], [2])}, "Lines", ("x", "y"))
    assert len(axes.get_legend().get_texts()) == 2
    assert plain("_a") != "_a"
    assert plain("a_") == "a_"
