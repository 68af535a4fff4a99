"""Progress on standard error."""

import time

from imgclf_lib.progress import progress_bar


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
