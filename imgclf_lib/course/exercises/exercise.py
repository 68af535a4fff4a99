"""What an exercise is: it checks an answer, gives hints step by step, and shows a solution.

Below it stand the two judges that most questions need, and the copies of notebooks for a class.
"""

import ast
import copy
import html
import importlib
import importlib.util
import inspect
import math
import os
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imgclf_lib.errors import ImgclfError, InputError

RIGHT_COLOR, WRONG_COLOR, NOTE_COLOR = "#009E73", "#D55E00", "#0072B2"
CHOICES = ("strip", "keep")
TAG = "exercise"


class Mistake(Exception):
    """What is not right about an answer, and a nudge in the right direction."""


class Unanswered(Exception):
    """The place for the answer is still empty."""


class Exercise:
    """A question inside a notebook.

    Args:
        name: Its name, as in ``exercises.NAME.check(answer)``.
        title: The question in a few words.
        tests: What it tests: the points an instructor can list.
        judge: Called with the answer and the facts of the notebook; returns what to say about a
            right answer, and raises ``Mistake`` for a wrong one.
        solve: Called with the facts; returns a right answer, or the function that is one. What
            belongs into the cell is taken from its source.
        explanation: Why the solution is right, in a sentence or two.
        hints: From a first nudge to nearly the solution.
        place: The name that the cell gives to the answer, where it is no function.
        given: Lines for the cell that give the facts the names by which the solution calls them.
    """

    def __init__(
        self,
        name: str,
        title: str,
        tests: Sequence[str],
        judge: Callable[..., str],
        solve: Callable[..., Any],
        explanation: str,
        hints: Sequence[str],
        place: str = "answer",
        given: str = "",
    ) -> None:
        self.name, self.title, self.tests = name, title, tuple(tests)
        self.judge, self.solve = judge, solve
        self.explanation, self.hints = explanation, tuple(hints)
        self.place, self.given = place, given
        self._hints_given = 0

    def check(self, answer: Any = None, *facts: Any) -> None:
        """Say whether an answer is right; if it is not, what about it is wrong."""
        note = _comma_note(answer)
        try:
            if unanswered(answer):
                raise Unanswered
            said = self.judge(answer, *facts)
        except Unanswered:
            helps = f"exercises.{self.name}.hint() helps, exercises.{self.name}.solution() tells."
            _show("Not answered yet.", f"Replace the three dots, and run the cell. {helps}")
        except (Mistake, ImgclfError) as mistake:
            _show("✗ Not yet.", f"{mistake}{note}", WRONG_COLOR)
        except Exception as error:  # whatever the learner's own code raises
            _show("✗ Not yet.", f"Your answer raised {type(error).__name__}: {error}", WRONG_COLOR)
        else:
            _show("✓ Right.", f"{said}{note}", RIGHT_COLOR)

    def hint(self) -> None:
        """Give the next hint; after the last one they begin again."""
        number = self._hints_given % len(self.hints)
        self._hints_given += 1
        _show(f"Hint {number + 1} of {len(self.hints)}.", self.hints[number])

    def solution(self) -> None:
        """Show the solution and explain it."""
        if os.environ.get("IMGCLF_SOLUTIONS") == "hidden":
            _show("Solution.", "Your instructor has kept the solutions back for now.")
        else:
            _show("Solution.", self.explanation, code=self.source)

    @property
    def source(self) -> str:
        """The solution: the lines that belong into the cell, before the check."""
        whole = textwrap.dedent(inspect.getsource(self.solve)).rstrip()
        [function] = ast.parse(whole).body
        assert isinstance(function, ast.FunctionDef)
        body, last = function.body, function.body[-1]
        body = body[1:] if ast.get_docstring(function) else body
        ends = [each for node in body for each in _returns(node)]
        if ends != [last] or not isinstance(
            last, ast.Return
        ):  # several ends: it stays a function, and is called
            facts = ", ".join(each.arg for each in function.args.args)
            lines = [whole, "", "", f"{self.place} = {function.name}({facts})"]
        else:
            rows = whole.splitlines()
            lines = textwrap.dedent("\n".join(rows[body[0].lineno - 1 :])).splitlines()
            final = lines.index(textwrap.dedent(rows[last.lineno - 1]))
            made = {each.name for each in body if isinstance(each, ast.FunctionDef)}
            if isinstance(last.value, ast.Name) and last.value.id in made:
                lines = lines[:final]
            else:
                lines[final] = f"{self.place} = {lines[final].removeprefix('return ')}"
        return "\n".join([*filter(None, [self.given]), *lines]).rstrip()


