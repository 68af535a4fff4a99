"""Text that can be drawn: fonts for every script, stand-ins for what no font has, short names."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cache

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontPath, FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator

# Fonts that hold boxes instead of letters, or letters in places of their own.
NO_TEXT = re.compile(r"Last Resort|cm[a-z]+\d+|STIXNonUnicode|STIXSize", re.IGNORECASE)
# What turns the rest of a line round: it must not scramble the words beside a name.
DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
SYLLABLE = re.compile(r"(?:HANGUL SYLLABLE|HIRAGANA LETTER|KATAKANA LETTER) (?:SMALL )?(\w+)")


def readable(text: str) -> str:
    """Text in which every character can be drawn; a stand-in shows the others.

    A stand-in is the sound of a syllable, the name of a symbol or the number of a character, in
    square brackets: ``[neko]``, ``[cat face]``, ``[U+732B]``.

    Args:
        text: Any text, also with control characters, and with lone surrogates.

    Returns:
        The same text if some font on this machine has all of it.
    """
    if text.isascii() and text.isprintable():
        return text
    pieces, lost = [], ""
    for character in [*text.replace("\r\n", "\n").replace("\t", " "), ""]:
        if character and character != "\n" and not _drawable(character):
            lost += character
            continue
        if lost:
            pieces.append(f"[{_stand_in(lost)}]")
            lost = ""
        pieces.append(character)
    return "".join(pieces)


def cut(text: str, longest: int, keep_end: bool = False) -> str:
    """One line of text, shortened with an ellipsis if it is long.

    Args:
        text: The line.
        longest: Columns that are kept; letters of East Asia take two, marks on a letter none.
        keep_end: Whether to leave out the middle instead of the end.

    Returns:
        The line, no wider than that.
    """
    if _width(text) <= longest:
        return text
    room = longest - 1
    end = _head(text[::-1], room // 2)[::-1] if keep_end else ""
    return _head(text, room - _width(end)) + "…" + end


def short_names(names: Iterable[object], longest: int = 40) -> list[str]:
    """Names for a picture: of one line, readable, short, and as different as they were.

    Args:
        names: Names of classes or the like; an equal name has an equal short one.
        longest: Columns that are kept of each.

    Returns:
        A text for each. Those that would look equal lose their middle, or get a number.
    """
    given = [str(name) for name in names]
    lines = {name: " ".join(readable(name.replace("\n", " ")).split()) for name in given}
    short = {name: cut(line, longest) for name, line in lines.items()}
    for name in _alike(short):
        short[name] = cut(lines[name], longest, keep_end=True)
    for number, name in enumerate(_alike(short), 1):
        mark = f" ({number})"
        short[name] = cut(lines[name], longest - len(mark)) + mark
    return [short[name] for name in given]


def fit_text(figure: Figure) -> None:
    """Give every text of a figure the fonts it needs, and stand-ins for what no font has.

    Args:
        figure: What is about to be drawn; its texts are changed.
    """
    for axis in figure.findobj(Axis):
        if isinstance(axis.get_major_locator(), FixedLocator):  # texts are made anew when drawn
            labels = axis.get_ticklabels()
            written = [readable(label.get_text()) for label in labels]
            if written != [label.get_text() for label in labels]:
                axis.set_ticklabels(written)
            for label in labels:
                _add_fonts(label, "".join(written))
    for text in figure.findobj(Text):
        words = readable(text.get_text())
        if words != text.get_text():
            text.set_text(words)
        _add_fonts(text, words)


def _add_fonts(text: Text, words: str) -> None:
    if words.isascii():
        return
    known = _characters(findfont(text.get_fontproperties()))
    needed = {_family(each) for each in words if ord(each) not in known and each != "\n"} - {""}
    if needed:
        families = text.get_fontfamily()
        text.set_fontfamily([*families, *sorted(needed - set(families))])


def _drawable(character: str) -> bool:
    if character in DIRECTIONS or unicodedata.category(character) in ("Cc", "Cs"):
        return False
    return ord(character) in _characters(findfont(FontProperties())) or bool(_family(character))


@cache
def _family(character: str) -> str:
    """The first family with this character; empty if there is none."""
    for family, path in _fonts().items():
        if ord(character) in _characters(path):
            return family
    return ""


@cache
def _fonts() -> dict[str, FontPath]:
    """Upright fonts of usual weight by their family, sans serif before others."""
    entries = [
        each
        for each in fontManager.ttflist
        if each.style == "normal" and each.weight == 400 and not NO_TEXT.match(each.name)
    ]
    entries.sort(key=lambda each: ("sans" not in each.name.lower(), each.name))
    return {each.name: FontPath(each.fname, each.index) for each in entries}


@cache
def _characters(path: str) -> frozenset[int]:
    try:
        return frozenset(get_font(path).get_charmap())
    except (OSError, RuntimeError):  # a font that was removed, or cannot be read, has none
        return frozenset()


def _stand_in(characters: str) -> str:
    names = [unicodedata.name(each, "") for each in characters]
    syllables = [SYLLABLE.fullmatch(name) for name in names]
    if all(syllables):
        return "".join(each[1].lower() for each in syllables if each)
    return " ".join(
        name.lower() if name and unicodedata.category(each)[0] == "S" else f"U+{ord(each):04X}"
        for each, name in zip(characters, names, strict=True)
    )


def _alike(short: dict[str, str]) -> list[str]:
    """Those of the names whose short forms look like another's."""
    looks = {name: unicodedata.normalize("NFC", each) for name, each in short.items()}
    often = Counter(looks.values())
    return [name for name, look in looks.items() if often[look] > 1]


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
