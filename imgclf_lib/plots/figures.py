"""New figures, the palette, text that can be drawn, and showing a figure with its description."""

import base64
import io
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cache
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

# Okabe and Ito (2008): told apart by people with any kind of colour vision; grey and wine make ten.
PALETTE = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"),
    *("#8C8C8C", "#661144", "#F0E442"),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DOTS_PER_INCH = 100
NOTHING = "\u200b"  # a space without width
MOST_COLORS = 1000  # a drawing of more colours holds colour photographs, and keeps them all
# What to look for where a text's own font has no letter: Matplotlib's fonts lack East and South
# Asia and most emoji, and those of Linux, macOS and Windows have them under these names.
FAMILIES = (
    *("DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Noto Sans JP"),
    *("Noto Sans KR", "Source Han Sans SC", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei"),
    *("Droid Sans Fallback", "IPAexGothic", "NanumGothic", "UnDotum", "PingFang SC", "PingFang HK"),
    *("Hiragino Sans", "Hiragino Sans GB", "Heiti TC", "Apple SD Gothic Neo", "AppleGothic"),
    *("Microsoft YaHei", "SimHei", "Yu Gothic", "MS Gothic", "Malgun Gothic", "Nirmala UI"),
    *("Leelawadee UI", "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil"),
    *("Noto Sans Telugu", "Noto Sans Thai", "Lohit Devanagari", "Lohit Tamil", "Loma"),
    *("Kohinoor Devanagari", "Devanagari MT", "Tamil MN", "Thonburi", "Arial Unicode MS"),
    *("Noto Sans Symbols 2", "Noto Emoji", "Segoe UI Emoji", "Segoe UI Symbol", "Symbola"),
    *("FreeSans", "Unifont"),
)
# What turns the rest of a line round: it must not scramble the words beside a name.
DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def new_figure(width: float = 7.0, height: float = 4.0) -> Figure:
    """An empty figure that no global state knows of.

    Args:
        width: Width in inches.
        height: Height in inches.

    Returns:
        A Matplotlib figure with a constrained layout.
    """
    return Figure((width, height), layout="constrained")


def new_axes(width: float = 7.0, height: float = 4.0) -> Axes:
    """Axes alone in a new figure.

    Args:
        width: Width in inches.
        height: Height in inches.

    Returns:
        Matplotlib axes; their figure is ``axes.figure``.
    """
    return new_figure(width, height).subplots()


def plain(text: object, longest: int = 40) -> str:
    """Text that Matplotlib draws as it is, dollar signs and all.

    Args:
        text: Anything; class names and file names are not to be trusted.
        longest: Columns that are kept of each line.

    Returns:
        The text without Matplotlib's mark-up.
    """
    lines = str(text).replace("\r", " ").split("\n")
    short = "\n".join(cut(_readable(line), longest) for line in lines).replace("$", r"\$")
    return f"{NOTHING}{short}" if short.startswith("_") else short  # else no legend shows it


def short_names(names: Iterable[object], longest: int = 40) -> list[str]:
    """Names for a picture: of one line, readable, short, and as different as they were.

    Args:
        names: Names of classes or the like; an equal name has an equal short one.
        longest: Columns that are kept of each.

    Returns:
        A text for each. Those that would look equal lose their middle, or get a number.
    """
    given = [str(name) for name in names]
    lines = {name: " ".join(_readable(name.replace("\n", " ")).split()) for name in given}
    short = {name: cut(line, longest) for name, line in lines.items()}
    for name in _alike(short):
        short[name] = cut(lines[name], longest, keep_end=True)
    for number, name in enumerate(_alike(short), 1):
        mark = f" ({number})"
        short[name] = cut(lines[name], longest - len(mark)) + mark
    return [short[name] for name in given]


def png(drawing: Axes | Figure) -> bytes:
    """A drawing as a small PNG file.

    Args:
        drawing: Axes or a figure.

    Returns:
        The bytes of the file.
    """
    figure = drawing if isinstance(drawing, Figure) else drawing.get_figure(root=True)
    assert figure is not None
    _fit_text(figure)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DOTS_PER_INCH)
    image = Image.open(drawn).convert("RGB")
    if image.getcolors(MOST_COLORS):  # lines, bars, grey images: a palette loses nothing to see
        image = image.quantize(256, dither=Image.Dither.NONE)
    packed = io.BytesIO()
    image.save(packed, format="PNG", optimize=True)
    return packed.getvalue()


