"""A real JupyterLab on loopback, a real browser, and the hands of a learner."""

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import nbformat
import papermill
import pytest

ROOT = Path(__file__).parent.parent.parent
SECOND = 1000
# Other tests run the notebooks as they are; here learning less leaves time for the hands.
LESS = {
    "02_preprocess": {"small": 300, "epochs": 1},
    "04_train": {"overfit_limit": 200, "overfit_epochs": 4},
    "07_tune": {"trials": 4, "trial_limit": 300, "repeats": 2},
    "09_transfer_learning": {"limit": 300, "steps": 20, "tune_steps": 2},
    "10_go_fast": {"limit": 300, "epochs": 2},
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.course)


class Lab:
    """JupyterLab, started by ``imgclf lab`` on a copy of the course."""

    def __init__(self, home: Path) -> None:
        self.home = home
        shutil.copytree(ROOT / "notebooks", home / "notebooks")
        for name, values in LESS.items():
            path = home / "notebooks" / f"{name}.ipynb"
            notebook = papermill.parameterize.parameterize_notebook(
                papermill.iorw.load_notebook_node(str(path)), values
            )
            nbformat.write(notebook, path)
        (home / "docs").symlink_to(ROOT / "docs")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        folders = ("CONFIG", "DATA", "RUNTIME")
        environment = {
            **os.environ,
            **{f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in folders},
            "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
            "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
            "IPYTHONDIR": str(home / "ipython"),
            "IMGCLF_HOME": str(home),
            "IMGCLF_DATA": str(ROOT / "data"),
            "IMGCLF_MODELS": str(home / "models"),
        }
        self.log = home / "lab.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "imgclf_lib", "lab", "--no-browser", f"--port={self.port}"],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.token = self._wait_for_token()

    def _wait_for_token(self) -> str:
        for _ in range(300):
            found = re.search(
                rf"http://127\.0\.0\.1:{self.port}/\S*token=(\w+)", self.log.read_text()
            )
            if found:
                return found[1]
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.2)
        raise AssertionError(self.log.read_text())

    def address(self, notebook: str) -> str:
        return (
            f"http://127.0.0.1:{self.port}/lab/tree/my_notebooks/{notebook}.ipynb"
            f"?token={self.token}&reset"
        )

    def end_kernels(self) -> None:
        """A closed tab leaves its kernel running, which would slow the next test."""
        head = {"Authorization": f"token {self.token}"}
        address = f"http://127.0.0.1:{self.port}/api/sessions"
        with urlopen(Request(address, headers=head)) as answer:
            sessions = json.load(answer)
        for each in sessions:
            urlopen(Request(f"{address}/{each['id']}", headers=head, method="DELETE")).close()

    def close(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    server = Lab(tmp_path_factory.mktemp("lab"))
    yield server
    server.close()


class Notebook:
    """One notebook, open in JupyterLab, and what a learner does with it."""

    def __init__(self, browser, lab: Lab, name: str, shots: Path, accessible) -> None:
        self.name, self.strangers, self.complaints = name, [], []
        self.lab, self.page, self.shots = lab, browser.new_page(), shots
        self.accessible = accessible
        self.window = self.page.viewport_size
        self.page.set_default_timeout(30 * SECOND)
        self.page.route("**/*", self._only_loopback)
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(lab.address(name))
        self.page.locator(".jp-NotebookPanel:visible .jp-Notebook").wait_for(timeout=90 * SECOND)
        # The toolbar says idle too early; the status bar tells the truth.
        self.wait_until_idle()
        self.page.locator("body").press("Control+b")  # the learner closes the file browser

    def _only_loopback(self, route) -> None:
        address = route.request.url
        if re.match(r"(http://127\.0\.0\.1[:/]|data:|blob:)", address):
            route.continue_()
        else:
            self.strangers.append(address)
            route.abort()

    def _listen(self, message) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def wait_until_idle(self, seconds: int = 300) -> None:
        status = self.page.locator("#jp-main-statusbar").get_by_text("| Idle")
        waiting = self.page.locator(".jp-InputArea-prompt", has_text="[*]")
        end, calm = time.monotonic() + seconds, 0
        while calm < 3:  # the kernel is idle for a moment between two cells
            assert time.monotonic() < end, f"{self.name} is still busy after {seconds} s"
            calm = calm + 1 if status.count() and not waiting.count() else 0
            self.page.wait_for_timeout(300)

    def run_all(self, seconds: int = 400) -> None:
        """Run every cell, and wait until the last one is done."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.locator('li.lm-Menu-item[data-command="runmenu:run-all"]').click()
        self.page.wait_for_timeout(SECOND)
        self.wait_until_idle(seconds)
        assert self.page.locator('[data-mime-type="application/vnd.jupyter.error"]').count() == 0

    def live(self, title: str):
        """The live widget with this title, scrolled into view."""
        widget = self.page.locator(".imgclf-live").filter(has_text=title).first
        widget.scroll_into_view_if_needed()
        return widget

    def picture(self, widget) -> str:
        """A digest of the pictures that a widget shows now."""
        script = """async (element) => {
            const all = [];
            for (const image of element.querySelectorAll("img")) {
                const canvas = document.createElement("canvas");
                [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
                if (canvas.width === 0) continue;
                canvas.getContext("2d").drawImage(image, 0, 0);
                all.push(canvas.toDataURL());
            }
            return all.join();
        }"""
        return hashlib.sha256(widget.evaluate(script).encode()).hexdigest()

    def wait_for_change(self, widget, before: str, seconds: float = 20) -> str:
        """Wait until a widget shows other pictures than ``before``; returns their digest."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            now = self.picture(widget)
            if now != before:
                return now
            self.page.wait_for_timeout(100)
        raise AssertionError(f"The picture did not change in {seconds} s")

    def wait_until_still(self, widget, seconds: float = 20) -> None:
        """Wait until neither the pictures of a widget nor its place change: a click would miss."""
        self.wait_until_idle()  # a picture may come long after the words that belong to it
        end, before, calm = time.monotonic() + seconds, None, 0
        while calm < 4:
            assert time.monotonic() < end, f"The widget was not still for {seconds} s"
            now = self.picture(widget), widget.bounding_box()
            calm = calm + 1 if now == before else 0
            before = now
            self.page.wait_for_timeout(250)

    def slider(self, widget, label: str):
        """The handle of the slider with this label."""
        row = widget.locator(".widget-inline-hbox", has_text=label).first
        return row.locator(".noUi-handle").first

    def wait_for_value(self, widget, label: str, value: str) -> None:
        """Wait until the slider with this label shows a value."""
        row = widget.locator(".widget-inline-hbox", has_text=label).first
        row.locator(".widget-readout", has_text=value).wait_for()

    def drag(self, handle, fraction: float) -> None:
        """Drag the handle of a slider by mouse to a fraction of its way."""
        handle.scroll_into_view_if_needed()
        rail = handle.locator("xpath=ancestor::*[contains(@class,'noUi-base')]").bounding_box()
        box = handle.bounding_box()
        middle = box["y"] + box["height"] / 2
        self.page.mouse.move(box["x"] + box["width"] / 2, middle)
        self.page.mouse.down()
        self.page.mouse.move(rail["x"] + rail["width"] * fraction, middle, steps=8)
        self.page.mouse.up()

    def press_arrow(self, handle, key: str = "ArrowRight", times: int = 1) -> None:
        """Move a slider by keyboard."""
        handle.focus()
        for _ in range(times):
            self.page.keyboard.press(key)

    def cell(self, text: str):
        """The code cell that holds a text."""
        found = self.page.locator(".jp-CodeCell").filter(
            has=self.page.locator(".jp-InputArea-editor", has_text=text)
        )
        found.first.scroll_into_view_if_needed()
        return found.first

    def retype(self, cell, old: str, new: str) -> None:
        """Replace a text in a code cell, and run the cell with Shift+Enter."""
        cell.locator(".cm-line", has_text=old).first.click()
        self.page.keyboard.press("Home")
        self.page.keyboard.press("Shift+End")
        line = cell.locator(".cm-line", has_text=old).first.inner_text()
        self.page.keyboard.insert_text(line.strip().replace(old, new))
        self.page.keyboard.press("Shift+Enter")

    def shoot(self, name: str, widget=None) -> None:
        """Save a screenshot: of the window, or of one widget whole."""
        if widget is None:
            self.page.screenshot(path=self.shots / f"{name}.png")
            return
        height = round(widget.bounding_box()["height"]) + 200
        self.page.set_viewport_size({**self.window, "height": max(self.window["height"], height)})
        widget.scroll_into_view_if_needed()
        self.page.wait_for_timeout(300)
        widget.screenshot(path=self.shots / f"{name}.png")
        self.page.set_viewport_size(self.window)

    def choose_theme(self, name: str) -> None:
        """Switch JupyterLab to a theme."""
        self.page.get_by_role("menuitem", name="Settings", exact=True).click()
        self.page.locator("li.lm-Menu-item", has_text="Theme").first.hover()
        self.page.locator("li.lm-Menu-item", has_text=name).first.click()
        self.page.locator(f'body[data-jp-theme-name="{name}"]').wait_for(state="attached")
        self.page.wait_for_timeout(SECOND)  # until its colours are there

    def check(self) -> None:
        """Nothing was fetched from elsewhere or went wrong unseen; everybody can read it all."""
        assert self.strangers == []
        assert self.complaints == []
        outputs = ".jp-Notebook .jp-OutputArea-output"
        self.accessible(self.page, outputs)
        seen = self.page.locator(f"{outputs} img").evaluate_all(
            "all => all.filter(each => each.naturalWidth).map(each => each.alt)"
        )
        assert all(seen), "a picture has no alternative text"

    def close_tab(self) -> None:
        """Close the notebook inside JupyterLab, without saving."""
        self.page.locator(".lm-TabBar-tab.jp-mod-current .lm-TabBar-tabCloseIcon").first.click()
        discard = self.page.get_by_role("button", name="Discard", exact=False)
        self.page.wait_for_timeout(SECOND)
        if discard.count():
            discard.first.click()

    def close(self) -> None:
        self.page.close()


@pytest.fixture
def open_notebook(browser, lab: Lab, shots: Path, accessible) -> Iterator:
    """The function that opens a notebook of the course by name."""
    opened: list[Notebook] = []

    def open_one(name: str) -> Notebook:
        opened.append(Notebook(browser, lab, name, shots, accessible))
        return opened[-1]

    yield open_one
    for notebook in opened:
        notebook.shoot(f"{notebook.name}-end")
        notebook.close()
    lab.end_kernels()
