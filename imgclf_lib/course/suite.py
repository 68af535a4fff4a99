"""The course, headless: notebooks executed by papermill, and a report about them."""

import ast
import inspect
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from imgclf_lib.course.report import Outcome, write_report
from imgclf_lib.data import load_data, with_whole_paths
from imgclf_lib.errors import InputError, NotebookError
from imgclf_lib.experiment import Experiment
from imgclf_lib.storage import course_folder

# papermill and nbformat take seconds to load, and every notebook imports this chapter: they are
# imported where notebooks are run.
if TYPE_CHECKING:
    from nbformat import NotebookNode

PROFILES = ("quick", "full")
LOADING = ("data", "fixes", "group")  # parameters that say which images there are


class Planned(NamedTuple):
    """One notebook to run.

    Args:
        path: The notebook.
        parameters: Values for its parameters cell.
    """

    path: Path
    parameters: dict[str, Any]


def run_notebooks(
    notebooks: Sequence[str],
    out: Path,
    data: str = "",
    profile: str = "quick",
    parameters: dict[str, Any] | None = None,
    cell_timeout: int = 1800,
) -> pd.DataFrame:
    """Run notebooks one after the other, each in a fresh kernel, and write the report.

    A notebook that fails does not keep the others from running.

    Args:
        notebooks: Names such as ``04_train`` or ``04``, or paths; all of the course if empty.
        out: Folder for ``notebooks/``, ``html/``, ``index.html`` and ``results.csv``.
        data: Known name, folder, list or archive of images; the notebooks' own choice if empty.
        profile: ``quick``, or ``full`` for the values that reach the headline figures.
        parameters: More values by parameter name, such as ``fixes`` and ``group``.
        cell_timeout: Seconds that one cell may take.

    Returns:
        What ``results.csv`` holds: a row a notebook.

    Raises:
        InputError: If a name, parameter or value is not allowed; nothing is written then.
        NotebookError: If a notebook failed; it names notebook and cell, and the report is there.
    """
    jobs = plan(notebooks, data, profile, parameters or {})
    _check_out(out)
    for name in ("notebooks", "html"):
        (out / name).mkdir(parents=True, exist_ok=True)
    subject = _subject(jobs)
    outcomes: list[Outcome] = []
    for number, job in enumerate(jobs, 1):
        print(f"[{number}/{len(jobs)}] {job.path.stem}", file=sys.stderr, flush=True)
        outcomes.append(_run(job, out, cell_timeout))
        results = write_report(outcomes, out, f"profile {profile}", subject)
        print(f"        {outcomes[-1].summary}", file=sys.stderr, flush=True)
    failed = [outcome for outcome in outcomes if outcome.problem]
    if failed:
        what = "; ".join(f"{outcome.notebook}: {outcome.problem}" for outcome in failed)
        raise NotebookError(
            f"{len(failed)} of {len(jobs)} notebooks failed. {what}",
            do=f"The report is in {out / 'index.html'}",
        )
    return results


def plan(
    notebooks: Sequence[str], data: str, profile: str, parameters: dict[str, Any]
) -> list[Planned]:
    """Choose the notebooks and check every parameter, before anything runs."""
    if profile not in PROFILES:
        raise InputError("There is no such profile", allowed=", ".join(PROFILES), received=profile)
    parameters = {**parameters, "data": data} if data else dict(parameters)
    for name in ("data", "fixes"):  # the notebooks run in a folder of their own
        path = Path(str(parameters.get(name) or "")).expanduser()
        if parameters.get(name) and path.exists():
            parameters[name] = str(path.resolve())
    if data:  # says now what would go wrong in every notebook
        load_data(Experiment(**{name: parameters[name] for name in LOADING if name in parameters}))
    paths = find_notebooks(notebooks)
    declared = {path: _declared(path) for path in paths}
    known = sorted({name for names in declared.values() for name in names})
    for name in parameters:
        if name not in known:
            raise InputError(
                "No notebook has this parameter", allowed=", ".join(known), received=name
            )
    names = {each.name for each in fields(Experiment)}
    Experiment().replace(**{name: parameters[name] for name in parameters if name in names})
    jobs = []
    for path in paths:
        wanted = {**(_profile(path) if profile == "full" else {}), **parameters}
        jobs.append(
            Planned(path, {name: wanted[name] for name in wanted if name in declared[path]})
        )
    return jobs


