"""Headless runs on treacherous notebooks: the suite must notice, name the cell and go on."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
from filelock import FileLock
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from imgclf_lib import cli
from imgclf_lib.course import course_notebooks, notebook_parameters, run_notebooks, suite
from imgclf_lib.course.report import MIME_TYPE
from imgclf_lib.course.suite import plan
from imgclf_lib.errors import InputError, NotebookError
from imgclf_lib.experiment import Experiment

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
GOOD = (
    "from imgclf_lib.course import headline\nheadline(f'The <answer> is {answer}.', answer=answer)"
)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def write_notebook(name: str, *sources: str, **metadata: object) -> str:
        cells = [
            new_markdown_cell(f"# {name} & friends"),
            new_code_cell("answer = 42\nepochs = 5", metadata={"tags": ["parameters"]}),
            *map(new_code_cell, sources),
        ]
        notebook = new_notebook(cells=cells, metadata={"kernelspec": KERNEL, **metadata})
        path = tmp_path / f"{name}.ipynb"
        nbformat.write(notebook, path)
        return str(path)

    return write_notebook


def test_treacherous_notebooks_are_named_and_the_report_is_complete(
    write: Callable[..., str], tmp_path: Path
) -> None:
    traps = {
        "early_exit": ("import sys; sys.exit(0)", "ended before its last cell"),
        "dead_kernel": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "kernel died"),
        "hang": ("import time; time.sleep(1000)", "longer than 15 seconds"),
        "error": ("1 / 0", "ZeroDivisionError"),
    }
    paths = [write("good_before", GOOD)]
    paths += [write(name, "x = 1", source, "y = 2") for name, (source, _) in traps.items()]
    paths += [write("good_after", GOOD)]
    out = tmp_path / "report"
    with pytest.raises(NotebookError) as caught:
        run_notebooks(paths, out, cell_timeout=15)  # a good cell may wait for a busy machine
    message = str(caught.value)
    assert caught.value.exit_code == 1
    results = pd.read_csv(out / "results.csv").set_index("notebook")
    for name, (_, reason) in traps.items():
        assert re.search(rf"{name}: code cell 3, [^;]*{reason}", message), message
        assert results.loc[name, "status"] == "failed"
    assert list(results.index) == ["good_before", *traps, "good_after"]
    assert results.loc[["good_before", "good_after"], "status"].eq("passed").all()
    assert results.loc["good_after", "answer"] == 42
    for name in results.index:
        assert (out / "notebooks" / f"{name}.ipynb").is_file()
        assert (out / "html" / f"{name}.html").is_file()
    index = (out / "index.html").read_text()
    assert index.count("Failed in") == 4
    assert "The &lt;answer&gt; is 42." in index
    assert "good_after &amp; friends" in index


def test_exit_in_the_last_cell_counts_as_too_early(
    write: Callable[..., str], tmp_path: Path
) -> None:
    with pytest.raises(NotebookError, match="last: code cell 2"):
        run_notebooks([write("last", "raise SystemExit(0)")], tmp_path / "report")


def test_interact_does_not_stall(write: Callable[..., str], tmp_path: Path) -> None:
    source = (
        "import ipywidgets\n"
        "out = ipywidgets.Output()\n"
        "with out:\n    print('inside')\n"
        "_ = ipywidgets.interact(lambda x: print(x), x=(0, 9))"
    )
    notebook = write("widgets", *[source] * 10)
    results = run_notebooks([notebook], tmp_path / "report", cell_timeout=60)
    assert results["status"].item() == "passed"


def test_no_progress_bar_stays_in_a_page(write: Callable[..., str], tmp_path: Path) -> None:
    code = "from tqdm import tqdm\nfor number in tqdm(range(3)):\n    print(number)"
    run_notebooks([write("bar", code)], tmp_path / "report")
    notebook = nbformat.read(tmp_path / "report" / "notebooks" / "bar.ipynb", 4)
    assert {output.get("name") for output in notebook.cells[-1].outputs} == {"stdout"}


def test_one_sentence_stands_for_a_live_widget(write: Callable[..., str], tmp_path: Path) -> None:
    source = "from imgclf_lib.course.widgets.base import Frame\nFrame('Try <this>')"
    run_notebooks([write("live", source)], tmp_path / "report")
    stored = (tmp_path / "report" / "notebooks" / "live.ipynb").read_text()
    assert "(Live in JupyterLab: Try <this>)" in stored
    assert "widget-view" not in stored
    page = (tmp_path / "report" / "html" / "live.html").read_text()
    assert "(Live in JupyterLab: Try &lt;this&gt;)" in page
    assert "html-manager" not in page  # nbconvert would fetch it from a content network


def test_report_pages_fetch_nothing(write: Callable[..., str], tmp_path: Path) -> None:
    run_notebooks([write("page", GOOD)], tmp_path / "report")
    for page in (tmp_path / "report").rglob("*.html"):
        assert not re.findall(r'(?:src|href)="(?:https?:)?//[^"]*"', page.read_text())


def test_parameters_and_profile_reach_the_notebook(
    write: Callable[..., str], tmp_path: Path
) -> None:
    path = write("one", GOOD, imgclf={"full": {"answer": 43}})
    full = run_notebooks([path], tmp_path / "full", profile="full")
    assert full["answer"].item() == 43
    given = run_notebooks([path], tmp_path / "given", profile="full", parameters={"answer": 7})
    assert given["answer"].item() == 7


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"anser": 1}, "answer, epochs"),
        ({"epochs": 0}, "'epochs'"),
        ({"epochs": "many"}, "'epochs'"),
        ({"x=1;print('P')#": 1}, "No notebook has this parameter"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_runs(
    parameters: dict, named: str, write: Callable[..., str], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=re.escape(named)):
        run_notebooks([write("one", GOOD)], tmp_path / "report", parameters=parameters)
    assert not (tmp_path / "report").exists()


def test_a_folder_with_other_files_is_left_alone(write: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="not a report"):
        run_notebooks([write("one", GOOD)], tmp_path / "mine")
    assert [each.name for each in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_headline_is_stored_for_the_report(write: Callable[..., str], tmp_path: Path) -> None:
    run_notebooks([write("one", GOOD)], tmp_path / "report")
    notebook = nbformat.read(tmp_path / "report" / "notebooks" / "one.ipynb", 4)
    kept = [output.data[MIME_TYPE] for cell in notebook.cells for output in cell.get("outputs", [])]
    assert kept == [{"sentence": "The <answer> is 42.", "figures": {"answer": 42.0}}]


def test_plan_finds_notebooks_by_number_and_by_name() -> None:
    jobs = plan(["04", "06_predict"], "", "quick", {"epochs": 2})
    assert [job.path.stem for job in jobs] == ["04_train", "06_predict"]
    assert all(job.parameters == {"epochs": 2} for job in jobs)
    numbers = [path.stem[:2] for path in course_notebooks()]
    assert numbers == [f"{number:02}" for number in range(len(numbers))]


def test_data_and_corrections_reach_the_notebooks_with_whole_paths(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = next(images.glob("*/*.png")).relative_to(images).as_posix()
    (tmp_path / "fixes.csv").write_text(f"path,action\n{first},exclude\n")
    monkeypatch.chdir(tmp_path)
    given = {"fixes": "fixes.csv", "group": "([0-9]+).png"}
    (job,) = plan(["04"], str(images), "quick", given)
    assert job.parameters["data"] == str(images.resolve())
    assert job.parameters["fixes"] == str((tmp_path / "fixes.csv").resolve())
    assert job.parameters["group"] == given["group"]


@pytest.mark.parametrize("given", [{"fixes": "no_such.csv"}, {"group": "("}])
def test_wrong_corrections_are_refused_before_anything_runs(given: dict, images: Path) -> None:
    with pytest.raises(InputError):
        plan(["04"], str(images), "quick", given)


def test_the_report_is_about_the_data(
    write: Callable[..., str], images: Path, tmp_path: Path
) -> None:
    path = write("one", GOOD)
    run_notebooks([path], tmp_path / "none")
    assert "<title>Image classification</title>" in (tmp_path / "none/index.html").read_text()
    notebook = nbformat.read(path, 4)
    notebook.cells[1].source += "\ndata = 'fashion_mnist'"
    nbformat.write(notebook, path)
    run_notebooks([path], tmp_path / "own")
    assert "<h1>fashion_mnist: " in (tmp_path / "own" / "index.html").read_text()
    run_notebooks([path], tmp_path / "given", data=str(images))
    assert f"<h1>{images.name}: " in (tmp_path / "given" / "index.html").read_text()


CHANGES = [
    {},
    {"filters": (), "dense_units": ()},
    {"filters": (7,), "dense_units": (5, 6), "epochs": 9},
    {"learning_rate": 1e-5, "flip": "both", "shift": 0.15, "optimizer": "sgd", "limit": 0},
    {"batch_size": 128, "dropout": 0.0, "limit": 2000, "backend": "tensorflow"},
]
PARAMETERS = """
data = "fashion_mnist"  # data
limit = 10_000
epochs = 5
batch_size = 64
learning_rate = 0.001
optimizer = "adam"
filters = [32, 64]
dense_units = [128]
dropout = 0.3
flip = "none"
shift = 0.0
seed = 0
backend = "auto"
other = 3  # no field
"""


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course of one notebook, which declares what a live widget offers."""
    cell = new_code_cell(PARAMETERS.strip(), metadata={"tags": ["parameters"]})
    notebook = new_notebook(cells=[cell])
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "language": "python",
        "display_name": "Python 3",
    }
    path = tmp_path / "notebooks" / "04_train.ipynb"
    path.parent.mkdir()
    nbformat.write(notebook, path)
    monkeypatch.setenv("IMGCLF_HOME", str(tmp_path))
    return path


