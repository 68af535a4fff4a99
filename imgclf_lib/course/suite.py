"""The course, headless: notebooks executed by papermill, and a report about them."""

import ast
import json
import re
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
from imgclf_lib.errors import InputError, NotebookError, tell
from imgclf_lib.experiment import Experiment
from imgclf_lib.storage import clear_left, course_folder, digest, locked, write_json

# papermill and nbformat take seconds to load, and every notebook imports this chapter: they are
# imported where notebooks are run.
if TYPE_CHECKING:
    from nbformat import NotebookNode

PROFILES = ("quick", "full")
LOADING = ("data", "fixes", "group")  # parameters that say which images there are
FINISHED = "finished.json"  # which notebooks of a report need not run again, and what they took
OURS = re.compile(r"\.lock|\.finished-")  # of a report too, and no content
FOLDERS = ("notebooks", "html")


class Planned(NamedTuple):
    """One notebook to run.

    Args:
        path: The notebook.
        parameters: Values for its parameters cell.
        problem: Why it cannot run, or empty.
    """

    path: Path
    parameters: dict[str, Any]
    problem: str = ""


def run_notebooks(
    notebooks: Sequence[str],
    out: Path,
    data: str = "",
    profile: str = "quick",
    parameters: dict[str, Any] | None = None,
    cell_timeout: int = 1800,
    resume: bool = False,
) -> pd.DataFrame:
    """Run notebooks one after the other, each in a fresh kernel, and write the report.

    A notebook that fails, or cannot be run at all, does not keep the others from running.

    Args:
        notebooks: Names such as ``04_train`` or ``04``, or paths; all of the course if empty.
        out: Folder for ``notebooks/``, ``html/``, ``index.html`` and ``results.csv``.
        data: Known name, folder, list or archive of images; the notebooks' own choice if empty.
        profile: ``quick``, or ``full`` for the values that reach the headline figures.
        parameters: More values by parameter name, such as ``fixes`` and ``group``.
        cell_timeout: Seconds that one cell may take.
        resume: Keep what has passed in ``out`` before: the same notebook, parameters and profile.

    Returns:
        What ``results.csv`` holds: a row a notebook.

    Raises:
        InputError: If a name, parameter or value is not allowed; nothing is written then.
        NotebookError: If a notebook failed; it names notebook and cell, and the report is there.
    """
    jobs = plan(notebooks, data, profile, parameters or {})
    _check_out(out, jobs)
    out.mkdir(parents=True, exist_ok=True)
    with locked(out / ".lock", wait=False):
        return _run_all(jobs, out, profile, cell_timeout, resume)


def _run_all(
    jobs: Sequence[Planned], out: Path, profile: str, cell_timeout: int, resume: bool
) -> pd.DataFrame:
    clear_left(out, (FINISHED, "results.csv", "index.html"))
    clear_left(out / "html", [f"{job.path.stem}.html" for job in jobs])
    finished = _read_finished(out) if resume else {}
    write_json(out / FINISHED, finished)  # what an interruption leaves is known to be a report
    for name in FOLDERS:
        (out / name).mkdir(parents=True, exist_ok=True)
    about, subject = f"profile {profile}", _subject(jobs)
    outcomes: list[Outcome] = []
    write_report(outcomes, out, about, subject, len(jobs))
    for number, job in enumerate(jobs, 1):
        tell(f"[{number}/{len(jobs)}] {job.path.stem}")
        key, name = _key(job, profile), job.path.stem
        outcome = _finished(job, out, finished.get(name), key)
        if outcome is None:
            if finished.pop(name, None):
                write_json(out / FINISHED, finished)
            outcome = _run(job, out, cell_timeout)
        else:
            tell("        passed before")
        outcomes.append(outcome)
        results = write_report(outcomes, out, about, subject, len(jobs))
        if not outcome.problem:
            finished[name] = {"key": key, "seconds": outcome.seconds}
            write_json(out / FINISHED, finished)
        tell(f"        {outcome.summary}")
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
    paths = list(dict.fromkeys(find_notebooks(notebooks)))
    declared, problems = {}, {}
    for path in paths:
        try:
            declared[path] = _declared(path)
        except Exception as error:  # whatever the file holds: the others run
            problems[path] = f"reading it, {_first_line(error)}"
    known = sorted({name for names in declared.values() for name in names})
    for name in parameters:
        if declared and name not in known:
            raise InputError(
                "No notebook has this parameter", allowed=", ".join(known), received=name
            )
    names = {each.name for each in fields(Experiment)}
    Experiment().replace(**{name: parameters[name] for name in parameters if name in names})
    jobs = []
    for path in paths:
        if path in problems:
            jobs.append(Planned(path, {}, problems[path]))
            continue
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
            default = _literal(declared[each.name]["default"])
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
        default = {} if job.problem else _declared(job.path).get("data", {})
        data = job.parameters.get("data") or _literal(default.get("default", "''"))
        if isinstance(data, str) and data:
            return Path(data).name
    return ""


