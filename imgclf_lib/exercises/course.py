"""All exercises of the course: their list, and copies of the notebooks with or without answers."""

import ast
import copy
import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd

from imgclf_lib.errors import InputError
from imgclf_lib.exercises.exercise import Exercise

CHOICES = ("strip", "keep")
TAG = "exercise"


def exercises_of(notebook: str) -> list[Exercise]:
    """The exercises of one notebook, in their order.

    Args:
        notebook: Such as ``04_train``.

    Returns:
        The exercises; empty if the notebook has none.
    """
    name = f"imgclf_lib.exercises.{notebook.partition('_')[2]}"
    if importlib.util.find_spec(name) is None:
        return []
    found = vars(importlib.import_module(name)).values()
    return [each for each in found if isinstance(each, Exercise)]


def exercise_table(notebooks: Sequence[Path]) -> pd.DataFrame:
    """What every exercise asks and tests.

    Args:
        notebooks: Paths of notebooks.

    Returns:
        A table with the columns ``notebook``, ``exercise``, ``title`` and ``tests`` (a list of
        points), one row an exercise.
    """
    rows = [
        (path.stem, each.name, each.title, list(each.tests))
        for path in notebooks
        for each in exercises_of(path.stem)
    ]
    return pd.DataFrame(rows, columns=["notebook", "exercise", "title", "tests"])


def write_copies(notebooks: Sequence[Path], out: Path, solutions: str) -> list[Path]:
    """Copies of notebooks: with the solutions filled in, or without any way to them.

    Args:
        notebooks: Paths of notebooks; they are only read.
        out: A new or empty folder for the copies.
        solutions: ``keep`` fills every answer in and explains it, ``strip`` leaves the answers
            open and removes the lines that show the solutions.

    Returns:
        The copies.

    Raises:
        InputError: If ``solutions`` is another word, or the folder is not empty.
    """
    if solutions not in CHOICES:
        raise InputError("There is no such copy", allowed=", ".join(CHOICES), received=solutions)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{str(out)!r} is not empty", do="Choose a new folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    copies = []
    for path in notebooks:
        content = nbformat.read(path, as_version=4)
        known = {each.name: each for each in exercises_of(path.stem)}
        content.cells = [
            new for cell in content.cells for new in _changed(cell, known, solutions == "keep")
        ]
        copies.append(out / path.name)
        nbformat.write(content, copies[-1])
    return copies


def _changed(cell: Any, known: dict[str, Exercise], keep: bool) -> list[Any]:
    """The cells that take the place of a cell."""
    if TAG not in cell.metadata.get("tags", []):
        return [cell]
    cell = copy.deepcopy(cell)
    cell.outputs, cell.execution_count = [], None
    if not keep:
        lines = cell.source.splitlines()
        cell.source = "\n".join(each for each in lines if ".solution()" not in each)
        return [cell]
    call = _check_in(cell.source)
    exercise = known[ast.unparse(call.func).split(".")[-2]]
    answer, *facts = map(ast.unparse, call.args)
    given = [  # what the cell holds besides the open answer and its check
        ast.get_source_segment(cell.source, node) or ""
        for node in ast.parse(cell.source).body
        if not _defines(node, answer) and ast.unparse(node) != ast.unparse(call)
    ]
    solved = f"{answer} = {exercise.solve.__name__}({', '.join(facts)})"
    cell.source = "\n".join(
        [*given, *([""] if given else []), exercise.source, "\n", solved, ast.unparse(call)]
    )
    # The stored copy stays a valid notebook: the explanation is a cell with its own name.
    why = nbformat.v4.new_markdown_cell(f"**Solution.** {exercise.explanation}")
    why.id = f"{cell.id}-solution"[:64]
    return [cell, why]


def _defines(node: ast.stmt, name: str) -> bool:
    """Whether a line such as ``answer = ...`` or ``def answer(): ...`` gives a name its meaning."""
    if isinstance(node, ast.Assign):
        return name in map(ast.unparse, node.targets)
    return isinstance(node, ast.FunctionDef) and node.name == name


def _check_in(source: str) -> ast.Call:
    """The line ``exercises.NAME.check(answer, *facts)`` of a cell."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".check"):
            return node
    raise InputError(f"A cell tagged {TAG!r} checks nothing", received=source)