def given(line: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The parameters with which the line would run the notebook."""
    found: list[Any] = []

    def instead(
        notebooks: Any, out: Any, data: Any, profile: Any, parameters: Any, *others: Any
    ) -> pd.DataFrame:
        found.extend(suite.plan(notebooks, data, profile, parameters))
        return pd.DataFrame()

    monkeypatch.setattr("imgclf_lib.course.run_notebooks", instead)
    words = shlex.split(line)
    assert words[0] == "imgclf"
    assert cli.main(words[1:]) == 0
    return found[0].parameters


@pytest.mark.parametrize("changes", CHANGES)
def test_the_parameters_give_the_equal_experiment(
    changes: dict[str, Any], course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope: dict[str, Any] = {}
    exec(PARAMETERS, scope)  # our own text above
    names = [name for name in scope if name in Experiment.__dataclass_fields__]
    experiment = Experiment(**changes)
    scope |= given(notebook_parameters(experiment, "04_train"), monkeypatch)
    assert Experiment(**{name: scope[name] for name in names}) == experiment


def test_the_notebooks_own_values_are_left_out(course: Path) -> None:
    own = Experiment(limit=10_000, batch_size=64)
    assert notebook_parameters(own, "04_train") == "imgclf run 04_train"
    one = notebook_parameters(own.replace(batch_size=128), "04_train")
    assert one == "imgclf run 04_train -p batch_size 128"


def test_a_folder_with_spaces_reaches_the_notebook(
    course: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my photos"
    folder.symlink_to(images)
    line = notebook_parameters(Experiment(data=str(folder)), "04_train")
    assert Path(given(line, monkeypatch)["data"]) == images.resolve()


def test_what_a_notebook_cannot_be_given_is_named(course: Path) -> None:
    with pytest.raises(InputError, match="04_train has no parameter rotate, zoom"):
        notebook_parameters(Experiment(rotate=5.0, zoom=0.1), "04_train")


def change(path: str, function: Callable[[Any], None]) -> None:
    notebook = nbformat.read(path, 4)
    function(notebook)
    nbformat.write(notebook, path)


def test_a_notebook_that_cannot_be_used_does_not_stop_the_others(
    write: Callable[..., str], tmp_path: Path
) -> None:
    broken, empty, foreign = (write(name, GOOD) for name in ("broken", "empty", "foreign"))
    Path(broken).write_text('{"cells": [')
    Path(empty).write_text("")

    def name_a_kernel_of_no_machine(notebook: Any) -> None:
        spec = {"name": "julia-1.99", "display_name": "Julia", "language": "julia"}
        notebook.metadata = {"kernelspec": spec}

    change(foreign, name_a_kernel_of_no_machine)
    out = tmp_path / "report"
    with pytest.raises(NotebookError, match="3 of 4 notebooks failed") as caught:
        run_notebooks([broken, empty, foreign, write("good", GOOD)], out)
    results = pd.read_csv(out / "results.csv").set_index("notebook")
    assert results.loc["broken", "problem"].startswith("reading it, Notebook does not appear")
    assert results.loc["empty", "problem"] == "reading it, the file is empty"
    assert "julia" in results.loc["foreign", "problem"]
    assert results.loc["good", "status"] == "passed"
    assert caught.value.exit_code == 1
    assert (out / "index.html").read_text().count("Failed in") == 3
    assert "the file is empty" in (out / "html" / "empty.html").read_text()


@pytest.mark.parametrize("name", ["conda-env-tf-py", ""])
def test_a_kernel_of_another_machine_is_replaced_by_ours(
    name: str, write: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write("theirs {1}", GOOD)

    def rename(notebook: Any) -> None:
        notebook.metadata.kernelspec = {**KERNEL, "name": name} if name else {}

    change(path, rename)
    before = Path(path).read_bytes()
    results = run_notebooks([path], tmp_path / "report", parameters={"answer": 5})
    assert results["answer"].item() == 5
    assert ("it runs in python3" in capsys.readouterr().err) == bool(name)
    assert Path(path).read_bytes() == before


def test_parameters_that_a_notebook_computes_are_no_hindrance(
    write: Callable[..., str], tmp_path: Path
) -> None:
    path = write("one", GOOD)

    def compute(notebook: Any) -> None:
        notebook.cells[1].source = "import os\ndata = os.getcwd()\nanswer = 6 * 7"

    change(path, compute)
    assert run_notebooks([path], tmp_path / "report")["answer"].item() == 42


def test_cells_that_do_not_run_or_may_fail_are_taken_as_jupyter_takes_them(
    write: Callable[..., str], tmp_path: Path
) -> None:
    path = write("odd", "  \n ", "1 / 0", "import sys; sys.exit(3)", "1 / 0", GOOD)

    def tag(notebook: Any) -> None:
        for number, name in ((3, "raises-exception"), (4, "raises-exception")):
            notebook.cells[number].metadata.tags = [name]
        notebook.cells[5].metadata.tags = ["skip-execution"]

    change(path, tag)
    results = run_notebooks([path], tmp_path / "report")
    assert results["status"].item() == "passed"
    stored = nbformat.read(tmp_path / "report" / "notebooks" / "odd.ipynb", 4)
    said = [
        output.ename
        for cell in stored.cells
        for output in cell.get("outputs", [])[:1]
        if output.output_type == "error"
    ]
    assert said == ["ZeroDivisionError", "SystemExit"]
    assert "exception was encountered" not in (tmp_path / "report/html/odd.html").read_text()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import sys; sys.exit(3)", "SystemExit: 3, so it ended before its last cell"),
        ("%no_such_magic", "UsageError: Line magic function `%no_such_magic` not found."),
        ("quit()", r"quit\(\) ended it before its last cell"),
        ("import os; os._exit(1)", "kernel died"),
        ("raise ValueError('x' * 1000)", "ValueError: x{288} …"),
    ],
)
def test_the_cell_and_the_reason_that_were_really_there(
    source: str, reason: str, write: Callable[..., str], tmp_path: Path
) -> None:
    path = write("trap", "1 / 0", source, "y = 2")

    def tag(notebook: Any) -> None:
        notebook.cells[2].metadata.tags = ["raises-exception"]

    change(path, tag)
    with pytest.raises(NotebookError, match=f"trap: code cell 3, {reason}"):
        run_notebooks([path], tmp_path / "report")


def test_what_a_cell_prints_has_an_end(write: Callable[..., str], tmp_path: Path) -> None:
    flood = "for _ in range(300):\n    print('x' * 100_000)"
    run_notebooks([write("flood", flood, GOOD)], tmp_path / "report")
    stored = tmp_path / "report" / "notebooks" / "flood.ipynb"
    assert stored.stat().st_size < 3_000_000
    assert stored.read_text().count("characters: the rest of this output was left out.]") == 1
    assert (tmp_path / "report" / "html" / "flood.html").stat().st_size < 5_000_000


def test_no_message_fills_the_memory_of_who_runs_the_notebook(
    write: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is printed at once is one message, and so is what a cell shows, or complains with."""
    import papermill  # first: it imports the engine, too

    from imgclf_lib.course.engine import Client

    assert papermill
    take, lengths = Client.process_message, []

    def measure(self: Any, msg: Any, cell: Any, cell_index: int) -> Any:
        lengths.append(len(str(msg["content"])))
        return take(self, msg, cell, cell_index)

    monkeypatch.setattr(Client, "process_message", measure)
    path = write("flood", "print('x' * 20_000_000)", "'y' * 20_000_000", "1 / 0", GOOD)
    change(path, lambda notebook: notebook.cells[4].metadata.update(tags=["raises-exception"]))
    run_notebooks([path], tmp_path / "report")
    assert 2_000_000 < max(lengths) < 3_000_000
    stored = (tmp_path / "report" / "notebooks" / "flood.ipynb").read_text()
    assert stored.count("the rest of this output was left out.]") == 2
    assert "ZeroDivisionError" in stored


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            "import resource\nresource.setrlimit(resource.RLIMIT_AS, (2 * 10**9, 2 * 10**9))\n"
            "b'x' * 10**10",
            "code cell 2, MemoryError",
        ),
        (
            "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
            r"code cell 2, kernel died \(it was ended by SIGKILL, as it is when the memory is full",
        ),
    ],
)
def test_a_cell_without_memory_is_named(
    source: str, reason: str, write: Callable[..., str], tmp_path: Path
) -> None:
    with pytest.raises(NotebookError, match=reason):
        run_notebooks([write("large", source, "y = 2")], tmp_path / "report")


