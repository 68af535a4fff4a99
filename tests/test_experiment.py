"""The one vocabulary: ranges, messages, JSON, presets."""

import dataclasses
import hashlib
import json
import math
import typing
from dataclasses import fields
from typing import Literal

import pytest

from imgclf_lib.errors import InputError
from imgclf_lib.experiment import LATER, PRESETS, RENAMED, Experiment, preset, scale_of

HINTS = typing.get_type_hints(Experiment)
CHOICES = {
    name: typing.get_args(kind)
    for name, kind in HINTS.items()
    if typing.get_origin(kind) is Literal
}
NUMBERS = {
    each.name: each.metadata for each in fields(Experiment) if HINTS[each.name] in (int, float)
}
LISTS = {
    each.name: each.metadata for each in fields(Experiment) if HINTS[each.name] == tuple[int, ...]
}
TEXTS = {each.name: each.default for each in fields(Experiment) if HINTS[each.name] is str}


def test_every_field_has_help_and_is_of_a_known_kind():
    names = {each.name for each in fields(Experiment)}
    assert names == {*TEXTS, *CHOICES, *NUMBERS, *LISTS}
    assert all(each.metadata["help"] for each in fields(Experiment))


@pytest.mark.parametrize(("name", "choice"), [(n, c) for n in CHOICES for c in CHOICES[n]])
def test_every_choice_is_accepted(name, choice):
    assert getattr(Experiment(**{name: choice}), name) == choice


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("value", ["wrong", "", None, 3, ["none"]])
def test_another_choice_is_refused(name, value):
    with pytest.raises(InputError) as caught:
        Experiment(**{name: value})
    message = str(caught.value)
    assert repr(name) in message
    assert f"Allowed: {', '.join(CHOICES[name])}." in message
    assert f"Received: {value!r}." in message


@pytest.mark.parametrize("name", NUMBERS)
def test_both_ends_of_a_range_are_accepted(name):
    for end in ("minimum", "maximum"):
        value = getattr(Experiment(**{name: NUMBERS[name][end]}), name)
        assert value == NUMBERS[name][end]
        assert type(value) is HINTS[name]


@pytest.mark.parametrize("name", NUMBERS)
def test_wrong_numbers_are_refused(name):
    lower, upper = NUMBERS[name]["minimum"], NUMBERS[name]["maximum"]
    if HINTS[name] is int:
        beyond = [lower - 1, upper + 1, 2.5, 1.0]
    else:
        beyond = [lower - 1e-9, upper + 1e-6, math.nan, math.inf, -math.inf]
    for value in [*beyond, "3", None, True, [1], 1j]:
        with pytest.raises(InputError) as caught:
            Experiment(**{name: value})
        message = str(caught.value)
        assert repr(name) in message
        assert f"from {lower:g} to {upper:g}." in message
        assert f"Received: {value!r}." in message


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_numbers(name):
    lower, upper = LISTS[name]["minimum"], LISTS[name]["maximum"]
    for value in ((), (lower,), [upper, lower]):
        assert getattr(Experiment(**{name: value}), name) == tuple(value)
    for value in (8, "8", None, (lower - 1,), (8, upper + 1), (8.0,), (True,), ("8",)):
        with pytest.raises(InputError) as caught:
            Experiment(**{name: value})
        message = str(caught.value)
        assert repr(name) in message
        assert f"a list, each a whole number from {lower:g} to {upper:g}." in message
        assert f"Received: {value!r}." in message


@pytest.mark.parametrize("value", ["", None, 3, b"folder"])
def test_data_is_a_text(value):
    with pytest.raises(InputError, match="'data'"):
        Experiment(data=value)


def test_whole_numbers_become_floats_where_a_float_is_meant():
    assert Experiment(learning_rate=1) == Experiment(learning_rate=1.0)
    assert isinstance(Experiment(learning_rate=1).learning_rate, float)


def test_an_experiment_cannot_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Experiment().epochs = 3  # type: ignore[misc]


def test_equal_experiments_are_equal_and_hash_alike():
    first, second = Experiment(filters=[8, 16]), Experiment(filters=(8, 16))
    assert first == second
    assert hash(first) == hash(second)
    assert first != first.replace(filters=(8,))


def test_replace_leaves_the_original():
    first = Experiment()
    assert first.replace(epochs=9, flip="both") == Experiment(epochs=9, flip="both")
    assert first == Experiment()


def test_replace_refuses_unknown_names_and_wrong_values():
    with pytest.raises(InputError, match=r"'epoch'.*epochs"):
        Experiment().replace(epoch=3)
    with pytest.raises(InputError, match="'epochs'"):
        Experiment().replace(epochs=0)


