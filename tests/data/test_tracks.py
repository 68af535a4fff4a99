"""Frames of films and bursts are told by their names, where no hash finds them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from imgclf_lib.audit import audit, audit_json
from imgclf_lib.data import inspect_data, load_data, look_for_tracks
from imgclf_lib.experiment import Experiment

FRAMES, TRACKS = 10, 5
STEPS = (0, 1, 2, 18, 24, 30, 36, 42, 44, 48)  # pixels by which the camera has moved


def scene(generator: np.random.Generator) -> np.ndarray:
    """A random picture with large and small shapes, like no other."""
    pixels = np.zeros((96, 96))
    for size in (12, 6, 3, 1.5):
        layer = gaussian_filter(generator.normal(size=pixels.shape), size)
        pixels += layer / layer.std() * size**0.7
    return (128 + 50 * (pixels - pixels.mean()) / pixels.std()).clip(0, 255).astype("uint8")


def film(folder: Path, name: str, steps=range(0, 4 * FRAMES, 4), still: bool = True) -> str:
    """Tracks of two classes; if not ``still``, every picture shows another scene."""
    generator = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for track in range(TRACKS):
            view = scene(generator)
            for frame, step in enumerate(steps):
                view = view if still else scene(generator)
                number = track * len(steps) + frame
                path = folder / label / name.format(track=track, frame=frame, number=number)
                path.parent.mkdir(exist_ok=True)
                Image.fromarray(view[:48, step : step + 48]).save(path)
    return str(folder)


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("track{track}_frame{frame:03d}.png", 2 * TRACKS),
        ("{track:05d}_{frame:05d}.png", 2 * TRACKS),
        ("cam 3-day {track}-{frame}.png", 2 * TRACKS),
        ("clip.{track}.{frame}.png", 2 * TRACKS),
        ("clip{track}/{frame}.png", 2 * TRACKS),
        ("run{track}f{frame:02d}x.png", 2 * TRACKS),
        ("{frame:03d}_scene{track}.png", TRACKS),  # one pattern, and no folder in it
        ("{number:05d}.png", 2 * TRACKS),  # tracks of ten in one film
    ],
)
def test_a_pattern_is_found_and_keeps_tracks_together(tmp_path, name, groups, capsys):
    experiment = Experiment(data=film(tmp_path / "films", name), image_size=32)
    found = look_for_tracks(inspect_data(experiment))
    assert found is not None
    data = load_data(experiment.replace(group=found.pattern))
    used = data.table[data.table["split"] != ""]
    assert used["group"].nunique() == groups
    assert (used.groupby(["label", "group"])["split"].nunique() == 1).all()
    assert "--group" not in capsys.readouterr().err, "who gives groups is not asked for them"
    assert f"{len(used)} of {len(used)} images" in found.detail


def test_bursts_among_other_pictures_are_found_by_their_near_duplicates(tmp_path):
    film(tmp_path, "DSC_burst{track}_{frame:03d}.jpg", STEPS[:6])
    film(tmp_path, "IMG_9{number:04d}7.jpg", range(20), still=False)
    found = look_for_tracks(inspect_data(Experiment(data=str(tmp_path))))
    assert found is not None
    assert "pairs of near-duplicates" in found.detail
    assert "60 of 260 images" in found.detail
    assert "'cat/DSC_burst0'" in found.detail


@pytest.mark.parametrize("name", ["track{track}_frame{frame:03d}.png", "{number}.png"])
def test_names_that_tell_nothing_give_no_pattern(tmp_path, name):
    data = film(tmp_path, name, still=False)
    assert look_for_tracks(inspect_data(Experiment(data=data))) is None


def test_a_few_odd_names_among_others_are_no_tracks(tmp_path):
    film(tmp_path, "good {number}.png", range(10), still=False)
    film(tmp_path, "was dark {frame}.png", range(0, 12, 4))
    assert look_for_tracks(inspect_data(Experiment(data=str(tmp_path)))) is None


def test_copies_that_stay_together_anyhow_need_no_pattern(tmp_path):
    data = film(tmp_path, "shot{track}_{frame}.png", steps=(0, 0, 0))
    assert look_for_tracks(inspect_data(Experiment(data=data))) is None


def test_splits_that_were_given_are_left_alone(tmp_path):
    for split in ("train", "val", "test"):
        film(tmp_path / split, split + "{track}_{frame}.png")
    assert look_for_tracks(inspect_data(Experiment(data=str(tmp_path)))) is None


def test_audit_and_training_say_so(tmp_path, capsys):
    experiment = Experiment(data=film(tmp_path, "track{track}_frame{frame:03d}.png"))
    (finding,) = (
        each for each in audit_json(audit(experiment))["findings"] if each["problem"] == "tracks"
    )
    assert finding["severity"] == "warning"
    assert "--group '(.+)_[^/]*$'" in finding["detail"]
    load_data(experiment)
    assert finding["detail"] in capsys.readouterr().err


def test_the_flag_can_be_pasted(tmp_path):
    data = film(tmp_path / "films", "track{track}_frame{frame:03d}.png")
    found = look_for_tracks(inspect_data(Experiment(data=data)))
    assert found is not None
    flag = found.detail.partition("give ")[2]
    command = f"{sys.executable} -m imgclf_lib audit {data} {flag} --json"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert '"tracks"' not in done.stdout
