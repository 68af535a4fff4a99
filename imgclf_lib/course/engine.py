"""A papermill engine that cannot stall on widgets and notices a notebook that ends too early.

nbclient imitates the front end of ``ipywidgets.Output``; ``interact`` and ``with Output():`` can
wait for it for ever (nbclient issue 312). Without that imitation they run, and a headless run
has nobody to look at the widget anyway.
"""

from typing import Any

from nbclient.exceptions import DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine


class Client(PapermillNotebookClient):
    """papermill's notebook client without the imitation of output widgets."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.widget_registry: dict[str, Any] = {}


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
        """Execute a notebook cell by cell."""
        Client(
            nb_man,
            timeout=execution_timeout,
            startup_timeout=start_timeout,
            # Otherwise every kernel warns that loopback is not encrypted.
            extra_arguments=["--Application.log_level=CRITICAL"],
            kernel_name=kernel_name,
        ).execute()
        _keep_no_widgets(nb_man.nb)
        cells = [cell for cell in nb_man.nb.cells if cell.cell_type == "code" and cell.source]
        errors = {
            output.ename
            for cell in cells
            for output in cell.outputs
            if output.output_type == "error"
        }
        # papermill takes sys.exit(0) for success, and leaves the other cells out.
        if errors <= {"SystemExit"} and (errors or not all(each.execution_count for each in cells)):
            raise DeadKernelError("the notebook ended before its last cell, without an error")


def _keep_no_widgets(notebook: Any) -> None:
    """Leave the sentence that stands for a live widget; nobody can use the widget any more.

    A page with the state of widgets would also fetch a script from a content network.
    """
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
