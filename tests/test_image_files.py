"""Files that may be anything are read without waiting, and refused with a reason."""

import os
import socket
import threading

import pytest
from PIL import Image

from imgclf_lib import image_files
from imgclf_lib.image_files import BadImage, contained, open_image, read_file


def problem_of(act, *arguments) -> str:
    with pytest.raises(BadImage) as raised:
        act(*arguments)
    assert str(raised.value) == f"{raised.value.problem}: {raised.value.detail}."
    return raised.value.problem


def test_a_file_is_read(tmp_path):
    path = tmp_path / "one"
    path.write_bytes(b"content")
    assert read_file(path) == b"content"


@pytest.mark.parametrize("name", ["nowhere.png", "x" * 300, "nul\0.png", "\udcff.png"])
def test_files_that_are_not_there(name, tmp_path):
    assert problem_of(read_file, tmp_path / name) == "unreadable"


def test_special_files_do_not_block(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.png")
    assert problem_of(read_file, tmp_path / "pipe.png") == "special file"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.png")
    assert problem_of(read_file, tmp_path / "socket.png") == "special file"
    assert problem_of(read_file, tmp_path) == "special file"
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    assert problem_of(read_file, tmp_path / "zero.png") == "special file"


def test_a_file_that_becomes_a_pipe_meanwhile_does_not_block(tmp_path, monkeypatch):
    plain, pipe = tmp_path / "plain", tmp_path / "pipe"
    plain.write_bytes(b"content")
    os.mkfifo(pipe)
    looked = plain.stat()
    monkeypatch.setattr(image_files.os, "stat", lambda path: looked)
    done = threading.Thread(target=lambda: problem_of(read_file, pipe), daemon=True)
    done.start()
    done.join(5)
    assert not done.is_alive()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_locked_file(tmp_path):
    path = tmp_path / "locked.png"
    path.write_bytes(b"content")
    path.chmod(0)
    assert problem_of(read_file, path) == "unreadable"


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "film.png"
    with path.open("wb") as file:
        file.truncate(image_files.MAXIMUM_BYTES + 1)  # takes no room on disk
    assert problem_of(read_file, path) == "too large"


@pytest.mark.parametrize(
    ("error", "problem"), [(MemoryError(), "too large"), (RecursionError("deep"), "damaged")]
)
def test_errors_of_hostile_files_are_contained(error, problem):
    def act():
        with contained(b"\xff\xd8\xff\xe0" + bytes(40) + b"\xff\xd9"):
            raise error

    assert problem_of(act) == problem


def test_interrupts_are_not_contained():
    with pytest.raises(KeyboardInterrupt), contained(b""):
        raise KeyboardInterrupt


def test_opening(tmp_path):
    path = tmp_path / "one.png"
    Image.new("L", (4, 3)).save(path)
    assert open_image(path).size == open_image(path.read_bytes()).size == (4, 3)
    assert problem_of(open_image, b"") == "empty"
    assert problem_of(open_image, b"%!PS-Adobe-3.0 EPSF-3.0\n") == "unsupported format"
