"""Whether a page still shows a live widget; work that nobody watches any more can end."""

import time

import anywidget
import traitlets

# The page tells the kernel every second that it is there. A hidden tab is slowed down by
# browsers to one beat a minute.
PATIENCE = {False: 8.0, True: 100.0}
SCRIPT = """
function render({ model }) {
  const beat = () => {
    if (!model.get("wanted")) return;
    model.set("hidden", document.hidden);
    model.set("beat", model.get("beat") + 1);
    model.save_changes();
  };
  const timer = setInterval(beat, 1000);
  model.on("change:wanted", beat);
  return () => clearInterval(timer);
}
export default { render };
"""


class Heartbeat(anywidget.AnyWidget):
    """An invisible widget that knows whether its page is still open."""

    _esm = SCRIPT
    wanted = traitlets.Bool(False).tag(sync=True)
    hidden = traitlets.Bool(False).tag(sync=True)
    beat = traitlets.Int(0).tag(sync=True)

    def __init__(self) -> None:
        super().__init__()
        self.layout.display = "none"
        self._last, self._first = time.monotonic(), 0
        self.observe(self._remember, "beat")

    def begin(self) -> None:
        """Ask the page for its beats."""
        self._last, self._first = time.monotonic(), self.beat
        self.wanted = True

    def end(self) -> None:
        """Ask for no more beats."""
        self.wanted = False

    @property
    def abandoned(self) -> bool:
        """Whether a page that was there has gone; without any page, nobody can have left."""
        if self.beat == self._first:
            return False
        return time.monotonic() - self._last > PATIENCE[self.hidden]

    def _remember(self, _: object) -> None:
        self._last = time.monotonic()
