"""The field for a file; that the page refuses a large one is tested in the browser."""

from imgclf_lib.widgets.upload import MOST_BYTES, Upload


def test_bytes_come_as_bytes() -> None:
    upload, seen = Upload(), []
    upload.observe(lambda change: seen.append(upload.content), "number")
    state = {"name": "a.png", "size": 3, "content": memoryview(b"abc"), "number": 1}
    upload.set_state(state)
    assert seen == [b"abc"]
    upload.set_state({**state, "number": 2})  # the same file once more
    assert seen == [b"abc", b"abc"]


def test_the_limit_lies_below_that_of_the_connection() -> None:
    assert Upload().most_bytes == MOST_BYTES < 10 * 2**20
