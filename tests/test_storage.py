"""Where things live."""

import time
from pathlib import Path

import pytest

from imgclf_lib import storage
from imgclf_lib.storage import progress_bar

CHECKOUT = Path(__file__).resolve().parent.parent


def test_the_course_is_the_checkout():
    assert storage.course_folder() == CHECKOUT


def test_defaults_are_below_the_course(monkeypatch):
    monkeypatch.delenv("IMGCLF_CACHE")
    monkeypatch.delenv("IMGCLF_MODELS")
    assert storage.data_folder() == CHECKOUT / "data"
    assert storage.models_folder() == CHECKOUT / "models"
    assert storage.cache_folder() == CHECKOUT / "data" / ".cache"


def test_without_a_checkout_the_course_is_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "__file__", str(tmp_path / "site" / "imgclf_lib" / "paths.py"))
    monkeypatch.chdir(tmp_path)
    assert storage.course_folder() == tmp_path


@pytest.mark.parametrize(
    ("variable", "function"),
    [
        ("IMGCLF_HOME", storage.course_folder),
        ("IMGCLF_DATA", storage.data_folder),
        ("IMGCLF_MODELS", storage.models_folder),
        ("IMGCLF_CACHE", storage.cache_folder),
    ],
)
def test_variables_move_folders_and_nothing_is_created(variable, function, tmp_path, monkeypatch):
    monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
    assert function() == tmp_path / "elsewhere"
    assert list(tmp_path.iterdir()) == []


def test_moving_the_course_moves_what_is_below_it(tmp_path, monkeypatch):
    monkeypatch.setenv("IMGCLF_HOME", str(tmp_path))
    monkeypatch.delenv("IMGCLF_CACHE")
    assert storage.data_folder() == tmp_path / "data"
    assert storage.cache_folder() == tmp_path / "data" / ".cache"


def test_short_work_shows_nothing(capfd):
    assert list(progress_bar(range(5), "Counting")) == list(range(5))
    with progress_bar(None, "By hand", 3) as bar:
        bar.update(3)
    told = capfd.readouterr()
    assert (told.out, told.err) == ("", "")


def test_longer_work_shows_a_bar_on_standard_error(capfd):
    with progress_bar(None, "Decoding", 3, "image") as bar:
        time.sleep(2.05)
        bar.update(2)
        bar.refresh()
    told = capfd.readouterr()
    assert told.out == ""
    assert "Decoding" in told.err
    assert "2/3" in told.err
