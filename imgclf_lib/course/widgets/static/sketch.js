const STEPS = {ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0]};
const STEP = 0.04;  // how far an arrow key moves the pen; with Shift a quarter of it
const SIDE = 480;  // pixels of the drawing surface; the page shows it smaller
const keep = (value) => Math.min(1, Math.max(0, value));

function render({ model, el }) {
  const make = (name, textContent = "") =>
    Object.assign(document.createElement(name), { textContent });
  const frame = make("div"), canvas = make("canvas"), row = make("div"), state = make("span");
  const title = make("div", "Draw here:");
  const undo = make("button", "Undo"), clear = make("button", "Clear");
  const help = make("div", "Keyboard: arrow keys move the pen (Shift: finely), space puts it " +
    "down and lifts it, Backspace takes the last stroke back, Escape clears.");
  frame.className = "imgclf-sketch";
  canvas.width = canvas.height = SIDE;
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", "Canvas to draw on. " + help.textContent);
  canvas.dataset.lmSuppressShortcuts = "true";  // JupyterLab's own keys wait while one draws
  state.setAttribute("role", "status");
  row.className = "imgclf-sketch-row";
  title.className = "imgclf-sketch-title";
  help.className = "imgclf-sketch-help";
  for (const button of [undo, clear]) {
    button.type = "button";
    button.className = "jupyter-button lm-Widget imgclf-sketch-button";
  }
  row.append(undo, clear, state);
  frame.append(title, canvas, row, help);
  el.append(frame);

  const context = canvas.getContext("2d");
  let stroke = null;  // the one that is being drawn now
  let pen = [0.5, 0.5], keyboard = false;

  const draw = () => {
    const dark = model.get("dark"), width = model.get("brush") * SIDE;
    context.fillStyle = dark ? "black" : "white";
    context.fillRect(0, 0, SIDE, SIDE);
    context.strokeStyle = context.fillStyle = dark ? "white" : "black";
    Object.assign(context, {lineWidth: width, lineCap: "round", lineJoin: "round"});
    for (const line of [...model.get("strokes"), ...(stroke ? [stroke] : [])]) {
      context.beginPath();
      context.moveTo(line[0][0] * SIDE, line[0][1] * SIDE);
      for (const [x, y] of line) context.lineTo(x * SIDE, y * SIDE);
      context.stroke();
    }
    if (keyboard && document.activeElement === canvas) {
      const [x, y] = [pen[0] * SIDE, pen[1] * SIDE];
      context.strokeStyle = "#D55E00";
      context.lineWidth = stroke ? 8 : 4;
      context.beginPath();
      for (const [dx, dy] of [[14, 0], [0, 14]]) {
        context.moveTo(x - dx, y - dy);
        context.lineTo(x + dx, y + dy);
      }
      context.stroke();
    }
    const count = model.get("strokes").length;
    state.textContent = `${count} ${count === 1 ? "stroke" : "strokes"}` +
      (keyboard ? `, pen ${stroke ? "down" : "up"}` : "");
    undo.disabled = clear.disabled = count === 0;
  };
  const send = (strokes) => {
    model.set("strokes", strokes);
    model.save_changes();
    draw();
  };
  const add = (x, y) => {
    const last = stroke[stroke.length - 1];
    if (Math.hypot(x - last[0], y - last[1]) < 0.004) return;
    stroke.push([x, y]);
    draw();
  };
  const finish = () => {
    if (!stroke) return;
    const done = stroke;
    stroke = null;
    send([...model.get("strokes"), done]);
  };
  const takeBack = () => {
    if (stroke) stroke = null;
    else if (model.get("strokes").length) return send(model.get("strokes").slice(0, -1));
    draw();
  };
  const empty = () => {
    stroke = null;
    pen = [0.5, 0.5];
    if (model.get("strokes").length) send([]);
    else draw();
  };
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    const [across, down] = [event.clientX - box.left, event.clientY - box.top];
    return [keep(across / box.width), keep(down / box.height)];
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    finish();
    canvas.focus({preventScroll: true});
    canvas.setPointerCapture(event.pointerId);
    keyboard = false;
    stroke = [pen = place(event)];
    draw();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (stroke && !keyboard) add(...(pen = place(event)));
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"])
    canvas.addEventListener(end, () => { if (!keyboard) finish(); });
  canvas.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (!step && ![" ", "Backspace", "Escape"].includes(event.key)) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    if (stroke && !keyboard) return;  // the mouse is drawing
    keyboard = true;
    if (step) {
      const far = event.shiftKey ? STEP / 4 : STEP;
      pen = [keep(pen[0] + far * step[0]), keep(pen[1] + far * step[1])];
      if (stroke) add(...pen);
      draw();
    } else if (event.key === "Backspace") takeBack();
    else if (event.key === "Escape") empty();
    else if (stroke) finish();
    else {
      stroke = [pen];
      draw();
    }
  });
  canvas.addEventListener("focus", () => {
    keyboard ||= canvas.matches(":focus-visible");
    draw();
  });
  canvas.addEventListener("blur", () => { finish(); draw(); });
  undo.addEventListener("click", takeBack);
  clear.addEventListener("click", empty);
  for (const name of ["strokes", "dark", "brush"]) model.on("change:" + name, draw);
  draw();
}
export default { render };
