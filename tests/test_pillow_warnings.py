"""Pillow's warnings are heard by the thread they belong to, and by nobody else."""

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from imgclf_lib.pillow_warnings import collect_warnings


def warn_as(module: str, text: str) -> None:
    """Warn from a file of Pillow."""
    category, file = UserWarning, f"/somewhere/PIL/{module}.py"
    warnings.warn_explicit(text, category, file, 1, f"PIL.{module}", {})


def test_what_pillow_says_is_collected_and_not_shown():
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with collect_warnings() as heard:
            warn_as("PngImagePlugin", "odd")
            warn_as("PngImagePlugin", "odd")
            warn_as("TiffImagePlugin", "Corrupt EXIF data")
        assert heard == ["odd", "damaged metadata"]
        assert shown == []
        warn_as("PngImagePlugin", "after")
        assert [str(each.message) for each in shown] == ["after"]


def test_other_warnings_go_on():
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with collect_warnings() as heard:
            warnings.warn("not of Pillow", UserWarning, stacklevel=1)
    assert heard == []
    assert [str(each.message) for each in shown] == ["not of Pillow"]


def test_filters_are_as_before():
    before = (list(warnings.filters), warnings.showwarning)
    with collect_warnings(), collect_warnings():
        pass
    with pytest.raises(ValueError, match="it"), collect_warnings():
        raise ValueError("it")
    assert (list(warnings.filters), warnings.showwarning) == before


def test_a_bomb_stops_the_decoding():
    with collect_warnings(), pytest.raises(Image.DecompressionBombWarning):
        warnings.warn_explicit(
            "large", Image.DecompressionBombWarning, "/x/PIL/Image.py", 1, "PIL.Image", {}
        )


def test_threads_hear_their_own():
    """They enter and leave in every order; nothing is shown, and nothing is left behind."""
    before = (list(warnings.filters), warnings.showwarning)
    gate = threading.Barrier(4)

    def work(number: int) -> list[str]:
        gate.wait()
        said = []
        for turn in range(200):
            with collect_warnings() as heard:
                warn_as("PngImagePlugin", f"{number}-{turn}")
            said += heard
        return said

    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(work, range(4)))
    assert shown == []
    assert results == [[f"{number}-{turn}" for turn in range(200)] for number in range(4)]
    assert (list(warnings.filters), warnings.showwarning) == before
