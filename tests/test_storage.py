"""Where things live."""

import errno
import hashlib
import os
import socketserver
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock, Timeout

from imgclf_lib import storage
from imgclf_lib.errors import InputError
from imgclf_lib.storage import atomic, fetch, locked, progress_bar, safe_cell, write_table

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
    if isinstance(text, str):
        names = pd.Index([text], dtype=object)
        write_table(tmp_path / "b.csv", pd.DataFrame([[1]], columns=names))
        assert pd.read_csv(tmp_path / "b.csv").columns.tolist() == [cell]


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


GOOD = bytes(range(256)) * 40
HEAD = b"HTTP/1.1 200 OK\r\n"


class Server(socketserver.ThreadingTCPServer):
    """On loopback; ``answer`` is what it sends: pieces of bytes, and seconds to wait."""

    daemon_threads = True
    answer: tuple = ()

    class RequestHandlerClass(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(10_000)
            with suppress(OSError):
                for piece in self.server.answer:
                    time.sleep(piece) if isinstance(piece, float) else self.request.sendall(piece)

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.RequestHandlerClass)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


def length(bytes_):
    return b"Content-Length: %d\r\n\r\n" % bytes_


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((HEAD, length(len(GOOD)), GOOD[:5000]), "ended after 5,000 of 10,240 bytes"),
        ((HEAD, length(len(GOOD) - 9), GOOD), "checksum differs"),
        ((HEAD, length(len(GOOD) + 9), GOOD), "ended after 10,240 of 10,249 bytes"),
        ((HEAD, length(len(GOOD)), GOOD[::-1]), "checksum differs"),
        ((HEAD, length(10**15), GOOD), "GB are needed"),
        ((HEAD, b"\r\n", GOOD * 9), "larger than"),
        ((HEAD, length(len(GOOD)), GOOD[:9], 3.0), "Timeout"),
        ((HEAD, length(len(GOOD)), *(each for _ in range(20) for each in (b"x", 0.1))), "slower"),
        ((b"HTTP/1.1 302 Found\r\nLocation: ftp://127.0.0.1/\r\n", length(0)), "InvalidSchema"),
        ((b"HTTP/1.1 404 Not Found\r\n", length(0)), "HTTPError"),
        ((b"nothing of HTTP\r\n\r\n",), "Error"),
    ],
)
def test_a_bad_download_is_one_message_and_the_retry_works(answer, said, tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "SILENCE", 0.5)
    monkeypatch.setattr(storage, "LARGEST_DOWNLOAD", 5 * len(GOOD))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("IMGCLF_MIRROR", raising=False)
    path, known = tmp_path / "a.bin", hashlib.sha256(GOOD).hexdigest()
    with Server() as server:
        address = f"http://127.0.0.1:{server.server_address[1]}/a"
        given = (address, path, known, "shelf", "The file is", "Try again")
        server.answer = answer
        with pytest.raises(InputError, match=f"{address} could not be downloaded .*({said}).*Try"):
            fetch(*given)
        assert list(tmp_path.iterdir()) == []
        server.answer = (HEAD, b"\r\n", GOOD)  # without a length, too
        fetch(*given)
        server.shutdown()
    assert path.read_bytes() == GOOD


def test_a_download_never_leaves_encryption(tmp_path, monkeypatch):
    import requests

    answer = requests.Response()
    answer.status_code, answer.url = 302, "https://a.example/a"
    answer.headers["Location"] = "http://b.example/a"

    def get(address, hooks, **rest):
        hooks["response"](answer)

    monkeypatch.setattr(requests, "get", get)
    with pytest.raises(InputError, match=r"sent on to an address that is not encrypted"):
        fetch("https://a.example/a", tmp_path / "a", None, "shelf", "It is", "Try again")
