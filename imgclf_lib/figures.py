"""New figures, the palette, and showing a figure with its alternative text."""

import io
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from imgclf_lib.glyphs import cut, fit_text, readable

if TYPE_CHECKING:
    from pathlib import Path

# Okabe and Ito (2008): told apart by people with any kind of colour vision.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DOTS_PER_INCH = 100
NOTHING = "\u200b"  # a space without width
MOST_COLORS = 1000  # a drawing of more colours holds colour photographs, and keeps them all


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
    short = "\n".join(cut(readable(line), longest) for line in lines).replace("$", r"\$")
    return f"{NOTHING}{short}" if short.startswith("_") else short  # else no legend shows it


def png(drawing: Axes | Figure) -> bytes:
    """A drawing as a small PNG file.

    Args:
        drawing: Axes or a figure.

    Returns:
        The bytes of the file.
    """
    figure = drawing if isinstance(drawing, Figure) else drawing.get_figure(root=True)
    assert figure is not None
    fit_text(figure)
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

    bundle = {"image/png": png(drawing), "text/plain": alt}
    display(bundle, raw=True, metadata={"image/png": {"alt": alt}})


def save(drawing: Axes | Figure, path: "Path") -> None:
    """Write a drawing as a PNG file.

    Args:
        drawing: Axes or a figure.
        path: Where to.
    """
    path.write_bytes(png(drawing))
