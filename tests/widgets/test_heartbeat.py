"""The heartbeat: work goes on while a page is open, and ends when nobody is there."""

import pytest

from imgclf_lib.widgets import heartbeat
from imgclf_lib.widgets.heartbeat import Heartbeat


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(heartbeat.time, "monotonic", lambda: now[0])
    return now


def test_without_a_page_nobody_can_leave(clock) -> None:
    heart = Heartbeat()
    heart.begin()
    clock[0] += 10_000
    assert not heart.abandoned


def test_a_page_that_falls_silent_has_gone(clock) -> None:
    heart = Heartbeat()
    heart.begin()
    for _ in range(5):
        clock[0] += 1
        heart.beat += 1
        assert not heart.abandoned
    clock[0] += heartbeat.PATIENCE[False] + 1
    assert heart.abandoned


def test_a_hidden_tab_is_given_more_time(clock) -> None:
    heart = Heartbeat()
    heart.begin()
    heart.hidden, heart.beat = True, 1
    clock[0] += 61  # browsers slow a hidden tab down to one beat a minute
    assert not heart.abandoned
    clock[0] += heartbeat.PATIENCE[True]
    assert heart.abandoned


def test_beats_of_the_work_before_do_not_count(clock) -> None:
    heart = Heartbeat()
    heart.begin()
    heart.beat = 3
    heart.end()
    assert not heart.wanted
    clock[0] += 1000
    heart.begin()
    assert not heart.abandoned
