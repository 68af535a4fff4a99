"""Headless runs on treacherous notebooks: the suite must notice, name the cell and go on."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
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
        notebooks: Any, out: Any, data: Any, profile: Any, parameters: Any, cell_timeout: Any
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
