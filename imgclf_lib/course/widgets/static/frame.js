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
