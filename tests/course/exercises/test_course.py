"""The exercises as a whole: listed, stored in the notebooks, and copied for a class."""

import ast
import builtins
import dis
import json
from pathlib import Path
from types import CodeType

import nbformat
import pytest

from imgclf_lib.cli import main
from imgclf_lib.course import course_notebooks
from imgclf_lib.course.exercises import exercise_table, write_copies
from imgclf_lib.course.exercises.exercise import exercises_of
from imgclf_lib.errors import InputError

NOTEBOOKS = course_notebooks()
EXERCISES = {
    f"{path.stem}-{each.name}": (path, each)
    for path in NOTEBOOKS
    for each in exercises_of(path.stem)
}


def exercise_cells(path: Path) -> list[nbformat.NotebookNode]:
    cells = nbformat.read(path, 4).cells
    return [cell for cell in cells if "exercise" in cell.metadata.get("tags", [])]


def global_names(code: CodeType) -> set[str]:
    """Names that a function looks up outside of itself, also in functions inside it."""
    names = {each.argval for each in dis.get_instructions(code) if each.opname == "LOAD_GLOBAL"}
    inner = [each for each in code.co_consts if isinstance(each, CodeType)]
    return names.union(*map(global_names, inner))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_notebook_asks_three_to_five_questions_and_all_it_has(path: Path) -> None:
    names = [each.name for each in exercises_of(path.stem)]
    assert 3 <= len(names) <= 5
    cells = exercise_cells(path)
    asked = [name for cell in cells for name in names if f"exercises.{name}.check(" in cell.source]
    assert asked == names, "in the order of the notebook, each once"
    assert len(cells) == len(names)
    for cell in cells:
        assert "Not answered yet." in json.dumps(cell.outputs)
        assert ".hint()" in cell.source
        assert ".solution()" in cell.source


@pytest.mark.parametrize("name", EXERCISES)
def test_each_exercise_is_complete(name: str) -> None:
    _, exercise = EXERCISES[name]
    assert exercise.title
    assert exercise.tests
    assert exercise.hints
    assert exercise.explanation
    # The solution is shown to learners: it must make sense without the rest of its module.
    assert exercise.solve.__closure__ is None
    assert not exercise.solve.__annotations__, "their names would be missing in a notebook"
    assert global_names(exercise.solve.__code__) <= set(dir(builtins))


def test_the_list_names_every_exercise_and_its_points(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exercises", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["exercise"] for row in rows] == [each.name for _, each in EXERCISES.values()]
    assert all(row["title"] and row["tests"] for row in rows)
    assert main(["exercises", "04"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("04_train\n")
    assert "      tests " in text
    assert len(exercise_table(NOTEBOOKS[:1])) == len(exercises_of(NOTEBOOKS[0].stem))


def test_a_copy_for_a_class_shows_no_solution(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "class"
    assert main(["exercises", "--out", str(out), "--solutions", "strip"]) == 0
    assert f"{len(NOTEBOOKS)} notebooks" in capsys.readouterr().err
    for path in NOTEBOOKS:
        copied = nbformat.read(out / path.name, 4)
        nbformat.validate(copied)
        assert ".solution()" not in "".join(cell.source for cell in copied.cells)
        for cell in exercise_cells(out / path.name):
            assert ".hint()" in cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_copy_for_the_instructor_holds_every_solution(path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    [copied] = write_copies([path], tmp_path / "mine", "keep")
    nbformat.validate(nbformat.read(copied, 4))
    cells = exercise_cells(copied)
    exercises = exercises_of(path.stem)
    assert len(cells) == len(exercises)
    for cell, exercise in zip(cells, exercises, strict=True):
        ast.parse(cell.source)
        assert exercise.source in cell.source
        assert "= ..." not in cell.source
    assert path.read_bytes() == before


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(InputError, match="is not empty"):
        write_copies(NOTEBOOKS[:1], tmp_path, "keep")
    with pytest.raises(InputError, match="Allowed: strip, keep"):
        write_copies(NOTEBOOKS[:1], tmp_path / "new", "half")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
