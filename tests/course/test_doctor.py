"""The doctor: one line for each thing, and what to do about a red one; and JupyterLab."""

import os
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from traitlets.config import Config

from imgclf_lib.backend import load_keras
from imgclf_lib.course import doctor, examine, open_lab
from imgclf_lib.course.doctor import Check
from imgclf_lib.course.identity import Identity
from imgclf_lib.errors import InputError

NAMES = ["Python", "packages", "backend", "accelerator", "data", "notebooks", "memory", "disk"]


def look(name: str) -> Check:
    return next(check for check in examine() if check.name == name)


def test_every_thing_has_a_line():
    checks = examine()
    assert [check.name for check in checks] == NAMES
    assert all(check.found and "\n" not in check.found for check in checks)
    good = {check.name for check in checks if check.good}
    assert {"Python", "packages", "backend", "accelerator", "data"} <= good


def test_versions_are_told():
    keras = load_keras()
    assert f"keras {keras.__version__}" in look("packages").found
    assert look("backend").found.startswith(keras.backend.backend() + " ")


def test_missing_data_is_red(tmp_path, monkeypatch):
    monkeypatch.setenv("IMGCLF_DATA", str(tmp_path))
    check = look("data")
    assert not check.good
    assert check.found.count("is missing") == 4
    assert check.do


def test_a_damaged_file_is_red(tmp_path, monkeypatch):
    monkeypatch.setenv("IMGCLF_DATA", str(tmp_path))
    (tmp_path / "fashion_mnist").mkdir()
    (tmp_path / "fashion_mnist" / "t10k-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    assert "checksum differs" in look("data").found


def test_no_notebooks_is_red(tmp_path, monkeypatch):
    monkeypatch.setenv("IMGCLF_HOME", str(tmp_path))
    check = look("notebooks")
    assert (check.good, check.found) == (False, "0 in the course")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "00_start.ipynb").write_text("{}")
    assert look("notebooks") == Check("notebooks", True, "1 in the course", check.do)


def test_a_missing_package_is_red(monkeypatch):
    monkeypatch.setattr(doctor, "PACKAGES", ("numpy", "no-such-package"))
    assert look("packages")[:3] == ("packages", False, "no-such-package is missing")


def test_no_backend_is_red_and_does_not_end_it(monkeypatch):
    def missing(backend: str = "auto") -> None:
        raise InputError("No Keras backend is installed")

    monkeypatch.setattr(doctor, "load_keras", missing)
    monkeypatch.setattr(doctor, "list_devices", missing)
    red = {check.name: check for check in examine() if not check.good}
    assert {"backend", "accelerator"} <= set(red)
    assert red["backend"].found == "No Keras backend is installed."
    assert red["backend"].do


@pytest.mark.parametrize(("free", "good"), [(1e9, False), (100e9, True)])
def test_memory_and_disk(free, good, monkeypatch):
    monkeypatch.setattr(doctor.psutil, "virtual_memory", lambda: SimpleNamespace(available=free))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda place: SimpleNamespace(free=free))
    for name in ("memory", "disk"):
        check = look(name)
        assert check.good is good
        assert check.found == f"{free / 1e9:.0f} GB free"


def test_the_disk_of_a_folder_that_is_not_there_yet(tmp_path, monkeypatch):
    monkeypatch.setenv("IMGCLF_CACHE", str(tmp_path / "not" / "yet"))
    assert look("disk").found.endswith("GB free")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def started(monkeypatch):
    """The processes that were started, instead of starting them."""
    found = []

    def run(command, **options):
        found.append((command, options))
        return SimpleNamespace(returncode=3)

    monkeypatch.setattr(doctor.subprocess, "run", run)
    return found


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A course of one notebook, stored with its outputs."""
    monkeypatch.setenv("IMGCLF_HOME", str(tmp_path))
    said = new_output("stream", text="42")
    cells = [new_markdown_cell("# Start"), new_code_cell("6 * 7", outputs=[said])]
    cells[1].execution_count = 1
    cells[1].metadata["tags"] = ["exercise"]
    (tmp_path / "notebooks").mkdir()
    nbformat.write(new_notebook(cells=cells), tmp_path / "notebooks" / "00_start_here.ipynb")
    return tmp_path


def test_the_course_is_opened_on_this_machine_only(started, home, monkeypatch):
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "mine")
    assert open_lab(browser=False, port=9000) == 3
    [(command, options)] = started
    assert command[1:3] == ["-m", "jupyterlab"]
    assert {
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.port=9000",
        "--ServerApp.open_browser=False",
        "--LabApp.default_url=/lab/tree/my_notebooks/00_start_here.ipynb",
    } <= set(command)
    assert not [word for word in command if "token" in word], (
        "others may read it in the list of processes"
    )
    assert "--ServerApp.identity_provider_class=imgclf_lib.course.identity.Identity" in command
    settings = options["env"]["JUPYTER_CONFIG_PATH"].split(os.pathsep)
    assert settings == [str(home / "docs" / "jupyter"), "mine"]


def test_learners_work_on_copies_without_outputs(started, home):
    stored = (home / "notebooks" / "00_start_here.ipynb").read_bytes()
    open_lab()
    assert (home / "notebooks" / "00_start_here.ipynb").read_bytes() == stored
    copy = home / "my_notebooks" / "00_start_here.ipynb"
    [_, cell] = nbformat.read(copy, 4).cells
    assert (cell.source, cell.metadata["tags"]) == ("6 * 7", ["exercise"])
    assert (cell.outputs, cell.execution_count) == ([], None)
    copy.write_text("what a learner has made of it")
    open_lab()
    assert copy.read_text() == "what a learner has made of it"
    copy.unlink()
    open_lab()
    assert copy.exists(), "a fresh one for who wants to start again"
    assert len(list(copy.parent.iterdir())) == 1


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_what_cannot_be_a_port_is_refused(port, started):
    with pytest.raises(InputError, match="1 to 65535"):
        open_lab(port=port)
    assert started == []


def test_without_a_course_nothing_is_opened(started, tmp_path, monkeypatch):
    monkeypatch.setenv("IMGCLF_HOME", str(tmp_path))
    with pytest.raises(InputError, match="no notebooks"):
        open_lab()
    assert started == []


@pytest.mark.parametrize("own", [{}, {"token": ""}, {"token": "mine"}, {"hashed_password": "x"}])
def test_the_lab_always_has_a_token(own, monkeypatch):
    monkeypatch.delenv("JUPYTER_TOKEN", raising=False)
    config = Config({"IdentityProvider": own, "PasswordIdentityProvider": own})
    one, other = Identity(config=config), Identity(config=config)
    if own.get("token"):
        assert one.token == "mine"
        return
    assert len(one.token) == 48
    assert one.token != other.token
    assert one.token_generated
    one.token_generated, one.token = False, ""  # as ServerApp does with its own old option
    assert one.token
    assert one.token_generated
