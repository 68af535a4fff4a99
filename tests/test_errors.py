"""The one message form and the exit codes."""

import pytest

from imgclf_lib.errors import ImgclfError, InputError, NotebookError, TrainingError


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
