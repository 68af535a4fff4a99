const ARROWS = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]};

function render({ model, el }) {
  const frame = document.createElement("div");
  frame.className = "imgclf-picture";
  let image = document.createElement("img");
  const mark = document.createElement("div");
  mark.className = "imgclf-picture-mark";
  frame.append(image, mark);
  el.append(frame);

  const drawImage = () => {
    const next = document.createElement("img");
    next.alt = model.get("alt");
    [next.width, next.height] = model.get("size");
    const address = URL.createObjectURL(new Blob([model.get("png")], { type: "image/png" }));
    next.onload = () => {  // exchanged only when it is ready: no flicker, no jump
      image.replaceWith(next);
      image = next;
      URL.revokeObjectURL(address);
    };
    next.src = address;
    frame.style.maxWidth = model.get("size")[0] + "px";
  };
  const drawMark = () => {
    const [rows, columns] = model.get("cells");
    const chosen = rows > 0;
    mark.hidden = !chosen;
    frame.classList.toggle("imgclf-choosable", chosen);
    if (!chosen) return;
    frame.tabIndex = 0;
    frame.setAttribute("role", "application");
    frame.setAttribute("aria-label", model.get("alt") + " Choose a cell with the arrow keys.");
    const [left, top, width, height] = model.get("area");
    const [row, column] = model.get("chosen");
    Object.assign(mark.style, {
      left: 100 * (left + width * column / columns) + "%",
      top: 100 * (top + height * row / rows) + "%",
      width: 100 * width / columns + "%",
      height: 100 * height / rows + "%",
    });
  };
  const choose = (row, column) => {
    const [rows, columns] = model.get("cells");
    if (!(row >= 0 && row < rows && column >= 0 && column < columns)) return;
    model.set("chosen", [row, column]);
    model.save_changes();
  };
  frame.addEventListener("click", (event) => {
    const [rows, columns] = model.get("cells");
    if (!rows) return;
    const box = image.getBoundingClientRect();
    const [left, top, width, height] = model.get("area");
    const across = ((event.clientX - box.left) / box.width - left) / width;
    const down = ((event.clientY - box.top) / box.height - top) / height;
    choose(Math.floor(down * rows), Math.floor(across * columns));
  });
  frame.addEventListener("keydown", (event) => {
    const step = ARROWS[event.key];
    if (!step || !model.get("cells")[0]) return;
    event.preventDefault();
    event.stopPropagation();
    const [row, column] = model.get("chosen");
    choose(row + step[0], column + step[1]);
  });

  model.on("change:png", drawImage);
  model.on("change:alt", () => { image.alt = model.get("alt"); drawMark(); });
  model.on("change:cells", drawMark);
  model.on("change:area", drawMark);
  model.on("change:chosen", drawMark);
  drawImage();
  drawMark();
}
export default { render };
