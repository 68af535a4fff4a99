"""How JupyterLab is started for the course."""

import os
import subprocess
import sys

from imgclf_lib.errors import InputError
from imgclf_lib.paths import course_folder


def open_lab(browser: bool = True, port: int = 8888) -> int:
    """Open the course in JupyterLab, and wait until it is closed.

    The server listens on loopback only, with a fresh token, and asks the network for nothing.

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
    if not (course_folder() / "notebooks").is_dir():
        raise InputError(
            f"There is no course in {course_folder()}",
            do="Run this in a checkout of the course, or set IMGCLF_HOME to one",
        )
    command = [
        *(sys.executable, "-m", "jupyterlab"),
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        f"--ServerApp.root_dir={course_folder()}",
        f"--ServerApp.open_browser={browser}",
        "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb",
        *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
    ]
    # The settings there keep JupyterLab from asking about news and looking for updates.
    settings = [str(course_folder() / "docs" / "jupyter"), os.environ.get("JUPYTER_CONFIG_PATH")]
    environment = {**os.environ, "JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, settings))}
    return subprocess.run(command, env=environment, check=False).returncode
