"use strict";
// Layers, opacity and two layers side by side on a map of Leaflet. All text is set as text, never as HTML.
function eocubeExplore(map, config) {
  const make = (tag, parent, props) => parent.appendChild(Object.assign(document.createElement(tag), props || {}));
  const panes = { left: map.createPane("eocube-left"), right: map.createPane("eocube-right") };
  panes.left.style.zIndex = 400;
  panes.right.style.zIndex = 401;
  const state = { left: 0, right: Math.min(1, config.layers.length - 1), opacity: 1, compare: false, at: 0.5 };
  const shown = { left: null, right: null };
  let near = Infinity;

  function put(side, index) {
    const layer = config.layers[index];
    const overlay = L.imageOverlay(layer.url, layer.bounds, {
      pane: "eocube-" + side, opacity: state.opacity, className: "eocube-image", alt: layer.name,
    });
    overlay.once("load", () => {
      const image = overlay.getElement();
      const zoom = map.getZoom();
      const wide = map.latLngToLayerPoint(layer.bounds[1]).x - map.latLngToLayerPoint(layer.bounds[0]).x;
      near = zoom + Math.log2(Math.max(image.naturalWidth, 1) / Math.max(wide, 1));
      sharpen();
    });
    if (shown[side]) shown[side].remove();
    shown[side] = overlay.addTo(map);
  }
  // Beyond one picture pixel per screen pixel, pixels are shown as pixels.
  const sharpen = () => map.getContainer().classList.toggle("eocube-near", map.getZoom() > near + 0.01);

  function clip() {
    const size = map.getSize();
    const nw = map.containerPointToLayerPoint([0, 0]);
    const se = map.containerPointToLayerPoint(size);
    const x = nw.x + size.x * state.at;
    panes.left.style.clip = state.compare ? `rect(${nw.y}px,${x}px,${se.y}px,${nw.x}px)` : "";
    panes.right.style.clip = state.compare ? `rect(${nw.y}px,${se.x}px,${se.y}px,${x}px)` : "";
    line.style.left = grip.style.left = `${100 * state.at}%`;
    sides.left.style.right = `calc(${100 * (1 - state.at)}% + 8px)`;
    sides.right.style.left = `calc(${100 * state.at}% + 8px)`;
    grip.setAttribute("aria-valuenow", Math.round(100 * state.at));
  }

  function update() {
    put("left", state.left);
    if (state.compare) put("right", state.right);
    else if (shown.right) { shown.right.remove(); shown.right = null; }
    selects.left.value = state.left;
    selects.right.value = state.right;
    rows.right.hidden = !state.compare;
    swipe.hidden = !state.compare;
    sides.left.textContent = config.layers[state.left].name;
    sides.right.textContent = config.layers[state.right].name;
    clip();
  }

  const panel = L.DomUtil.create("div", "eocube-panel");
  L.DomEvent.disableClickPropagation(panel);
  L.DomEvent.disableScrollPropagation(panel);
  const selects = {}, rows = {};
  for (const [side, title] of [["left", "Layer"], ["right", "Beside it"]]) {
    const row = rows[side] = make("div", panel, { className: "row" });
    const step = (by) => () => { state[side] = (state[side] + by + config.layers.length) % config.layers.length; update(); };
    make("button", row, { type: "button", textContent: "\u2039", title: "before", onclick: step(-1) });
    selects[side] = make("select", row, { onchange: (e) => { state[side] = Number(e.target.value); update(); } });
    selects[side].setAttribute("aria-label", title);
    config.layers.forEach((layer, k) => make("option", selects[side], { value: k, textContent: layer.name }));
    make("button", row, { type: "button", textContent: "\u203a", title: "next", onclick: step(1) });
    rows[side].hidden = config.layers.length < 2;
  }
  const fade = make("label", make("div", panel, { className: "row" }), { textContent: "Opacity" });
  fade.style.flex = "1";
  make("input", fade, {
    type: "range", min: 0, max: 1, step: 0.05, value: 1, className: "eocube-opacity",
    oninput: (e) => {
      state.opacity = Number(e.target.value);
      for (const side of ["left", "right"]) if (shown[side]) shown[side].setOpacity(state.opacity);
    },
  });
  const both = make("label", make("div", panel, { className: "row" }), {});
  make("input", both, {
    type: "checkbox", className: "eocube-compare",
    onchange: (e) => { state.compare = e.target.checked; update(); },
  });
  both.append("Side by side");
  both.parentElement.hidden = config.layers.length < 2;

  const control = L.control({ position: "topright" });
  control.onAdd = () => panel;
  control.addTo(map);
  L.control.scale({ imperial: false }).addTo(map);

  const swipe = make("div", map.getContainer(), { className: "eocube-swipe", hidden: true });
  const line = make("div", swipe, { className: "line" });
  const sides = { left: make("div", swipe, { className: "side" }), right: make("div", swipe, { className: "side" }) };
  const grip = make("button", swipe, { type: "button", className: "grip", textContent: "\u2194" });
  grip.setAttribute("role", "slider");
  grip.setAttribute("aria-label", "Where the two layers meet");
  const move = (x) => { state.at = Math.min(0.98, Math.max(0.02, x)); clip(); };
  L.DomEvent.disableClickPropagation(grip);
  grip.addEventListener("pointerdown", (e) => { grip.setPointerCapture(e.pointerId); e.stopPropagation(); });
  grip.addEventListener("pointermove", (e) => {
    if (!grip.hasPointerCapture(e.pointerId)) return;
    const box = map.getContainer().getBoundingClientRect();
    move((e.clientX - box.left) / box.width);
  });
  grip.addEventListener("keydown", (e) => {
    const by = { ArrowLeft: -0.02, ArrowRight: 0.02 }[e.key];
    if (by) { move(state.at + by); e.preventDefault(); e.stopPropagation(); }
  });

  map.on("move zoom viewreset resize", clip);
  map.on("zoomend", sharpen);
  map.fitBounds(config.bounds, { padding: [10, 10] });
  update();
}