def _returns(node: ast.AST) -> Iterator[ast.AST]:
    """The return statements in a statement, but not those of functions inside it."""
    if isinstance(node, ast.Return):
        yield node
    if not isinstance(node, ast.FunctionDef | ast.Lambda):
        for each in ast.iter_child_nodes(node):
            yield from _returns(each)


def question(title: str, **about: Any) -> Callable[[Callable[..., str]], Exercise]:
    """Make an exercise of the judge that is written below it, and name it after the judge."""
    return lambda judge: Exercise(judge.__name__, title, judge=judge, **about)


def unanswered(answer: Any) -> bool:
    """Whether the place for the answer is still empty."""
    return answer is None or answer is ... or (isinstance(answer, str) and not answer.strip())


def call(function: Any, *arguments: Any) -> Any:
    """What a learner's function returns."""
    if not callable(function):
        raise Mistake(f"A function is wanted here, not {_kind(function)}.")
    result = function(*arguments)
    if result is None:
        raise Mistake(
            "Your function returned nothing (None). Does it end with return, and what it has found?"
            " print only shows it."
        )
    if unanswered(result):
        raise Unanswered
    return result


def words(answer: Any) -> str:
    """An answer in words, without what does not matter: case, quotes, full stops, hyphens."""
    text = str(answer).lower().replace("’", "'").replace("-", " ")
    return " ".join(text.strip(" .!'\"").split())


def number(answer: Any) -> float:
    """An answer as a number, whatever form it came in."""
    if isinstance(answer, str):
        text = _pointed(answer).replace("_", "").replace(" ", "")
        scale = 0.01 if text.endswith("%") else 1.0
        try:
            return float(Fraction(text.rstrip("%"))) * scale
        except (ValueError, ZeroDivisionError):
            pass
        try:
            return float(text.rstrip("%")) * scale  # nan and inf
        except ValueError:
            raise Mistake(f"A number is wanted here, not the text {answer!r}.") from None
    try:
        values = array(answer)
    except Mistake:
        raise Mistake(f"A number is wanted here, not {_kind(answer)}.") from None
    if values.size != 1:
        comma = ""
        if isinstance(answer, tuple) and len(answer) == 2:  # Python reads 0,85 as a pair
            comma = " To Python a comma begins a second number: write 0.85, and 1000 or 1_000."
        raise Mistake(f"One number is wanted here, not {values.size:,} of them.{comma}")
    return float(values.reshape(()))


def _pointed(text: str) -> str:
    """A number as text, with a decimal point and no other marks.

    A comma that stands before three digits each time, such as 1,024, parts thousands; any other
    one is a decimal comma.
    """
    text = text.strip()
    if re.match(r"[-+]?[1-9]\d{0,2}(,\d{3})+(?!\d|,)", text):
        return text.replace(",", "")
    if re.match(r"[-+]?[1-9]\d{0,2}(\.\d{3})+,\d", text):  # 1.024,5
        text = text.replace(".", "")
    return text.replace(",", ".") if text.count(",") == 1 and "." not in text else text


def _comma_note(answer: Any) -> str:
    """How a number with a comma was read."""
    if not isinstance(answer, str) or "," not in answer:
        return ""
    try:
        return f" ({answer.strip()} was read as {number(answer):.10g}; Python writes a point.)"
    except Mistake:
        return ""


def array(answer: Any) -> np.ndarray:
    """An answer as an array of numbers, whatever form it came in."""
    try:
        if hasattr(answer, "detach"):  # a PyTorch tensor that remembers its gradient
            answer = answer.detach().cpu()
        values = np.asarray(answer)
        if values.dtype == object and all(isinstance(each, Real | Decimal) for each in values.flat):
            values = values.astype(float)  # fractions
    except Exception:
        raise Mistake(f"Numbers are wanted here, not {_kind(answer)}.") from None
    if values.dtype.kind not in "biuf":
        raise Mistake(f"Numbers are wanted here, not {_kind(answer)}.")
    return values


def judge_number(
    answer: Any,
    right: float,
    praise: str,
    mistakes: Mapping[str, Any],
    otherwise: str,
    *,
    share: bool = False,
    close: float = 0.0,
    relative: float = 1e-9,
) -> str:
    """Judge a number that has typical mistakes."""
    found = number(answer)

    def fits(value: float, target: float) -> bool:
        return math.isclose(value, target, rel_tol=relative, abs_tol=close)

    if fits(found, right):
        return praise
    percent = share and found > 1
    if percent and fits(found / 100, right):
        raise Mistake(
            f'In percent, yes. Write it as a share, {found / 100:g}, or as "{found:g} %".'
        )
    for message, wrong in _one_by_one(mistakes):
        if fits(found, wrong):
            raise Mistake(message)
        if percent and fits(found / 100, wrong):
            raise Mistake(f"As a share between 0 and 1, please; and it is another share. {message}")
    raise Mistake(f"{found:,.10g} is not it. {otherwise}")


