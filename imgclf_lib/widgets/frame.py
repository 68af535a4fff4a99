"""The frame around every live widget: its title, its errors, and what stands in for it on paper."""

import html
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import anywidget
import ipywidgets

from imgclf_lib.errors import ImgclfError

ERROR_STYLE = (
    "border-left: 4px solid #b00020; padding: 4px 10px; margin: 4px 0;"
    " line-height: 1.4; overflow-wrap: anywhere;"
)

# The sliders of ipywidgets have a label to see and none to hear, and a logarithmic one says its
# exponent: screen readers get the words and numbers that stand beside the slider.
NAMES_SCRIPT = """
function render({ el }) {
  const put = (element, name, text) => {
    if (text && element.getAttribute(name) !== text) element.setAttribute(name, text);
  };
  const nameAll = (frame) => {
    for (const row of frame.querySelectorAll(".widget-inline-hbox")) {
      const [label, readout] = [".widget-label", ".widget-readout"].map(
        (kind) => row.querySelector(kind)?.textContent.trim());
      const handles = row.querySelectorAll("[role=slider]");
      handles.forEach((handle, number) => {
        const which = handles.length > 1 ? [", from", ", to"][number] : "";
        put(handle, "aria-label", label && label + which);
        if (handles.length === 1) put(handle, "aria-valuetext", readout);
      });
    }
  };
  const observer = new MutationObserver(() => nameAll(el.closest(".imgclf-live")));
  const timer = setInterval(() => {  // until this element has its place on the page
    const frame = el.closest(".imgclf-live");
    if (!frame) return;
    clearInterval(timer);
    nameAll(frame);
    frame.addEventListener("keydown", (event) => {  // an arrow key in a menu is not JupyterLab's
      if (!(event.ctrlKey || event.metaKey || event.altKey || event.shiftKey))
        event.stopPropagation();
    });
    observer.observe(frame, { subtree: true, childList: true, characterData: true,
                              attributes: true, attributeFilter: ["aria-valuetext"] });
  }, 100);
  return () => { clearInterval(timer); observer.disconnect(); };
}
export default { render };
"""


class Names(anywidget.AnyWidget):
    """An invisible widget that gives the controls of its frame names for screen readers."""

    _esm = NAMES_SCRIPT

    def __init__(self) -> None:
        super().__init__()
        self.layout.display = "none"


class Frame(ipywidgets.VBox):
    """A live widget: a title, its controls and pictures, and a place for errors.

    In a headless run, on paper and on GitHub one sentence stands in its place.

    Args:
        title: What one can do here, in a few words.
        children: The controls and pictures, from top to bottom.
    """

    def __init__(self, title: str, children: Sequence[ipywidgets.Widget] = ()) -> None:
        self.title = title
        self.problem = ipywidgets.HTML()
        self.heading = ipywidgets.HTML(f"<b>{html.escape(title)}</b>")
        self.names = Names()
        super().__init__([self.heading, *children, self.problem, self.names])
        self.layout.border_left = "3px solid #0072B2"
        self.layout.padding = "4px 0 4px 12px"
        self.layout.max_width = "100%"
        self.add_class("imgclf-live")

    def fill(self, children: Sequence[ipywidgets.Widget]) -> None:
        """Put controls and pictures between the title and the place for errors.

        Args:
            children: The controls and pictures, from top to bottom.
        """
        self.children = (self.heading, *children, self.problem, self.names)

    def react(
        self, control: ipywidgets.Widget, function: Callable[[], Any], name: str = "value"
    ) -> None:
        """Call a function whenever a control changes; an error in it is shown in the widget.

        Args:
            control: The control; a button reacts to its click.
            function: What to call, without arguments.
            name: The trait that is watched.
        """
        if isinstance(control, ipywidgets.Button):
            control.on_click(lambda _: self.attempt(function))
        else:
            control.observe(lambda _: self.attempt(function), name)

    def attempt(self, function: Callable[[], Any]) -> None:
        """Call a function; show its error in the widget, or clear the last one.

        Args:
            function: What to call, without arguments.
        """
        try:
            function()
        except Exception as error:
            self.show_error(error)
        else:
            if self.problem.value:
                self.problem.value = ""

    def show_error(self, error: BaseException) -> None:
        """Show an error to the learner: our own as their message, others with their traceback.

        Args:
            error: What was raised.
        """
        message = html.escape(str(error) or type(error).__name__)
        if not isinstance(error, ImgclfError):
            lines = html.escape("".join(traceback.format_exception(error)))
            message = (
                f"{html.escape(type(error).__name__)}: {message}"
                f"<details><summary>Where it happened</summary><pre>{lines}</pre></details>"
            )
        self.problem.value = f'<div role="alert" style="{ERROR_STYLE}"><b>✗</b> {message}</div>'

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """The widget for a browser, and one sentence for everything else."""
        bundle = super()._repr_mimebundle_(**options)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data:
            data["text/plain"] = f"(Live in JupyterLab: {self.title})"
        return bundle
