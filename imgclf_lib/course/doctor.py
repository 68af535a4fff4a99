"""Check the machine, one line for each thing; open the course in JupyterLab."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil

from imgclf_lib.backend import list_devices, load_keras
from imgclf_lib.course.suite import course_notebooks
from imgclf_lib.data import checksum_problems
from imgclf_lib.errors import InputError, tell
from imgclf_lib.storage import atomic, cache_folder, course_folder

PACKAGES = ("keras", "numpy", "pandas", "matplotlib", "jupyterlab", "ipywidgets", "papermill")
GIGABYTE = 1e9
COPIES = "my_notebooks"  # where a learner works
DISK_NEEDED = 3.0  # gigabytes: caches and models of the whole course, with room to spare


class Check(NamedTuple):
    """One line of the doctor.

    Args:
        name: What was looked at.
        good: Whether it is as it should be.
        found: What was found.
        do: What to do if it is not good.
    """

    name: str
    good: bool
    found: str
    do: str = ""


def examine() -> list[Check]:
    """Look at Python, packages, backend, accelerator, data, notebooks, memory and disk.

    Returns:
        A check for each, in this order.
    """
    looks: list[Callable[[], Check]] = [
        _python,
        _packages,
        _backend,
        _accelerator,
        _data,
        _notebooks,
        _memory,
        _disk,
    ]
    return [look() for look in looks]


def _python() -> Check:
    good = sys.version_info >= (3, 11)
    return Check("Python", good, platform.python_version(), "Install Python 3.11 or newer")


def _packages() -> Check:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return Check("packages", False, f"{name} is missing", "Run: make env")
    return Check("packages", True, ", ".join(f"{name} {versions[name]}" for name in versions))


def _backend() -> Check:
    try:
        keras = load_keras()
    except InputError as error:
        return Check("backend", False, str(error), "Run: make env")
    name = keras.backend.backend()
    return Check("backend", True, f"{name} {sys.modules[name].__version__}")


def _accelerator() -> Check:
    """No accelerator is no fault: the course is made for two processor cores."""
    try:
        devices = list_devices("gpu")
    except InputError:
        return Check("accelerator", False, "cannot look without a backend", "Run: make env")
    found = ", ".join(devices) or f"none; {os.cpu_count()} processor cores do the work"
    return Check("accelerator", True, found)


def _data() -> Check:
    problems = checksum_problems("fashion_mnist")
    found = "; ".join(problems) or "fashion_mnist matches the published checksums"
    return Check("data", not problems, found, "Run: git checkout -- data/fashion_mnist")


def _notebooks() -> Check:
    folder = course_folder() / "notebooks"
    count = len(list(folder.glob("[0-9][0-9]_*.ipynb")))
    do = "Start in a checkout of the course, or set IMGCLF_HOME to one"
    return Check("notebooks", count > 0, f"{count} in the course", do)


def _memory() -> Check:
    free = psutil.virtual_memory().available / GIGABYTE
    return Check("memory", free > 2, f"{free:.0f} GB free", "Close other programs: 2 GB are needed")


def _disk() -> Check:
    place = cache_folder()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / GIGABYTE
    do = f"Free some space: {DISK_NEEDED:.0f} GB are needed"
    return Check("disk", free > DISK_NEEDED, f"{free:.0f} GB free", do)


def open_lab(browser: bool = True, port: int = 8888) -> int:
    """Open the course in JupyterLab, and wait until it is closed.

    The learner works on copies without outputs, in ``my_notebooks``; those that are there stay.
    The server listens on loopback only, always with a token, and asks the network for nothing.

    Args:
        browser: Whether to open a web browser.
        port: First port to try.

    Returns:
        The exit code of JupyterLab.

    Raises:
        InputError: If there is no course to open, or the port cannot be one.
    """
    if not 1 <= port <= 65535:
        raise InputError("This is not a port", allowed="1 to 65535", received=port)
    _copy_notebooks(course_folder() / COPIES)
    command = [
        *(sys.executable, "-m", "jupyterlab"),
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        # The user's configuration cannot switch the token off; it stays out of lists of processes.
        "--ServerApp.identity_provider_class=imgclf_lib.course.identity.Identity",
        f"--ServerApp.root_dir={course_folder()}",
        f"--ServerApp.open_browser={browser}",
        f"--LabApp.default_url=/lab/tree/{COPIES}/00_start_here.ipynb",
        *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
    ]
    # The settings there keep JupyterLab from asking about news and looking for updates.
    settings = [str(course_folder() / "docs" / "jupyter"), os.environ.get("JUPYTER_CONFIG_PATH")]
    environment = {**os.environ, "JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, settings))}
    return subprocess.run(command, env=environment, check=False).returncode


def _copy_notebooks(folder: Path) -> None:
    """Copy the notebooks that are not there yet, without outputs: what to guess is not shown."""
    import nbformat  # slow to load, and needed here alone

    missing = [path for path in course_notebooks() if not (folder / path.name).exists()]
    for path in missing:
        content = nbformat.read(path, as_version=4)
        for cell in content.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        with atomic(folder / path.name) as beside:
            nbformat.write(content, beside)
    if missing:
        tell(f"Fresh copies of {len(missing)} notebooks are in {folder}")