def judge_function(
    function: Any,
    right: Callable[..., Any],
    cases: Sequence[tuple[Any, ...]],
    praise: str,
    mistakes: Mapping[str, Any] | Callable[..., Mapping[str, Any]],
    otherwise: str | Callable[..., str],
    *,
    shape: str | Callable[..., str] = "",
    changed: str = "Your function changes what it is given. Work on a copy.",
    read: Callable[[Any], np.ndarray] = array,
    close: float = 1e-6,
    relative: float = 1e-5,
) -> str:
    """Judge a learner's function by what it returns, case by case."""

    def same(found: np.ndarray, wanted: np.ndarray, holes: bool = False) -> bool:
        if found.shape != wanted.shape:
            return False
        one, two = found.astype(float), wanted.astype(float)
        anything = np.isnan(two) & holes
        return bool((anything | np.isclose(one, two, relative, close, equal_nan=True)).all())

    for case in cases:
        given = copy.deepcopy(case)
        with np.errstate(all="ignore"):  # an overflow has a message of its own
            result = call(function, *given)
            if changed and not all(map(_unchanged, given, case)):
                raise Mistake(changed)
            wanted = read(right(*case))
            if isinstance(result, str) and wanted.ndim == 0 and read is array:
                result = number(result)
            found = read(result)
            if wanted.ndim == 0 and found.size == 1:
                found = found.reshape(())
            if same(found, wanted):
                continue
            for message, wrong in _one_by_one(mistakes(*case) if callable(mistakes) else mistakes):
                if same(found, read(wrong(*case) if callable(wrong) else wrong), holes=True):
                    raise Mistake(message)
        said = otherwise
        if found.shape != wanted.shape:
            said = shape or f"A result of shape {wanted.shape} is wanted; yours has {found.shape}."
            if wanted.ndim == 0 and not shape:
                said = f"One number is wanted here, not {found.size:,} of them."
        elif isinstance(said, str) and np.isnan(found).any():
            said = f"Your result is nan, not a number. {said}"
        raise Mistake(said if isinstance(said, str) else said(found, wanted, *case))
    return praise


def _unchanged(given: Any, before: Any) -> bool:
    if isinstance(given, np.ndarray):
        return np.array_equal(given, before, equal_nan=given.dtype.kind == "f")
    return not isinstance(given, pd.DataFrame) or given.equals(before)


def _one_by_one(mistakes: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for message, wrong in mistakes.items():
        for each in wrong if isinstance(wrong, list) else [wrong]:
            yield message, each


def _kind(answer: Any) -> str:
    name = type(answer).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _show(title: str, text: str, color: str = NOTE_COLOR, code: str = "") -> None:
    """Show a verdict below the cell: as a box in a browser, as plain lines elsewhere."""
    from IPython.display import display

    # The word and the sign say it too: nobody needs to see the colour.
    box = (
        f'<div role="status" style="border-left: 4px solid {color}; padding: 4px 12px">'
        f"<b>{html.escape(title)}</b> {html.escape(text)}"
        + (f"<pre>{html.escape(code)}</pre>" if code else "")
        + "</div>"
    )
    plain = f"{title} {text}" + (f"\n\n{code}" if code else "")
    display({"text/html": box, "text/plain": plain}, raw=True)


def exercises_of(notebook: str) -> list[Exercise]:
    """The exercises of one notebook, in their order."""
    name = f"{__package__}.{notebook.partition('_')[2]}"
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
    import nbformat  # slow to load, and needed here alone

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
    from nbformat.v4 import new_markdown_cell

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
    answer = ast.unparse(call.args[0])
    given = [  # what the cell holds besides the open answer and its check
        ast.get_source_segment(cell.source, node) or ""
        for node in ast.parse(cell.source).body
        if not _defines(node, answer) and ast.unparse(node) != ast.unparse(call)
    ]
    space = "\n\n" if exercise.source.splitlines()[-1].startswith(" ") else ""  # below a function
    cell.source = "\n".join(
        [*given, *([""] if given else []), exercise.source + space, ast.unparse(call)]
    )
    # The stored copy stays a valid notebook: the explanation is a cell with its own name.
    why = new_markdown_cell(f"**Solution.** {exercise.explanation}")
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
