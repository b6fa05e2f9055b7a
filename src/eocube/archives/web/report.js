// The map: what a cell is when it is pointed at or tapped, finding one, looking nearer. Without scripts the
// page says the same by titles.
(() => {
  const svg = document.querySelector("#map svg"), said = document.getElementById("said");
  if (!svg) return;
  const all = svg.viewBox.baseVal, whole = [all.x, all.y, all.width, all.height];
  let box = whole.slice(), found = null, drag = null;
  document.querySelector(".tools").hidden = false;

  const unit = () => 1 / svg.getScreenCTM().a;   // of the drawing, per pixel of the screen
  const show = () => {
    svg.setAttribute("viewBox", box.map((v) => v.toFixed(3)).join(" "));
    const k = unit();
    for (const text of svg.querySelectorAll("text")) text.setAttribute("font-size", 11 * k);
  };
  const zoom = (factor, x = box[0] + box[2] / 2, y = box[1] + box[3] / 2) => {
    const f = Math.min(factor, whole[2] / box[2]);
    if (box[2] * f < 4) return;
    box = [x - (x - box[0]) * f, y - (y - box[1]) * f, box[2] * f, box[3] * f];
    for (const i of [0, 1]) box[i] = Math.min(Math.max(box[i], whole[i]), whole[i] + whole[i + 2] - box[i + 2]);
    svg.style.touchAction = box[2] < whole[2] ? "none" : "pan-y";
    show();
  };
  const at = (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return [point.x, point.y];
  };
  const tell = (path) => { said.textContent = path.querySelector("title").textContent; };

  svg.addEventListener("pointermove", (event) => { if (event.target.dataset.c) tell(event.target); });
  svg.addEventListener("click", (event) => { if (event.target.dataset.c) tell(event.target); });
  svg.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && box[2] === whole[2] && event.deltaY > 0) return;
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.25 : 0.8, ...at(event));
  }, { passive: false });
  svg.addEventListener("pointerdown", (event) => { if (box[2] < whole[2]) drag = [event.clientX, event.clientY, box.slice()]; });
  window.addEventListener("pointerup", () => { drag = null; });
  window.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const k = unit();
    box = [drag[2][0] - (event.clientX - drag[0]) * k, drag[2][1] - (event.clientY - drag[1]) * k, box[2], box[3]];
    zoom(1);
  });
  document.getElementById("in").addEventListener("click", () => zoom(0.6));
  document.getElementById("out").addEventListener("click", () => zoom(1 / 0.6));
  document.getElementById("all").addEventListener("click", () => { box = whole.slice(); zoom(1); });
  document.getElementById("find").addEventListener("input", (event) => {
    if (found) found.classList.remove("found");
    const name = event.target.value.trim().toUpperCase();
    found = /^[0-9A-Z]{5}$/.test(name) ? svg.querySelector(`path[data-c="${name}"]`) : null;
    if (!found) { said.textContent = name.length < 5 ? "" : `${name} is not among the cells.`; return; }
    found.classList.add("found");
    found.parentNode.append(found);
    tell(found);
    const own = found.getBBox(), side = Math.max(own.width * 8, whole[2] / 12);
    box = [own.x + own.width / 2 - side / 2, own.y + own.height / 2 - side / 2 * whole[3] / whole[2], side, side * whole[3] / whole[2]];
    zoom(1);
  });
  window.addEventListener("resize", show);
  show();
})();
