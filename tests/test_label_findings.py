"""Labels that look wrong become findings and cautious suggestions; the test stays closed."""

import numpy as np
import pytest
from PIL import Image

from imgclf_lib.audit import audit, suggest_fixes
from imgclf_lib.data import load_data
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment


def test_wrong_labels_are_found_outside_the_test(tmp_path):
    folder, generator = tmp_path / "tones", np.random.default_rng(0)
    for number, label in enumerate(("dark", "light")):
        (folder / label).mkdir(parents=True)
        for place in range(250):
            tone = 60 + 140 * (number ^ (label == "light" and place < 9))
            coarse = Image.fromarray(
                generator.normal(tone, 30, (4, 4)).clip(0, 255).astype("uint8")
            )
            pixels = np.asarray(coarse.resize((16, 16), Image.Resampling.BICUBIC))
            name = "was dark" if tone == 60 and number else "good"
            Image.fromarray(pixels).save(folder / label / f"{name} {place}.png")
    said = audit(Experiment(data=str(folder)), label_errors=True)
    table = load_data(Experiment(data=str(folder))).table.set_index("path")
    found = said.findings[said.findings["problem"] == "likely label error"]
    wrong = {
        path for path in table.index if "was dark" in path and table.loc[path, "split"] != "test"
    }
    assert len(wrong) > 4
    assert set(found["path"]) <= wrong
    assert len(found) >= 3  # careful: it names the surest
    assert set(found["label"]) == {"dark"}
    assert set(found["action"]) == {"relabel"}
    assert "labelled 'light', looks like 'dark'" in found["detail"].iloc[0]
    fixes = suggest_fixes(said).set_index("path")
    chosen = fixes.loc[found["path"], ["action", "label"]]
    assert chosen.drop_duplicates().to_numpy().tolist() == [["keep", "dark"]]


def test_too_few_images_are_refused(make_images, tmp_path):
    folder = make_images(tmp_path / "few", {"rows": 3, "blob": 3})
    with pytest.raises(InputError, match="few"):
        audit(Experiment(data=str(folder)), label_errors=True)
