"""Where things live."""

from pathlib import Path

import pytest

from imgclf_lib import paths

CHECKOUT = Path(__file__).resolve().parent.parent


def test_the_course_is_the_checkout():
    assert paths.course_folder() == CHECKOUT


def test_defaults_are_below_the_course(monkeypatch):
    monkeypatch.delenv("IMGCLF_CACHE")
    monkeypatch.delenv("IMGCLF_MODELS")
    assert paths.data_folder() == CHECKOUT / "data"
    assert paths.models_folder() == CHECKOUT / "models"
    assert paths.cache_folder() == CHECKOUT / "data" / ".cache"


def test_without_a_checkout_the_course_is_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "site" / "imgclf_lib" / "paths.py"))
    monkeypatch.chdir(tmp_path)
    assert paths.course_folder() == tmp_path


@pytest.mark.parametrize(
    ("variable", "function"),
    [
        ("IMGCLF_HOME", paths.course_folder),
        ("IMGCLF_DATA", paths.data_folder),
        ("IMGCLF_MODELS", paths.models_folder),
        ("IMGCLF_CACHE", paths.cache_folder),
    ],
)
def test_variables_move_folders_and_nothing_is_created(variable, function, tmp_path, monkeypatch):
    monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
    assert function() == tmp_path / "elsewhere"
    assert list(tmp_path.iterdir()) == []


def test_moving_the_course_moves_what_is_below_it(tmp_path, monkeypatch):
    monkeypatch.setenv("IMGCLF_HOME", str(tmp_path))
    monkeypatch.delenv("IMGCLF_CACHE")
    assert paths.data_folder() == tmp_path / "data"
    assert paths.cache_folder() == tmp_path / "data" / ".cache"