def course_notebooks() -> list[Path]:
    """The notebooks of the course, in reading order.

    Returns:
        Paths, sorted by number.

    Raises:
        InputError: If there are none.
    """
    folder = course_folder() / "notebooks"
    paths = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not paths:
        raise InputError(
            f"There are no notebooks in {folder}",
            do="Run this in a checkout of the course, or set IMGCLF_HOME to one",
        )
    return paths


def find_notebooks(names: Sequence[str]) -> list[Path]:
    """Notebooks by their names.

    Args:
        names: Such as ``04_train`` or ``04``, or paths; all of the course if empty.

    Returns:
        Their paths, in the order of the names.

    Raises:
        InputError: If there is no such notebook.
    """
    return [_find(name) for name in names] or course_notebooks()


def notebook_parameters(experiment: Experiment, notebook: str) -> str:
    """The command that runs a notebook with the values of an experiment.

    Args:
        experiment: The experiment.
        notebook: Name of a notebook of the course, such as ``04_train``.

    Returns:
        A line for a terminal, with the papermill parameters that differ from the notebook's own.

    Raises:
        InputError: If the notebook does not have all the parameters that this needs.
    """
    path = course_folder() / "notebooks" / f"{notebook}.ipynb"
    declared = _declared(path)
    words = ["imgclf", "run", notebook]
    experiment = with_whole_paths(experiment)
    missing = []
    for each in fields(experiment):
        value, default = getattr(experiment, each.name), each.default
        if each.name in declared:
            default = ast.literal_eval(declared[each.name]["default"])
            default = tuple(default) if isinstance(default, list) else default
        if value == default:
            continue
        if each.name not in declared:
            missing.append(each.name)
        elif each.name == "data":
            words += ["--data", value]
        else:
            words += ["-p", each.name, str(list(value) if isinstance(value, tuple) else value)]
    if missing:
        raise InputError(f"{notebook} has no parameter {', '.join(missing)}")
    return shlex.join(words)


def _find(name: str) -> Path:
    given = Path(name)
    if given.suffix == ".ipynb" and given.is_file():
        return given
    names = [path for path in course_notebooks() if path.stem.startswith(given.stem)]
    exact = [path for path in names if path.stem == given.stem]
    if len(exact or names) != 1:
        raise InputError(
            "There is no such notebook",
            allowed=", ".join(path.stem for path in course_notebooks()) + ", or a path",
            received=name,
        )
    return (exact or names)[0]


def _subject(jobs: Sequence[Planned]) -> str:
    """Name of the data, as the notebooks are given it or have it in their parameters cell."""
    for job in jobs:
        default = _declared(job.path).get("data", {}).get("default", "''")
        data = job.parameters.get("data") or ast.literal_eval(default)
        if data:
            return Path(data).name
    return ""


def _declared(path: Path) -> dict[str, Any]:
    """The parameters of a notebook, each with its default as source text."""
    import papermill

    return papermill.inspect_notebook(path)


def _profile(path: Path) -> dict[str, Any]:
    import nbformat

    return nbformat.read(path, 4).metadata.get("imgclf", {}).get("full", {})


def _check_out(out: Path) -> None:
    if out.is_dir() and any(out.iterdir()) and not (out / "results.csv").is_file():
        raise InputError(
            f"{str(out)!r} holds files that are not a report",
            do="Choose an empty or new folder with --out",
        )


def _run(job: Planned, out: Path, cell_timeout: int) -> Outcome:
    import nbformat
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    executed = out / "notebooks" / job.path.name
    started, problem = time.perf_counter(), ""
    try:
        papermill.execute_notebook(
            job.path,
            executed,
            job.parameters,
            engine_name="imgclf",
            cwd=str(job.path.resolve().parent),
            progress_bar=sys.stderr.isatty(),
            execution_timeout=cell_timeout,
        )
    except PapermillExecutionError as error:
        problem = f"{error.ename}: {error.evalue}"
    except CellTimeoutError:
        problem = f"the cell took longer than {cell_timeout} seconds"
    except DeadKernelError as error:
        problem = inspect.cleandoc(str(error)).rstrip(".").lower()
    seconds = time.perf_counter() - started
    notebook = nbformat.read(executed, 4)
    if problem:
        problem = f"code cell {_failed_cell(notebook)}, {problem}"
    return Outcome(job.path.stem, notebook, seconds, problem)


def _failed_cell(notebook: "NotebookNode") -> int:
    """The number of the code cell that ended the run, counted from 1 as in ``In [1]``."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(cells, 1):
        if any(output.output_type == "error" for output in cell.outputs):
            return number
    begun = [
        number
        for number, cell in enumerate(cells, 1)
        if cell.metadata.get("papermill", {}).get("start_time")
    ]
    return max(begun, default=0)
