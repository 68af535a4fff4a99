"""The one message form and the exit codes."""

import errno
import os

import pytest

from imgclf_lib.errors import ImgclfError, InputError, NotebookError, TrainingError, explain


def test_message_has_its_parts_in_order():
    error = InputError("Bad field", allowed="1 to 3", received="x", do="Choose another")
    assert str(error) == "Bad field. Allowed: 1 to 3. Received: 'x'. Choose another."


def test_parts_that_are_not_given_are_left_out():
    assert str(ImgclfError("Only this")) == "Only this."


def test_full_stops_are_not_doubled():
    assert str(ImgclfError("What.", allowed="this.", do="Do it.")) == "What. Allowed: this. Do it."


@pytest.mark.parametrize("received", [None, "", 0, [], -1.5])
def test_every_received_value_is_shown(received):
    assert f"Received: {received!r}." in str(ImgclfError("What", received=received))


@pytest.mark.parametrize(
    ("kind", "code"), [(ImgclfError, 1), (NotebookError, 1), (TrainingError, 1), (InputError, 2)]
)
def test_exit_codes(kind, code):
    assert kind("what").exit_code == code
    assert issubclass(kind, ImgclfError)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk space"),
        (errno.EROFS, "can be written"),
        (errno.EACCES, "permission"),
        (errno.ENAMETOOLONG, "shorter"),
        (errno.ENOTDIR, "below a folder"),
        (errno.EIO, "Check the disk"),
    ],
)
def test_what_the_system_refuses_has_place_reason_and_advice(number, words):
    error = explain(OSError(number, os.strerror(number), "a/b.csv"))
    assert error.exit_code == 2
    assert f"'a/b.csv' cannot be read or written ({os.strerror(number)})" in str(error)
    assert words in str(error)
    assert "same command again" in str(error)


def test_system_errors_may_lack_place_or_number():
    assert str(explain(OSError(errno.ENOSPC, "long text of HDF5"))).startswith(
        "A file or stream cannot be read or written (No space left on device)."
    )
    assert "(3 GB are needed)" in str(explain(OSError("3 GB are needed")))
    two = str(explain(OSError(errno.EXDEV, "x", "one", None, "two")))
    assert two.startswith("'one' and 'two' cannot be read or written")
