"""The exercises as a whole: listed, stored in the notebooks, and copied for a class."""

import ast
import builtins
import dis
import json
import symtable
from pathlib import Path
from types import CodeType

import nbformat
import pytest

from imgclf_lib.cli import main
from imgclf_lib.course import course_notebooks
from imgclf_lib.course.exercises import exercise_table, write_copies
from imgclf_lib.course.exercises.exercise import _check_in, exercises_of
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


def bound_and_read(source: str) -> tuple[set[str], set[str]]:
    """Names that lines give a meaning in the notebook, and names that they look up there."""
    table = symtable.symtable(source, "cell", "exec")
    bound = {each.get_name() for each in table.get_symbols() if each.is_assigned()}
    bound |= {each.get_name() for each in table.get_symbols() if each.is_imported()}
    return bound, global_names(compile(source, "cell", "exec")) | {
        each.argval
        for each in dis.get_instructions(compile(source, "cell", "exec"))
        if each.opname == "LOAD_NAME"
    }


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_solution_is_the_lines_of_its_cell(path: Path) -> None:
    """What is shown can be pasted: it defines what is checked, and spoils nothing further down."""
    cells = [each for each in nbformat.read(path, 4).cells if each.cell_type == "code"]
    codes = [each.source for each in cells if not each.source.lstrip().startswith("%")]
    for exercise in exercises_of(path.stem):
        check = f"exercises.{exercise.name}.check("
        [place] = [number for number, code in enumerate(codes) if check in code]
        before = set().union(*(bound_and_read(code)[0] for code in codes[:place]))
        bound, read = bound_and_read(exercise.source)
        own = bound_and_read(codes[place])[0]
        assert ast.unparse(_check_in(codes[place]).args[0]) in bound, exercise.name
        assert read <= before | bound | own | set(dir(builtins)), exercise.name
        spoilt, later = bound & before - own, set()
        for code in codes[place + 1 :]:
            new, looked_up = bound_and_read(code)
            later |= looked_up & spoilt
            spoilt -= new
        assert later <= {"np", "train"}, (exercise.name, later)
