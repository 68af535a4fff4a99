"""A field that takes one file from the browser's machine, and says no before it is too large."""

import anywidget
import traitlets

# JupyterLab breaks the connection at a message of 10 MiB, so the page itself has to refuse.
MOST_BYTES = 9_000_000
SCRIPT = """
let count = 0;

function render({ model, el }) {
  const row = document.createElement("div");
  const label = document.createElement("label");
  const field = document.createElement("input");
  row.className = "imgclf-upload";
  label.textContent = model.get("description");
  field.type = "file";
  field.accept = "image/*";
  field.id = label.htmlFor = `imgclf-upload-${Date.now()}-${count++}`;
  row.append(label, field);
  el.append(row);
  field.addEventListener("change", async () => {
    const file = field.files[0];
    if (!file) return;
    const fits = file.size <= model.get("most_bytes");
    const content = fits ? await file.arrayBuffer() : new ArrayBuffer(0);
    model.set("name", file.name);
    model.set("size", file.size);
    model.set("content", new DataView(content));
    model.set("number", model.get("number") + 1);
    model.save_changes();
  });
  field.addEventListener("click", () => { field.value = ""; });  // so the same file can come again
}
export default { render };
"""
STYLE = """
.imgclf-upload { display: flex; align-items: center; margin: 2px; max-width: 100%; }
.imgclf-upload label { flex: none; width: 4.5em; text-align: right; padding-right: 8px; }
.imgclf-upload input { min-width: 0; width: 15em; }
.imgclf-upload input:focus-visible { outline: 3px solid #0072B2; }
"""


class Upload(anywidget.AnyWidget):
    """A field for one file; its trait ``number`` grows by one with each file that comes.

    The traits ``name``, ``size`` and ``content`` belong to the last file. The content is empty
    if the file is too large: then it was not sent at all.

    Args:
        description: The words beside the field.
    """

    _esm = SCRIPT
    _css = STYLE
    description = traitlets.Unicode().tag(sync=True)
    most_bytes = traitlets.Int(MOST_BYTES).tag(sync=True)
    name = traitlets.Unicode().tag(sync=True)
    size = traitlets.Int(0).tag(sync=True)
    content = traitlets.CBytes().tag(sync=True)
    number = traitlets.Int(0).tag(sync=True)

    def __init__(self, description: str = "upload") -> None:
        super().__init__(description=description)
