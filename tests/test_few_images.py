"""The whole course on a folder of few images, as a learner has it: exercises unanswered."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image


@pytest.mark.course
def test_the_course_can_be_about_thirty_easy_images(tmp_path: Path) -> None:
    """Two classes with odd names, an empty file, and a network that makes no mistake."""
    generator = np.random.default_rng(0)
    for name, brightness in (("<b>dark<b> & co", 60), ("light $x$", 190)):
        place = tmp_path / "few" / name
        place.mkdir(parents=True)
        for number in range(15):
            pixels = generator.normal(brightness, 30, (30, 40, 3)).clip(0, 255).astype("uint8")
            Image.fromarray(pixels).save(place / f"{number}.png")
    (place / "empty.jpg").touch()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "imgclf_lib", "run", "--data", str(tmp_path / "few")),
            *("--out", str(tmp_path / "report")),
        ],
        env={**os.environ, "IMGCLF_MODELS": str(tmp_path / "models")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    results = pd.read_csv(tmp_path / "report" / "results.csv").set_index("notebook")
    assert results.loc["05_evaluate", "test_accuracy"] == 1
    assert results.loc["08_your_own_images", ["files", "rejected"]].tolist() == [31, 1]
    for page in (tmp_path / "report").rglob("*.html"):
        assert "<b>dark<" not in page.read_text(), page
