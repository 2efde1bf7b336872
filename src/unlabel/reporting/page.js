"use strict";
(() => {
  const payload = JSON.parse(document.getElementById("charts").textContent);
  const root = document.documentElement;
  const touch = matchMedia("(pointer: coarse)").matches;
  const config = {
    displaylogo: false, responsive: false, doubleClick: "reset",
    displayModeBar: matchMedia("(hover: hover)").matches ? "hover" : false,
    // plotly offers by default to upload a chart; nothing leaves this page.
    showSendToCloud: false, plotlyServerURL: "", topojsonURL: "none",
    modeBarButtonsToRemove: ["select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"],
    toImageButtonOptions: { format: "svg" },
  };

  // "var(--run)" -> the colour that the style sheet gives to this role now.
  const colour = (text) => {
    const role = /^var\((--[\w-]+)\)$/.exec(text);
    return role ? getComputedStyle(root).getPropertyValue(role[1]).trim() : text;
  };
  const resolved = (node) => {
    if (typeof node === "string") return colour(node);
    // Numbers are copied as they are; what begins with a number and goes on with a word is a step of a colour scale.
    if (Array.isArray(node)) {
      return typeof node[0] === "number" && typeof node[1] !== "string" ? node.slice() : node.map(resolved);
    }
    if (node && typeof node === "object") {
      return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, resolved(value)]));
    }
    return node;
  };
  const framed = (layout) => ({
    ...layout,
    autosize: true,
    dragmode: touch ? false : "zoom",
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: colour("var(--soft)") },
    hoverlabel: {
      bgcolor: colour("var(--card)"), bordercolor: colour("var(--line)"),
      font: { color: colour("var(--ink)"), family: getComputedStyle(document.body).fontFamily },
    },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("var(--line)"), activecolor: colour("var(--run)") },
  });

  function draw(element) {
    const figure = payload.figures[element.dataset.chart];
    const layout = framed(resolved(figure.layout));
    if (touch) for (const key of ["xaxis", "yaxis"]) layout[key].fixedrange = true;
    Plotly.react(element, resolved(figure.data), layout, config);
  }

  // ---- the map ----

  const map = payload.map;
  const plot = document.getElementById("map-plot");
  const sprite = document.getElementById("sprite");
  const tip = document.getElementById("tip");
  let shownKind = -1;
  let pickedPoint = -1;

  const kindColour = (kind) => {
    if (kind < 0) return colour("var(--random)");
    if (map.kinds.length <= 10) return colour(`var(--k${kind})`);
    // Many classes: hues a golden angle apart, in three lightnesses.
    return `hsl(${Math.round((kind * 137.508) % 360)}, 55%, ${[46, 58, 68][kind % 3]}%)`;
  };

  function drawMap() {
    const kinds = map.row.map((row) => map.kind[row]);
    const hasKinds = map.kinds.length > 0;
    const points = {
      type: "scatter", mode: "markers", x: map.x, y: map.y, hoverinfo: "none",
      marker: {
        size: map.x.length > 400 ? 7 : 9,
        color: hasKinds ? kinds.map(kindColour) : colour("var(--run)"),
        opacity: kinds.map((kind) => (shownKind < 0 || kind === shownKind ? 0.85 : 0.08)),
        line: { width: 0.5, color: colour("var(--card)") },
      },
    };
    const ring = {
      type: "scatter", mode: "markers", hoverinfo: "skip",
      x: pickedPoint < 0 ? [] : [map.x[pickedPoint]], y: pickedPoint < 0 ? [] : [map.y[pickedPoint]],
      marker: { symbol: "circle-open", size: 17, color: colour("var(--ink)"), line: { width: 2.5 } },
    };
    const axis = { visible: false, range: [-0.04, 1.04], fixedrange: touch };
    Plotly.react(plot, [points, ring], {
      ...framed({}), showlegend: false, hovermode: "closest", hoverdistance: 24, margin: { l: 0, r: 0, t: 0, b: 0 },
      xaxis: { ...axis, constrain: "domain" }, yaxis: { ...axis, scaleanchor: "x", constrain: "domain" },
    }, config);
  }

  const hasTile = (row) => sprite && map.sprite && map.tile[row] < map.sprite.count;
  function paint(canvas, row) {
    const { tile, columns } = map.sprite;
    const at = map.tile[row];
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(sprite, (at % columns) * tile, Math.floor(at / columns) * tile, tile, tile, 0, 0, canvas.width, canvas.height);
  }
  const label = (row) => (map.kind[row] < 0 ? "" : map.kinds[map.kind[row]]);
  // Data often lies deep; its last folder and the file's name tell images apart. The whole path is in the title.
  const shortPath = (row) => map.path[row].split(/[\\/]/).slice(-2).join("/");
  const fileName = (row) => map.path[row].split(/[\\/]/).pop();

  function showTip(row, x, y) {
    const canvas = tip.querySelector("canvas");
    canvas.hidden = !hasTile(row);
    if (hasTile(row)) paint(canvas, row);
    tip.querySelector("p").textContent = [label(row), fileName(row)].filter(Boolean).join(" · ");
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    // Beside a mouse pointer; above a finger, which would hide it.
    let left = touch ? x - width / 2 : x + 16;
    let top = touch ? y - height - 28 : y - height / 2;
    if (!touch && left + width > innerWidth - 8) left = x - width - 16;
    left = Math.max(8, Math.min(left, innerWidth - width - 8));
    top = Math.max(8, Math.min(top, innerHeight - height - 8));
    tip.style.transform = `translate(${left}px, ${top}px)`;
  }
  const hideTip = () => { tip.hidden = true; };

  function thumbnail(row, number, text) {
    const item = document.createElement("li");
    item.className = "item";
    item.title = map.path[row];
    if (hasTile(row)) {
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = 144;
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", map.path[row]);
      paint(canvas, row);
      item.append(canvas);
    }
    const words = document.createElement("p");
    const distance = document.createElement("span");
    distance.className = "number";
    distance.textContent = number;
    const name = document.createElement("bdi");
    name.textContent = text;
    words.append(distance, name);
    item.append(words);
    return item;
  }

  function pick(point) {
    pickedPoint = point;
    const row = map.row[point];
    const panel = document.getElementById("map-picked");
    const words = document.createElement("p");
    words.textContent = `Nearest to ${shortPath(row)}`;
    words.title = map.path[row];
    const strip = document.createElement("ol");
    strip.className = "strip";
    const first = thumbnail(row, "picked", label(row) || fileName(row));
    first.classList.add("query");
    strip.append(first);
    map.nearest[point].forEach((other, i) => {
      const item = thumbnail(other, map.cosine[point][i].toFixed(3), label(other) || fileName(other));
      if (map.kind[row] >= 0 && map.kind[other] >= 0 && map.kind[row] !== map.kind[other]) item.classList.add("differs");
      strip.append(item);
    });
    panel.replaceChildren(words, strip);
    drawMap();
  }

  function kindButtons() {
    const bar = document.getElementById("map-kinds");
    const choose = (kind) => {
      shownKind = kind;
      for (const button of bar.querySelectorAll("button")) button.setAttribute("aria-pressed", String(Number(button.dataset.kind) === kind));
      drawMap();
    };
    if (map.kinds.length > 24) {
      const select = document.createElement("select");
      select.setAttribute("aria-label", "Show one class");
      select.add(new Option(`all ${map.kinds.length} classes`, -1));
      map.kinds.forEach((name, kind) => select.add(new Option(name, kind)));
      select.addEventListener("change", () => choose(Number(select.value)));
      bar.replaceChildren(select);
      return;
    }
    bar.replaceChildren(...map.kinds.map((name, kind) => {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.kind = kind;
      button.textContent = name;
      button.style.setProperty("--kind", map.kinds.length <= 10 ? `var(--k${kind})` : kindColour(kind));
      button.setAttribute("aria-pressed", "false");
      button.addEventListener("click", () => choose(shownKind === kind ? -1 : kind));
      return button;
    }));
  }

  function startMap() {
    kindButtons();
    pick(0); // and draws the map
    const where = (event) => {
      const finger = event.changedTouches ? event.changedTouches[0] : event;
      return [finger.clientX, finger.clientY];
    };
    plot.on("plotly_hover", ({ points, event }) => showTip(map.row[points[0].pointIndex], ...where(event)));
    plot.on("plotly_unhover", hideTip);
    plot.on("plotly_click", ({ points, event }) => {
      if (touch) showTip(map.row[points[0].pointIndex], ...where(event));
      pick(points[0].pointIndex);
    });
    addEventListener("scroll", hideTip, { passive: true });
  }

  // ---- all together ----

  const charts = [...document.querySelectorAll("[data-chart]")];
  const redraw = () => { charts.forEach(draw); if (map) drawMap(); };
  charts.forEach(draw);
  if (map) startMap();

  const fit = (element) => Plotly.Plots.resize(element);
  // The observer also reports every chart once at the start; a chart that fits is left as it is.
  const fits = (chart, box) => Math.abs(chart.width - box.width) < 1 && Math.abs(chart.height - box.height) < 1;
  const watch = new ResizeObserver((entries) => {
    for (const { target, contentRect } of entries) {
      if (contentRect.width > 0 && target._fullLayout && !fits(target._fullLayout, contentRect)) fit(target);
    }
  });
  [...charts, ...(map ? [plot] : [])].forEach((element) => watch.observe(element));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

  let opened = [];
  addEventListener("beforeprint", () => {
    root.classList.add("printing");
    // Paper cannot be unfolded, but long tables behind charts, and those of every reading, would fill it.
    const short = (element) => !element.classList.contains("numbers")
      || (!element.closest("#fig-curves") && element.querySelectorAll("tbody tr").length <= 12);
    opened = [...document.querySelectorAll("details:not([open])")].filter(short);
    opened.forEach((element) => { element.open = true; });
    redraw();
    [...charts, ...(map ? [plot] : [])].forEach(fit);
  });
  addEventListener("afterprint", () => {
    root.classList.remove("printing");
    opened.forEach((element) => { element.open = false; });
    redraw();
  });
  root.dataset.ready = "yes"; // every chart is drawn
})();
