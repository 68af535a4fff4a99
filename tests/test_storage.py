"""Where things live."""

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock, Timeout

from imgclf_lib import storage
from imgclf_lib.errors import InputError
from imgclf_lib.storage import atomic, locked, progress_bar, safe_cell, write_table

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


def fill(path, *names):
    path.write_text("half")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), *names)


@pytest.mark.parametrize("named", [True, False])
def test_a_full_disk_names_the_file_that_was_meant(named, tmp_path):
    """Linux says of a write to a full disk neither where nor what."""
    with (
        pytest.raises(OSError, match=r"No space left on device: '.*a\.json'"),
        atomic(tmp_path / "a.json") as beside,
    ):
        fill(beside, *([beside] if named else []))
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_cannot_be_written_keeps_nobody_from_reading(tmp_path, monkeypatch):
    def refuse(self):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with locked(tmp_path / "free.lock"), pytest.raises(Timeout):
        FileLock(tmp_path / "free.lock", timeout=0).acquire()
    with FileLock(tmp_path / "free.lock", timeout=0):
        pass
    monkeypatch.setattr(FileLock, "_acquire", refuse)
    with locked(tmp_path / "read_only.lock"):
        pass


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=cmd|' /C calc'!A1", "'=cmd|' /C calc'!A1"),
        *((f"{sign}1", f"'{sign}1") for sign in "+-@"),
        ("red\x1b[31m\ttab\n=2", r"red\x1b[31m\ttab\n=2"),
        ("\udcff.png", r"\udcff.png"),
        ("猫 3.45\u202fPM", "猫 3.45\u202fPM"),
        (-1.5, -1.5),
    ],
)
def test_cells_give_no_orders(text, cell, tmp_path):
    assert safe_cell(text) == cell
    write_table(tmp_path / "a.csv", pd.DataFrame({"text": pd.Series([text], dtype=object)}))
    assert pd.read_csv(tmp_path / "a.csv")["text"][0] == cell


def test_who_waits_is_told_and_a_process_that_was_killed_holds_nothing(tmp_path, capfd):
    place = tmp_path / "run"
    place.mkdir()
    hold = (
        "import sys, time; from filelock import FileLock\n"
        "with FileLock(sys.argv[1]): print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", hold, str(place / ".lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(InputError, match=r"Another process is writing into .*run'.*--out"),
            locked(place / ".lock", wait=False),
        ):
            pass
        threading.Timer(1.5, other.kill).start()
        with locked(place / ".lock") as waited:
            assert waited
    assert capfd.readouterr().err.count(f"writing into {place}: this one waits") == 1
    with locked(place / ".lock", wait=False) as waited:
        assert not waited


def test_what_a_killed_process_left_is_cleared_and_nothing_else(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = tmp_path / f".a [1]-{gone.pid}.json"
    kept = [".a [1]-mine.json", f".b-{gone.pid}.json", f".a [1]-{os.getppid()}.json", "a [1].json"]
    for path in (left, *(tmp_path / name for name in kept)):
        path.touch()
    storage.clear_left(tmp_path, ["a [1].json"])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
