"""A papermill engine that cannot stall on widgets, and says truly which cell failed, and why.

nbclient imitates the front end of ``ipywidgets.Output``; ``interact`` and ``with Output():`` can
wait for it for ever (nbclient issue 312). Without that imitation they run, and a headless run
has nobody to look at the widget anyway.
"""

import os
import signal
from pathlib import Path
from typing import Any

from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine

MOST_OUTPUT = 2_000_000  # characters kept of what one cell prints and shows
MOST_REASON = 300  # characters of an error's message
LEFT_OUT = f"\n[More than {MOST_OUTPUT:,} characters: the rest of this output was left out.]\n"
OVERHEAD = 200  # what every piece of output costs besides its text
OUTPUTS = ("stream", "display_data", "execute_result", "update_display_data", "error")


class CellFailed(Exception):
    """The number of the code cell that ended a notebook, as in ``In [1]``, and the reason."""


class Client(PapermillNotebookClient):
    """papermill's notebook client without output widgets, and with an end to what is printed."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, on_cell_executed=_notice_quit, **options)
        self.widget_registry: dict[str, Any] = {}
        self.kept = 0  # characters of output of the present cell

    def papermill_execute_cells(self) -> None:
        """Execute the cells up to the first that fails and may not (``raises-exception``)."""
        for index, cell in enumerate(self.nb.cells):
            self.nb_man.cell_start(cell, index)
            try:
                self.execute_cell(cell, index)
            except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
                self.nb_man.cell_exception(cell, cell_index=index)
                why = _reason(error, self.timeout) + self._how_it_died(error)
                raise CellFailed(f"code cell {self.code_cells_executed}, {why}") from error
            finally:
                self.nb_man.cell_complete(cell, cell_index=index)

    def _how_it_died(self, error: Exception) -> str:
        """What the system says of a kernel that died, if it was killed."""
        process = getattr(getattr(self.km, "provisioner", None), "process", None)
        code = getattr(process, "returncode", None) or 0
        if not isinstance(error, DeadKernelError) or code >= 0:
            return ""
        name = signal.Signals(-code).name
        memory = ", as it is when the memory is full" if name == "SIGKILL" else ""
        return f" (it was ended by {name}{memory})"

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        """Keep what a cell puts out, up to a limit; say where the limit was reached."""
        if msg["msg_type"] not in OUTPUTS:
            return super().process_message(msg, cell, cell_index)
        if not cell.outputs or self.clear_before_next_output:
            self.kept = 0
        content, before = msg["content"], self.kept
        self.kept += OVERHEAD + _length(content)
        if self.kept <= MOST_OUTPUT:
            return super().process_message(msg, cell, cell_index)
        if before > MOST_OUTPUT:
            return None
        text = content["text"][: MOST_OUTPUT - before] if msg["msg_type"] == "stream" else ""
        said = {"name": content.get("name", "stderr"), "text": text + LEFT_OUT}
        short = {**msg, "msg_type": "stream", "content": said}
        short["header"] = {**msg["header"], "msg_type": "stream"}
        return super().process_message(short, cell, cell_index)


class Engine(NBClientEngine):
    """The engine ``imgclf`` of papermill."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        start_timeout: int = 60,
        execution_timeout: int | None = None,
        **options: Any,
    ) -> None:
        """Execute a notebook cell by cell; raise ``CellFailed`` if one fails."""
        if (nb_man.nb.metadata.get("kernelspec") or {}).get("name") != kernel_name:
            nb_man.nb.metadata["kernelspec"] = {"name": kernel_name, "display_name": kernel_name}
        client = Client(
            nb_man,
            timeout=execution_timeout,
            startup_timeout=start_timeout,
            iopub_timeout=60,  # a cell that prints much is done before all of it is read
            extra_arguments=[
                # Otherwise every kernel warns that loopback is not encrypted.
                "--Application.log_level=CRITICAL",
                f"--IPKernelApp.exec_files={Path(__file__).with_name('kernel.py')}",
            ],
            kernel_name=kernel_name,
        )
        try:
            # Nobody watches a progress bar here; it would stay in the page.
            client.execute(env={**os.environ, "TQDM_DISABLE": "1"})
        finally:
            _keep_no_widgets(nb_man.nb)


def _length(content: Any) -> int:
    """Characters of a piece of output."""
    pieces = [content.get("text", ""), *content.get("traceback", [])]
    return sum(map(len, pieces)) + sum(len(str(each)) for each in content.get("data", {}).values())


def _reason(error: Exception, timeout: int | None) -> str:
    """Why a cell ended the notebook, in a few words."""
    if isinstance(error, CellExecutionError):
        said = f"{error.ename}: {error.evalue}".strip()
        said = said if len(said) <= MOST_REASON else f"{said[:MOST_REASON]} …"
        return f"{said}, so it ended before its last cell" if error.ename == "SystemExit" else said
    if isinstance(error, DeadKernelError):
        return str(error).rstrip(".").lower()
    if "IOPub" in str(error):
        return "the cell printed more than could be read"
    return f"the cell took longer than {timeout} seconds"


def _notice_quit(execute_reply: Any, **_: Any) -> None:
    """``quit()`` and ``exit()`` do not fail, but end the kernel a moment later."""
    payload = execute_reply["content"].get("payload", [])
    if any(each.get("source") == "ask_exit" for each in payload):
        raise DeadKernelError("quit() ended it before its last cell")


def _keep_no_widgets(notebook: Any) -> None:
    """Leave the sentence that stands for a live widget; nobody can use the widget any more.

    A page with the state of widgets would also fetch a script from a content network.
    """
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
