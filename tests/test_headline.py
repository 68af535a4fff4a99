"""The headline that people and the report read."""

import json

import IPython.display
import numpy as np

from imgclf_lib.headline import MIME_TYPE, headline


def test_a_headline_is_text_and_figures(monkeypatch):
    shown = []
    monkeypatch.setattr(IPython.display, "display", lambda *what, **how: shown.append((what, how)))
    headline("91 % of the images are right.", accuracy=np.float32(0.5), images=3)
    [((bundle,), how)] = shown
    assert how == {"raw": True}
    assert bundle["text/plain"] == "91 % of the images are right."
    assert bundle[MIME_TYPE] == {
        "sentence": "91 % of the images are right.",
        "figures": {"accuracy": 0.5, "images": 3.0},
    }
    json.dumps(bundle)
