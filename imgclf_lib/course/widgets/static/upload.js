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