def test_changes_are_what_differs_from_the_defaults():
    assert Experiment().changes() == {}
    assert Experiment(epochs=7, filters=[4]).changes() == {"epochs": 7, "filters": (4,)}


def test_json_round_trip():
    for each in [Experiment(), *map(preset, PRESETS), Experiment(data="größe/ü", filters=())]:
        assert Experiment.from_json(each.to_json()) == each
    written = json.loads(Experiment().to_json())
    assert list(written) == [each.name for each in fields(Experiment)]


def test_renamed_fields_read_old_files_and_keep_the_keys_of_runs():
    chosen = Experiment(ema=0.9, random_erasing=0.2)
    old = chosen.key_text()
    assert '"averaging": 0.9' in old
    assert '"erase": 0.2' in old
    assert Experiment.from_json(old) == chosen
    today = [RENAMED.get(name, name) for name in json.loads(old)]
    assert today == [each.name for each in fields(Experiment) if each.name not in LATER]
    # As written before any field was renamed.
    known = hashlib.sha256(Experiment().key_text().encode()).hexdigest()
    assert known.startswith("de038e0c3fb35530"), "another key: finished runs are not found any more"


def test_a_later_field_is_in_the_key_when_it_was_chosen():
    chosen = Experiment(near_duplicates="split")
    assert '"near_duplicates": "split"' in chosen.key_text()
    assert Experiment.from_json(chosen.key_text()) == chosen


def test_json_may_leave_fields_out():
    assert Experiment.from_json('{"epochs": 2}') == Experiment(epochs=2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not an experiment in JSON"),
        ('{"epochs": 2', "not an experiment in JSON"),
        ("[1]", r"one object. Received: \[1\]"),
        ('{"epoch": 2}', "'epoch'"),
        ('{"epochs": "2"}', "'epochs'.*Received: '2'"),
        ('{"self": 1}', "Unknown experiment field 'self'"),
        pytest.param('{"seed": ' + "9" * 5000 + "}", "not an experiment in JSON", id="digits"),
        pytest.param('{"seed": ' + "[" * 10**5, "not an experiment in JSON", id="depth"),
    ],
)
def test_bad_json_is_refused(text, words):
    with pytest.raises(InputError, match=words):
        Experiment.from_json(text)


def test_presets():
    assert preset("simple") == Experiment()
    assert preset("linear").filters == ()
    for name, values in PRESETS.items():
        assert all(getattr(preset(name), field) == value for field, value in values.items())
    with pytest.raises(InputError, match=r"simple, linear, deep.*Received: 'huge'"):
        preset("huge")


def test_the_docstring_names_every_field_with_its_range():
    text = Experiment.__doc__
    assert text is not None
    for each in fields(Experiment):
        assert f"    {each.name}: {each.metadata['help']}" in text
    assert "learning_rate: learning rate, or the peak of the schedule; 1e-07 to 10." in text


@pytest.mark.parametrize("name", TEXTS)
def test_texts_may_be_empty_only_where_that_means_nothing_chosen(name):
    any_text = "ResNet50" if name == "backbone" else "猫 & <b>"
    assert getattr(Experiment(**{name: any_text}), name) == any_text
    if TEXTS[name] == "":
        assert getattr(Experiment(**{name: ""}), name) == ""
    for value in [3, None, ["x"], *([] if TEXTS[name] == "" else [""])]:
        with pytest.raises(InputError, match=repr(name)):
            Experiment(**{name: value})


def test_type_hints_are_looked_up_once(monkeypatch):
    """Looked up for each field of each experiment, they took 40 ms: sliders make many."""
    asked = []
    look_up = typing.get_type_hints
    monkeypatch.setattr(typing, "get_type_hints", lambda *a: asked.append(a) or look_up(*a))
    for epochs in range(1, 20):
        Experiment(epochs=epochs).replace(batch_size=32)
    assert len(asked) <= 1


def test_fields_know_their_scale():
    scales = {each.name: each.metadata["scale"] for each in fields(Experiment)}
    assert set(scales.values()) == {"linear", "log", "powers"}
    assert [scales[name] for name in ("learning_rate", "batch_size", "dropout")] == [
        *("log", "powers", "linear")
    ]
    assert all(scale_of(name) == scale for name, scale in scales.items())


def test_a_backbone_that_is_unknown_is_refused_at_once():
    with pytest.raises(InputError, match=r"no such backbone.*mobilenetv2.*'mobilnet'"):
        Experiment(backbone="mobilnet")
    assert Experiment(backbone="MobileNet_V2").backbone == "MobileNet_V2"


def test_a_number_of_thousands_of_digits_is_refused_like_others():
    with pytest.raises(InputError, match=r"'seed'.*Received: a int too large to show"):
        Experiment(seed=10**5000)