def show(drawing: Axes | Figure, alt: str) -> None:
    """Show a drawing below the notebook cell, with text for people who cannot see it.

    Args:
        drawing: Axes or a figure.
        alt: What the picture shows, in a sentence or two.
    """
    from IPython.display import display

    bundle, metadata = mime_bundle(drawing, alt)
    display(bundle, raw=True, metadata=metadata)


def mime_bundle(drawing: Axes | Figure, alt: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A drawing as notebooks show it: HTML with its text, the picture for other readers, the text.

    JupyterLab leaves the alternative text of a bare PNG out, and GitHub the pictures of HTML.

    Args:
        drawing: Axes or a figure.
        alt: What the picture shows, in a sentence or two.

    Returns:
        Content by MIME type (``text/html``, ``image/png``, ``text/plain``), and metadata.
    """
    content = png(drawing)
    source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    markup = f'<img src="{source}" alt="{escape(alt)}" style="max-width: 100%">'
    bundle = {"text/html": markup, "image/png": content, "text/plain": alt}
    return bundle, {"image/png": {"alt": alt}}


def save(drawing: Axes | Figure, path: "Path") -> None:
    """Write a drawing as a PNG file."""
    path.write_bytes(png(drawing))


def _fit_text(figure: Figure) -> None:
    """Give every text of a figure that needs it more fonts, and stand-ins for what none has."""
    texts = figure.findobj(Text)
    for axis in figure.findobj(Axis):
        if isinstance(axis.get_major_locator(), FixedLocator):  # texts are made anew when drawn
            labels = axis.get_ticklabels()
            written = [_readable(label.get_text()) for label in labels]
            if written != [label.get_text() for label in labels]:
                axis.set_ticklabels(written)
            texts += labels
    for text in texts:
        words = _readable(text.get_text())
        if words != text.get_text():
            text.set_text(words)
        if not words.isascii():
            text.set_fontfamily(list(dict.fromkeys([*text.get_fontfamily(), *_families()])))


def _readable(text: str) -> str:
    """Text in which all can be drawn; the rest becomes such as ``[cat face]`` or ``[U+732B]``."""
    if text.isascii() and text.isprintable():
        return text
    lines = text.replace("\r\n", "\n").replace("\t", " ")
    runs = groupby(lines, lambda each: each == "\n" or each in _drawable())
    return "".join("".join(run) if drawn else f"[{_stand_in(run)}]" for drawn, run in runs)


def _stand_in(characters: Iterable[str]) -> str:
    return " ".join(
        unicodedata.name(each, "").lower()
        if unicodedata.category(each)[0] == "S"
        else f"U+{ord(each):04X}"
        for each in characters
    )


@cache
def _families() -> tuple[str, ...]:
    """Those of the families that this machine has."""
    here = set(fontManager.get_font_names())
    return tuple(each for each in FAMILIES if each in here)


@cache
def _drawable() -> frozenset[str]:
    """Every character that one of the fonts has, and that does nothing to its neighbours."""
    paths = [findfont(FontProperties()), *map(findfont, _families())]
    known = {chr(code) for path in paths for code in get_font(path).get_charmap()}
    return frozenset(
        each for each in known - DIRECTIONS if unicodedata.category(each) not in ("Cc", "Cs")
    )


def _alike(short: dict[str, str]) -> list[str]:
    """Those of the names whose short forms look like another's."""
    looks = {name: unicodedata.normalize("NFC", each) for name, each in short.items()}
    often = Counter(looks.values())
    return [name for name, look in looks.items() if often[look] > 1]


def cut(text: str, longest: int, keep_end: bool = False) -> str:
    """One line, shortened to so many columns; letters of East Asia take two, marks none.

    Args:
        text: The line.
        longest: Columns that there are.
        keep_end: Cut out the middle, and not the end.

    Returns:
        The line, with "…" where something is missing.
    """
    if _width(text) <= longest:
        return text
    room = longest - 1
    end = _head(text[::-1], room // 2)[::-1] if keep_end else ""
    return _head(text, room - _width(end)) + "…" + end


def _width(text: str) -> int:
    return sum(
        0
        if unicodedata.category(each) in ("Mn", "Me", "Cf")
        else 1 + (unicodedata.east_asian_width(each) in "WF")
        for each in text
    )


def _head(text: str, room: int) -> str:
    """As much of the beginning as has room."""
    kept = 0
    for each in text:
        room -= _width(each)
        if room < 0:
            break
        kept += 1
    return text[:kept]
