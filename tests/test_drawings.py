"""Drawings take the manner of the images of a data set."""

import numpy as np
import pytest

from imgclf_lib.drawings import DRAWING, Manner, draw_strokes, manner_of


def things(ground, ink, extent, filled, channels=1):
    """Images with a square of this extent, as an area or as an outline."""
    size = 40
    images = np.full((5, size, size, channels), ground, "uint8")
    first = round(size * (1 - extent) / 2)
    inner = slice(first, size - first)
    images[:, inner, inner] = ink
    if not filled:
        hollow = slice(first + 2, size - first - 2)
        images[:, hollow, hollow] = ground
    return images


@pytest.mark.parametrize(("ground", "ink"), [(0, 255), (255, 0), (30, 160)])
@pytest.mark.parametrize(  # an area that fills the frame would be the background
    ("extent", "filled"), [(0.5, True), (0.5, False), (0.8, True), (0.8, False), (1.0, False)]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_manner_of_images(ground, ink, extent, filled, channels):
    images = things(ground, ink, extent, filled, channels)
    if extent < 1:
        assert manner_of(images) == Manner(ground < ink, extent, filled)
    assert manner_of(images).extent == extent or extent == 1


def test_the_manner_of_empty_images():
    assert manner_of(np.full((3, 8, 8, 1), 9, "uint8")) == Manner(True, 1.0, False)


LINE = [[0.1, 0.1], [0.1, 0.4]]
BOX = [[0.1, 0.1], [0.3, 0.1], [0.3, 0.3], [0.1, 0.3], [0.1, 0.1]]


@pytest.mark.parametrize("strokes", [[LINE], [BOX], [BOX, LINE], [[[0.9, 0.9]]]])
@pytest.mark.parametrize("manner", [Manner(True, 0.7, False), Manner(False, 0.7, True)])
def test_a_drawing_has_the_usual_size_and_stands_in_the_middle(strokes, manner):
    pixels = np.asarray(draw_strokes(strokes, manner))
    assert pixels.shape == (DRAWING, DRAWING)
    ink = pixels == (255 if manner.light_on_dark else 0)
    down, across = np.nonzero(ink)
    assert abs(down.mean() - DRAWING / 2) < 3
    assert abs(across.mean() - DRAWING / 2) < 3
    if len(strokes[0]) > 1:
        longer = max(np.ptp(down), np.ptp(across)) / DRAWING
        assert abs(longer - 0.7) < 0.02


def test_a_shape_is_filled_even_if_it_is_not_quite_closed():
    open_box = [BOX[:-1]]
    outline = np.asarray(draw_strokes(open_box, Manner(True, 0.8, False)))
    filled = np.asarray(draw_strokes(open_box, Manner(True, 0.8, True)))
    assert outline[DRAWING // 2, DRAWING // 2] == 0
    assert filled[DRAWING // 2, DRAWING // 2] == 255
    two = [[[0.2, 0.2], [0.8, 0.2], [0.8, 0.8]], [[0.2, 0.2], [0.2, 0.8], [0.8, 0.8]]]
    assert np.asarray(draw_strokes(two, Manner(True, 0.8, True)))[DRAWING // 2, DRAWING // 2]


def test_a_thicker_brush_leaves_more_ink():
    thin, thick = (
        np.asarray(draw_strokes([LINE], Manner(True, 0.8, False), brush)).mean()
        for brush in (0.03, 0.12)
    )
    assert thick > 2 * thin


def test_nothing_of_a_lopsided_drawing_is_cut_off():
    heavy = [*[[[0.1, 0.1 + step / 50], [0.2, 0.1 + step / 50]] for step in range(10)]]
    pixels = np.asarray(draw_strokes([*heavy, [[0.1, 0.1], [0.9, 0.9]]], Manner(True, 1.0, False)))
    down, across = np.nonzero(pixels)
    assert np.ptp(down) > 0.97 * DRAWING
    assert np.ptp(across) > 0.97 * DRAWING


def test_no_strokes_are_an_empty_picture():
    assert draw_strokes([], Manner(True, 1.0, True)).getextrema() == (0, 0)
    assert draw_strokes([[]], Manner(False, 1.0, True)).getextrema() == (255, 255)