def _literal(text: str) -> Any:
    """The value of a parameter in a notebook; None if the notebook computes it."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None


def _declared(path: Path) -> dict[str, Any]:
    """The parameters of a notebook, each with its default as source text."""
    import papermill

    notebook = _read(path)
    name, language = _kernel(notebook)
    notebook.metadata["kernelspec"] = {"name": name, "display_name": name, "language": language}
    return papermill.inspect_notebook(notebook)


def _profile(path: Path) -> dict[str, Any]:
    return _read(path).metadata.get("imgclf", {}).get("full", {})


def _read(path: Path) -> "NotebookNode":
    import nbformat

    text = path.read_text(encoding="utf-8")
    if not text.strip():
        raise ValueError("the file is empty")
    return nbformat.reads(text, as_version=4)


def _kernel(notebook: "NotebookNode") -> tuple[str, str]:
    """Kernel and language; what is Python and names a kernel of elsewhere runs in ours."""
    from jupyter_client.kernelspec import KernelSpecManager

    spec = notebook.metadata.get("kernelspec") or {}
    name = spec.get("name", "")
    language = notebook.metadata.get("language_info", {}).get("name") or spec.get("language")
    language = language or "python"
    if language == "python" and name not in KernelSpecManager().find_kernel_specs():
        name = "python3"
    return name, language


def _first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    said = str(error).strip().splitlines()
    return said[0][:300] if said else type(error).__name__


def _check_out(out: Path, jobs: Sequence[Planned]) -> None:
    stems = [job.path.stem for job in jobs]
    for stem in stems:
        if stems.count(stem) > 1:
            raise InputError(
                f"Two notebooks are called {stem}, and a report has one place for them",
                do="Give one of them another name, or run them one after the other",
            )
    for job in jobs:
        if job.path.resolve() == (out / "notebooks" / job.path.name).resolve():
            raise InputError(
                f"The report would be written over {str(job.path)!r}",
                do="Choose another folder with --out",
            )
    if not _is_report(out):
        raise InputError(
            f"{str(out)!r} holds files that are not a report",
            do="Choose an empty or new folder with --out",
        )


def _is_report(out: Path) -> bool:
    """Whether nothing but a report can be lost there: a whole one, or what was interrupted."""
    if not out.is_dir():
        return not out.exists()
    inside = {each.name for each in out.iterdir() if not OURS.match(each.name)}
    if not inside or inside & {"results.csv", FINISHED}:
        return True
    if inside != set(FOLDERS):
        return False
    # An interruption before the first notebook was done, in an older version.
    executed, pages = (list((out / name).iterdir()) for name in FOLDERS)
    return not pages and all(
        each.suffix == ".ipynb" and '"papermill"' in each.read_text("utf-8", "replace")
        for each in executed
    )


def _key(job: Planned, profile: str) -> str:
    """A text that changes with the notebook, its parameters and the profile."""
    given = json.dumps(job.parameters, sort_keys=True, default=str)
    return "" if job.problem else digest(job.path.read_bytes(), given, profile)


def _read_finished(out: Path) -> dict[str, Any]:
    try:
        finished = json.loads((out / FINISHED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return finished if isinstance(finished, dict) else {}


def _finished(job: Planned, out: Path, entry: Any, key: str) -> Outcome | None:
    """What came of a notebook before, if it passed and nothing about it has changed."""
    try:
        if entry["key"] != key or not (out / "html" / f"{job.path.stem}.html").is_file():
            return None
        executed = _content(out / "notebooks" / job.path.name)
        return Outcome(job.path.stem, executed, float(entry["seconds"]), "")
    except Exception:  # no entry, or a damaged one: run it again
        return None


def _run(job: Planned, out: Path, cell_timeout: int) -> Outcome:
    executed = out / "notebooks" / job.path.name
    executed.unlink(missing_ok=True)
    started, problem = time.perf_counter(), job.problem
    if not problem:
        problem = _execute(job, executed, cell_timeout)
    seconds = time.perf_counter() - started
    try:
        content = _content(executed)
    except Exception as error:  # never begun, or executed and still no valid notebook
        problem = problem or f"reading it, {_first_line(error)}"
        content = _excuse(problem)
    return Outcome(job.path.stem, content, seconds, problem)


def _execute(job: Planned, executed: Path, cell_timeout: int) -> str:
    """Execute one notebook; the reason if it fails, whatever is raised on the way."""
    import papermill
    from papermill.exceptions import PapermillExecutionError

    from imgclf_lib.course.engine import CellFailed

    try:
        notebook = _read(job.path)
        kernel, language = _kernel(notebook)
        own = (notebook.metadata.get("kernelspec") or {}).get("name")
        if own and own != kernel:
            said = f"        there is no kernel {own!r} here: it runs in {kernel}"
            tell(said)
        papermill.execute_notebook(
            *(str(path).replace("{", "{{").replace("}", "}}") for path in (job.path, executed)),
            job.parameters,
            engine_name="imgclf",
            kernel_name=kernel,
            language=language,
            cwd=str(job.path.resolve().parent),
            progress_bar=sys.stderr.isatty(),
            execution_timeout=cell_timeout,
        )
    except PapermillExecutionError:
        pass  # of a cell tagged raises-exception: the engine raises CellFailed for all others
    except CellFailed as failed:
        return str(failed)
    except Exception as error:
        return f"running it, {type(error).__name__}: {_first_line(error)}"
    return ""


def _content(executed: Path) -> "NotebookNode":
    """The executed notebook, if pages can be made of it."""
    import nbformat

    notebook = _read(executed)
    # Where an error is allowed, papermill still writes in red that the notebook has stopped.
    notebook.cells = [
        cell
        for cell in notebook.cells
        if "papermill-error-cell-tag" not in cell.metadata.get("tags", [])
    ]
    nbformat.validate(notebook)
    return notebook


def _excuse(problem: str) -> "NotebookNode":
    """A notebook that says why there is none."""
    from nbformat.v4 import new_code_cell, new_notebook, new_output

    said = new_output("stream", name="stderr", text=problem)
    return new_notebook(cells=[new_code_cell(outputs=[said])])