def counting(path: Path) -> str:
    """Source of a cell that leaves a trace each time it runs."""
    return f"with open({str(path)!r}, 'a') as file: file.write('x')"


def test_an_interrupted_run_is_continued_and_nothing_finished_runs_again(
    write: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, traces = tmp_path / "report", [tmp_path / name for name in "abc"]
    paths = [write(each.name, counting(each), GOOD) for each in traces]
    run, pages = suite._run, []

    def interrupted(job: Any, out: Path, cell_timeout: int) -> Any:
        pages.append((out / "index.html").read_text())
        if len(pages) == 2:
            raise KeyboardInterrupt
        return run(job, out, cell_timeout)

    monkeypatch.setattr(suite, "_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_notebooks(paths, out, parameters={"answer": 7})
    assert "0 of 3 notebooks so far" in pages[0]
    assert "1 of 3 notebooks so far, 0 failed" in (out / "index.html").read_text()
    results = run_notebooks(paths, out, parameters={"answer": 7}, resume=True)
    assert results["answer"].tolist() == [7, 7, 7]
    assert [each.read_text() for each in traces] == ["x", "x", "x"]
    assert "3 notebooks, all passed" in (out / "index.html").read_text()
    # Other parameters, and a notebook that was changed, run again.
    run_notebooks(paths[:1], out, parameters={"answer": 8}, resume=True)
    change(paths[1], lambda notebook: notebook.cells.pop(0))
    results = run_notebooks(paths, out, parameters={"answer": 7}, resume=True)
    assert [each.read_text() for each in traces] == ["xxx", "xx", "x"]
    run_notebooks(paths[2:], out, parameters={"answer": 7})
    assert traces[2].read_text() == "xx", "without resume all of it runs"


def test_a_report_that_another_process_writes_is_refused(
    write: Callable[..., str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with (
        FileLock(out / ".lock"),
        pytest.raises(InputError, match=r"Another process is writing into .*out'"),
    ):
        run_notebooks([write("a", "1")], out)
    assert [path.name for path in out.iterdir()] == [".lock"]
    run_notebooks([write("a", "1")], out)


def test_what_failed_runs_again(write: Callable[..., str], tmp_path: Path) -> None:
    cure = tmp_path / "cure"
    path = write("ill", f"open({str(cure)!r})", GOOD)
    with pytest.raises(NotebookError, match="FileNotFoundError"):
        run_notebooks([path], tmp_path / "report")
    cure.touch()
    results = run_notebooks([path], tmp_path / "report", resume=True)
    assert results["status"].item() == "passed"


def test_what_an_older_version_left_when_interrupted_is_a_report(
    write: Callable[..., str], tmp_path: Path
) -> None:
    out = tmp_path / "report"
    for name in ("notebooks", "html"):
        (out / name).mkdir(parents=True)
    assert run_notebooks([write("one", GOOD)], out)["status"].item() == "passed"
    mine = tmp_path / "mine"
    for name in ("notebooks", "html"):
        (mine / name).mkdir(parents=True)
    own = mine / "notebooks" / "one.ipynb"
    own.write_text(Path(write("one", GOOD)).read_text())
    with pytest.raises(InputError, match="not a report"):
        run_notebooks([write("one", GOOD)], mine)


def test_no_notebook_is_written_over(write: Callable[..., str], tmp_path: Path) -> None:
    first = write("one", GOOD)
    run_notebooks([first, first], tmp_path / "report")
    executed = tmp_path / "report" / "notebooks" / "one.ipynb"
    before = executed.read_bytes()
    with pytest.raises(InputError, match="written over"):
        run_notebooks([str(executed)], tmp_path / "report")
    with pytest.raises(InputError, match="Two notebooks are called one"):
        run_notebooks([first, str(executed)], tmp_path / "other")
    assert executed.read_bytes() == before
