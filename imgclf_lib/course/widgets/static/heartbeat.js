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
