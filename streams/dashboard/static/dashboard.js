// The dashboard: draws what the server tells once a second. Of a run that is played back it asks for one moment after
// the other; a frozen run brings its history in the page and asks nobody.
"use strict";

const STALE_S = 5;      // older than that, a tile is greyed
const KEPT = 900;       // moments in a plot: a quarter of an hour
const HEIGHT = 220;     // of a plot, px
const LINES = 16;       // in a plot: of more, those that rose highest
const COLOURS = ["#0072b2", "#009e73", "#d55e00", "#cc79a7", "#e69f00", "#56b4e9", "#8a7a00", "#777777"];
const ARMS = { cloud: 7, boosted: 7, online: 7, logged: 7, local: 0, random: 4, coarse: 1, mpda: 5, coda: 2 };
const CELLS = { o: "offline", c: "connected, not trained yet", s: "stale: an older model, or untrained for 10 min", t: "trained" };
const TRUNKS = [
  ["data", ["produced", "scored", "pooled", "matched", "tunnelled", "pushed"]],
  ["devices", ["predicted", "trained"]],
  ["model", ["learned"]],
  ["check", ["canary"]],
];
const OPTIONAL = ["scored"];  // shown where somebody tells of it: events need not pass there

const only = document.body.dataset.only;
const frozen = document.getElementById("run");
const played = document.body.dataset.mode === "played";
const past = Boolean(frozen) || played;  // moments are those of a run, not of now

// What there is to see: how each panel is made of `panel/line` series or of a table.
const PANELS = [
  { name: "flow", wide: true, says: "Each stage with its word; on the way to it what passes per second, and how far it lies behind the stage before. Its age is that of the moment up to which all is done.", draw: drawFlow },
  { name: "freshness", says: "Age since produced of what passed each stage within 10 s.", of: ["p50", "p95", "p99"], chosen: "p99", unit: span, log: true },
  { name: "own lag", id: "lag", says: "How far each stage lies behind the one before: its own fault.", of: ["own lag", "lag"], labels: { "own lag": "time, by stage", lag: "events, by partition" }, chosen: "own lag", unit: span, units: { lag: count } },
  { name: "throughput", says: "Done per second, by stage.", of: ["rate"], unit: count },
  { name: "arms", says: "GAUC of each arm minus the base's (what devices add to) over the newest 20,000 predictions, with 95 % bands over users; or of all so far.", of: ["gain", "arms"], labels: { gain: "lately, − base", arms: "all so far" }, chosen: "gain", unit: (x) => x.toFixed(3), bands: { gain: "bands" }, colours: ARMS },
  { name: "use", says: "Freshness at use: which share of the samples that devices trained on, and of predictions' models, was older than that (event time).", draw: drawUse },
  { name: "model", says: "Cloud model version in use, and devices connected.", of: ["model", "devices"], chosen: "model", unit: count },
  { name: "canary", says: "The newest canary's seconds by leg.", of: ["canary"], unit: span },
  { name: "timeline", says: "What the marks in the plots are, the newest first: faults of a run that breaks things on purpose, restarts, versions of the cloud model and of the training task.", draw: drawTimeline },
  { name: "fleet", wide: true, says: past ? "What the run left of each device, as of its end: press / and type its name." : "Each device a cell: click on it, or press / and type its name.", draw: past ? drawPastFleet : drawFleet },
  { name: "stages", wide: true, table: "overview", says: "Each stage, the rule that gave its word, and the window it was judged from." },
  { name: "partitions", wide: true, table: "partitions" },
  { name: "processes", wide: true, table: "processes" },
  { name: "results", wide: true, table: "arms", says: "Arms so far, and over the newest predictions: what each adds to the base, whom it harms, how far its probabilities are off." },
  { name: "groups", wide: true, table: "groups", says: "Devices by how much was predicted for them before: new < 20 events, regular < 200, heavy. How their trainings are, or their connections where most are away, and what coda adds for them lately." },
  { name: "drift", table: "drift", says: "Log-loss of the cloud model by the age of its version (event time): is it time for a newer one?" },
  { name: "faults", wide: true, table: "faults" },
];

const view = { at: [], series: {}, marks: [], frame: null, heard: 0, cells: "", names: [], ill: false };

// A number and its unit stay on one line (as in monitor/as_html.py).
function whole(words) {
  return words.replace(/(\d) (?=(?:ms|µs|s|min|h|d|%|B|kB|MB|GB|KiB|MiB|GiB|nats)(?!\w))/g, "$1\u00a0").replace(/([<>≤≥×÷±]) (?=\d)/g, "$1\u00a0");
}

function span(s) {
  return whole(spoken(s));
}

function spoken(s) {
  if (s === null || s === undefined) return "–";
  if (s < 0.9995) return `${Math.round(s * 1000)} ms`;
  if (s < 9.95) return `${s.toFixed(1)} s`;
  const m = Math.floor(s / 60), h = Math.floor(s / 3600), d = Math.floor(s / 86400);
  if (d) return `${d} d ${h % 24} h`;
  if (h) return `${h} h ${m % 60} min`;
  return m ? `${m} min ${Math.floor(s % 60)} s` : `${Math.round(s)} s`;
}

// The same in few characters, for an axis.
function tick(s) {
  if (s >= 86400) return `${+(s / 86400).toFixed(1)} d`;
  if (s >= 3600) return `${+(s / 3600).toFixed(1)} h`;
  if (s >= 60) return `${+(s / 60).toFixed(1)} min`;
  return s >= 1 || s === 0 ? `${+s.toFixed(1)} s` : `${+(s * 1000).toPrecision(2)} ms`;
}

function count(n) {
  return n >= 100 || Number.isInteger(n) ? Math.round(n).toLocaleString("en") : n.toFixed(1);
}

function element(tag, words = {}, ...inside) {
  const made = Object.assign(document.createElement(tag), words);
  made.append(...inside.map((each) => (typeof each === "string" ? whole(each) : each)));
  return made;
}

// The moment now by the server's clock, from the last frame on.
function now() {
  return past ? view.frame.at_ms : view.frame.at_ms + performance.now() - view.heard;
}

// ---- panels -------------------------------------------------------------------------------------------------------

function build() {
  const main = document.getElementById("panels");
  for (const panel of PANELS) {
    panel.id ??= panel.name;
    if ((only && panel.id !== only) || (frozen && panel.id === "fleet")) continue;
    const asof = element("span", { className: "asof" });
    const link = element("a", { href: frozen ? `#${panel.id}` : `/panel/${panel.id}` }, panel.name);
    const top = element("div", { className: "top" }, element("h2", {}, link));
    if (panel.of && panel.of.length > 1) top.append(choice(panel));
    top.append(asof);
    panel.box = element("section", { className: `panel${panel.wide ? " wide" : ""}`, id: panel.id, tabIndex: -1 }, top);
    if (panel.says) panel.box.append(element("p", { className: "says" }, panel.says));
    panel.body = element("div");
    panel.asof = asof;
    panel.box.append(panel.body);
    main.append(panel.box);
  }
}

function choice(panel) {
  const group = element("span", { className: "choice" });
  for (const name of panel.of) {
    const button = element("button", { type: "button" }, panel.labels?.[name] ?? name);
    button.setAttribute("aria-pressed", name === (panel.chosen ?? panel.of[0]));
    button.onclick = () => {
      panel.chosen = name;
      for (const each of group.children) each.setAttribute("aria-pressed", each === button);
      drawPlot(panel);
    };
    group.append(button);
  }
  return group;
}

function draw() {
  if (!view.frame) return;
  for (const panel of PANELS) {
    if (!panel.box) continue;
    if (panel.draw) panel.draw(panel);
    else if (panel.table) drawTable(panel);
    else drawPlot(panel);
  }
  document.getElementById("cause").textContent = view.frame.cause ? whole(`likely cause: ${view.frame.cause} — what to do: ${view.frame.remedy}`) : "";
  clock();
}

// Ages go on between frames, and when no frame comes.
function clock() {
  if (!view.frame) return;
  const old = (now() - view.frame.at_ms) / 1000;
  const at = new Date(view.frame.at_ms).toLocaleTimeString("en-GB");
  const said = old >= STALE_S ? `no data for ${span(old)}` : `as of ${at}`;
  for (const panel of PANELS) {
    if (!panel.box) continue;
    panel.asof.textContent = said;
    panel.box.classList.toggle("old", old >= STALE_S);
  }
  const last = frozen && view.frame.at_ms === view.at.at(-1);
  const end = last ? "a run, as it ended" : frozen ? `a run at ${at}, before its processes ended` : played ? `run ${view.run}, ${said}` : said;
  document.getElementById("head").textContent = `${view.frame.up} of ${view.frame.processes} processes up · ${end}`;
  for (const each of document.querySelectorAll("[data-until]")) {
    const until = Number(each.dataset.until);
    each.textContent = until ? `age ${span(Math.max(0, now() - until) / 1000)}` : "nothing done yet";
  }
}

// ---- flow ---------------------------------------------------------------------------------------------------------

function drawFlow(panel) {
  const stages = Object.fromEntries(view.frame.stages.map((stage) => [stage.name, stage]));
  panel.body.replaceChildren(...TRUNKS.filter(([, names]) => names.some((name) => stages[name])).map(([of, names]) => {
    const row = element("div", { className: "flow" }, element("span", { className: "of" }, of));
    names.filter((name) => stages[name] || !OPTIONAL.includes(name)).forEach((name, place) => {
      const stage = stages[name];
      if (place || name !== "produced") {
        const own = stage && stage.local_s !== null ? [element("br"), `lag ${span(stage.local_s)}`] : [];
        row.append(element("span", { className: "edge" }, ...(stage ? [`${count(stage.per_s)}/s`, ...own] : [])));
      }
      row.append(node(name, stage));
    });
    return row;
  }));
}

function node(name, stage) {
  const box = element("div", { className: `node ${stage ? stage.word : ""}`, title: stage ? stage.rule : "nobody says" });
  box.dataset.stage = name;
  const word = element("span", { className: `word ${stage ? stage.word : ""}` }, stage ? stage.word : "?");
  box.append(element("b", {}, `${name} `, word));
  if (!stage) return box;
  if (stage.behind) box.append(element("small", {}, `${count(stage.behind)} behind · `));
  const until = element("small");
  until.dataset.until = stage.until_ms;
  box.append(until);
  return box;
}

// ---- plots over time ----------------------------------------------------------------------------------------------

function drawPlot(panel) {
  const prefix = `${panel.chosen ?? panel.of[0]}/`;
  const lines = highest(Object.keys(view.series).filter((line) => line.startsWith(prefix)));
  if (!lines.length) return clear(panel, "nothing yet");
  const banded = panel.bands?.[prefix.slice(0, -1)];
  const bands = banded ? lines.map((line) => line.slice(prefix.length)).filter((arm) => view.series[`${banded}/${arm} low`]) : [];
  const wanted = [prefix, theme(), ...lines, ...bands].join("|");
  const data = [view.at.map((ms) => ms / 1000), ...lines.map((line) => view.series[line])];
  for (const arm of bands) data.push(view.series[`${banded}/${arm} high`], view.series[`${banded}/${arm} low`]);
  if (panel.log) for (let i = 1; i < data.length; i++) data[i] = data[i].map((y) => (y > 0 ? y : null));
  plot(panel, wanted, data, () => plotOptions(panel, prefix, lines, bands));
}

// As many as a plot has room for, in their order: a partition that is stuck is among them however many there are.
function highest(lines) {
  if (lines.length <= LINES) return lines;
  const top = Object.fromEntries(lines.map((line) => [line, Math.max(...view.series[line].map((y) => y ?? 0))]));
  const drawn = new Set([...lines].sort((a, b) => top[b] - top[a]).slice(0, LINES));
  return lines.filter((line) => drawn.has(line));
}

function clear(panel, words = "") {
  panel.plot?.destroy();
  panel.plot = null;
  panel.body.textContent = words;
}

// New data in the plot that there is, unless what is `wanted` of it is another one.
function plot(panel, wanted, data, options) {
  if (panel.drawn === wanted && panel.plot) return panel.plot.setData(data);
  clear(panel);
  panel.drawn = wanted;
  panel.plot = new uPlot({ width: panel.body.clientWidth || 400, height: HEIGHT, ...options() }, data, panel.body);
}

function axis(more) {
  const style = getComputedStyle(document.documentElement);
  const grid = { stroke: style.getPropertyValue("--line"), width: 1 };
  return { stroke: style.getPropertyValue("--soft"), grid, ticks: grid, ...more };
}

function plotOptions(panel, prefix, lines, bands) {
  const unit = panel.units?.[prefix.slice(0, -1)] ?? panel.unit;
  const colour = (line, at) => COLOURS[(panel.colours?.[line.slice(prefix.length)] ?? at) % COLOURS.length];
  const said = (_, y) => (y === null || y === undefined ? "–" : unit(y));
  const series = lines.map((line, at) => ({
    label: line.slice(prefix.length), stroke: colour(line, at), width: 1.6, points: { show: false }, value: said,
  }));
  for (const arm of bands) {
    for (const bound of ["high", "low"]) {
      series.push({ label: `${arm} ${bound}`, class: "bound", stroke: "transparent", points: { show: false }, value: said });
    }
  }
  return {
    cursor: { sync: { key: "coda" } },
    scales: { y: panel.log ? { distr: 3 } : { range: (_, low, high) => spread(low, high, panel.bands) } },
    axes: [
      axis({ values: (_, times) => times.map((s) => new Date(s * 1000).toLocaleTimeString("en-GB")), space: 90 }),
      axis({ size: 64, values: (_, ys) => ys.map((y) => (y === null ? "" : unit === span ? tick(y) : unit(y))) }),
    ],
    series: [{ value: (_, s) => (s === null ? "" : new Date(s * 1000).toLocaleTimeString("en-GB")) }, ...series],
    bands: bands.map((arm, at) => ({
      series: [1 + lines.length + 2 * at, 2 + lines.length + 2 * at], fill: `${colour(prefix + arm, lines.indexOf(prefix + arm))}22`,
    })),
    hooks: { draw: [drawMarks] },
  };
}

function spread(low, high, tight) {
  if (low === null || high === null) return [0, 1];
  if (tight) return [low - 0.005, high + 0.005];
  return [0, high > 0 ? high * 1.1 : 1];
}

const KINDS = ["fault", "restart", "model", "task"];  // who comes first has room for its words first
const LANES = 3;  // rows of words over each other

// A line for each mark, and its words where they lie over no others: a phone has room for few, and the timeline for all.
function drawMarks(plot) {
  const { ctx, bbox } = plot, style = getComputedStyle(document.documentElement), px = devicePixelRatio;
  const right = bbox.left + bbox.width;
  ctx.save();
  ctx.font = `${10 * px}px system-ui`;
  ctx.textAlign = "left";
  if (played) {
    ctx.fillStyle = style.getPropertyValue("--ink");
    ctx.fillRect(plot.valToPos(view.frame.at_ms / 1000, "x", true), bbox.top, 2 * px, bbox.height);  // what is shown
  }
  const taken = [];
  for (const kind of KINDS) {
    ctx.strokeStyle = ctx.fillStyle = style.getPropertyValue(`--mark-${kind}`);
    ctx.setLineDash(kind === "fault" ? [] : [3 * px, 3 * px]);
    for (const mark of view.marks.filter((each) => each.kind === kind)) {
      const x = plot.valToPos(mark.at_ms / 1000, "x", true);
      if (x < bbox.left || x > right) continue;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      const width = ctx.measureText(mark.what).width + 6 * px;
      const from = x + width > right ? x - width : x + 3 * px;
      const lane = [...Array(LANES).keys()].find((n) => !taken.some((t) => t.lane === n && from < t.to && t.from < from + width));
      if (lane === undefined || from < bbox.left) continue;
      taken.push({ lane, from, to: from + width });
      ctx.fillText(mark.what, from, bbox.top + (10 + 12 * lane) * px);
    }
  }
  ctx.restore();
}

function drawTimeline(panel) {
  const at = (ms) => new Date(ms).toLocaleTimeString("en-GB");
  const line = ({ at_ms, kind, what }) => element("li", {}, element("span", { className: `mark ${kind}` }, kind), ` ${at(at_ms)} ${what}`);
  const list = element("ol", { className: "timeline" }, ...view.marks.slice(-100).reverse().map(line));
  panel.body.replaceChildren(view.marks.length ? list : "nothing yet");
}

// ---- freshness at use ---------------------------------------------------------------------------------------------

function drawUse(panel) {
  const uses = Object.keys(view.frame.older);
  if (!uses.length) return clear(panel, "nothing used yet");
  const bounds = Object.keys(view.frame.older[uses[0]]).map(Number).sort((a, b) => a - b);
  const shares = uses.map((use) => bounds.map((bound) => view.frame.older[use][`${bound}.0`]));
  const percent = (y) => whole(`${Math.round(y * 100)} %`);
  plot(panel, [theme(), ...uses].join("|"), [bounds, ...shares], () => ({
    scales: { x: { time: false, distr: 3 }, y: { range: [0, 1] } },
    axes: [
      axis({ splits: () => bounds, filter: (_, xs) => xs, values: (_, xs) => xs.map(short) }),
      axis({ values: (_, ys) => ys.map(percent) }),
    ],
    series: [{ label: "older than", value: (_, x) => (x === null ? "" : span(x)) }, ...uses.map((use, at) => ({
      label: use, stroke: COLOURS[at], width: 1.6, value: (_, y) => (y === null ? "–" : percent(y)),
    }))],
  }));
}

function short(s) {
  return s >= 86400 ? `${s / 86400} d` : s >= 3600 ? `${s / 3600} h` : `${s / 60} min`;
}

// ---- fleet --------------------------------------------------------------------------------------------------------

function drawFleet(panel) {
  if (!panel.canvas) {
    panel.canvas = element("canvas", { className: "cells" });
    panel.canvas.setAttribute("role", "img");
    panel.find = finder();
    panel.legend = element("p", { className: "legend" });
    panel.canvas.onclick = (event) => { const at = cellAt(panel, event); if (at >= 0) showDevice(view.names[at]); };
    panel.canvas.onmousemove = (event) => { panel.canvas.title = view.names[cellAt(panel, event)] ?? ""; };
    panel.body.append(panel.find, panel.canvas, panel.legend);
  }
  const n = view.cells.length;
  const width = panel.body.clientWidth || 600;
  const size = Math.max(4, Math.min(18, Math.floor(Math.sqrt((width * 260) / Math.max(n, 1)))));
  const across = Math.max(1, Math.floor(width / size));
  const height = Math.max(size, Math.ceil(n / across) * size);
  const shape = [n, width, size, theme()].join();
  if (panel.shape !== shape) {
    panel.shape = shape;
    panel.size = size;
    panel.across = across;
    panel.canvas.width = width * devicePixelRatio;
    panel.canvas.height = height * devicePixelRatio;
    panel.canvas.style.height = `${height}px`;
    panel.shown = "";
  }
  paint(panel);
  const counts = {};
  for (const cell of view.cells) counts[cell] = (counts[cell] ?? 0) + 1;
  panel.legend.replaceChildren(...Object.entries(CELLS).map(([cell, words]) => {
    const dot = element("i");
    dot.style.background = `var(--cell-${cell})`;
    return element("span", {}, dot, `${count(counts[cell] ?? 0)} ${words}`);
  }));
  panel.canvas.setAttribute("aria-label", panel.legend.textContent);
}

function finder() {
  const find = element("input", { placeholder: "a device's name", type: "search" });
  find.setAttribute("aria-label", "find a device by its name");
  find.onkeydown = (event) => { if (event.key === "Enter" && find.value) showDevice(find.value); };
  return find;
}

const OFFERED = 1000;  // names to choose from; a longer list makes a browser slow

// Of a run there is no moment for devices: what it left of each is a page.
function drawPastFleet(panel) {
  if (!view.left || panel.body.hasChildNodes()) return;
  const { names, why_none } = view.left;
  if (why_none) return panel.body.append(element("p", {}, why_none));
  const list = element("datalist", { id: "names" }, ...names.slice(0, OFFERED).map((name) => element("option", { value: name })));
  const find = finder();
  find.setAttribute("list", "names");
  panel.body.append(find, list, element("p", { className: "legend" }, `${count(names.length)} devices`));
}

// Only cells that changed are painted: ten thousand stay fluid.
function paint(panel) {
  const style = getComputedStyle(document.documentElement), ctx = panel.canvas.getContext("2d");
  const colours = Object.fromEntries(Object.keys(CELLS).map((cell) => [cell, style.getPropertyValue(`--cell-${cell}`)]));
  const size = panel.size * devicePixelRatio, gap = Math.max(1, Math.round(size / 10));
  for (let at = 0; at < view.cells.length; at++) {
    const cell = view.cells[at];
    if (cell === panel.shown[at]) continue;
    ctx.fillStyle = colours[cell];
    ctx.fillRect((at % panel.across) * size, Math.floor(at / panel.across) * size, size - gap, size - gap);
  }
  panel.shown = view.cells;
}

function cellAt(panel, event) {
  const at = Math.floor(event.offsetY / panel.size) * panel.across + Math.floor(event.offsetX / panel.size);
  return at < view.cells.length ? at : -1;
}

async function showDevice(name) {
  const answer = await fetch(`/devices/${encodeURIComponent(name)}`);
  const about = document.getElementById("about");
  if (!answer.ok) {
    about.replaceChildren(element("h2", {}, name), element("p", {}, await answer.text()));
  } else {
    const device = await answer.json();
    const list = element("dl");
    const rows = { ...(device.rows ?? rowsOf(device)), "what it learned": element("ul", {}, ...device.learned.map((line) => element("li", {}, line))) };
    for (const [what, words] of Object.entries(rows)) list.append(element("dt", {}, what), element("dd", {}, words));
    about.replaceChildren(element("h2", {}, name), list);
  }
  document.getElementById("device").showModal();
}

function rowsOf(device) {
  const ago = (ms) => (ms ? `${span((now() - ms) / 1000)} ago` : "never");
  const listed = (parts) => Object.entries(parts).map(([what, n]) => `${count(n)} ${what.replaceAll("_", " ")}`).join(", ") || "–";
  const losses = Object.entries(device.log_loss).map(([head, sum]) => [head, sum / Math.max(device.events, 1)]).sort((a, b) => a[1] - b[1]);
  return {
    link: `${device.online ? "online" : "offline"} since ${ago(device.since_ms)}`,
    "came and went": device.link.map(([ms, on]) => `${on ? "came" : "went"} ${ago(ms)}`).reverse().join(", ") || "–",
    "cloud model": device.model || "–",
    "last batch": device.batch_ms ? `${device.batch_outcome.replaceAll("_", " ")}, ${ago(device.batch_ms)}` : "never",
    batches: listed(device.batches),
    "last trained": ago(device.trained_ms),
    trainings: listed(device.trainings),
    "heads that passed their test": listed(device.passed),
    "events predicted": count(device.events),
    "log-loss per event, best heads first": losses.slice(0, 6).map(([head, loss]) => `${head} ${loss.toFixed(4)}`).join(", ") || "–",
    "computed for": span(device.compute_ms / 1000),
    "sent up, got down": `${count(device.bytes_up / 1000)} kB, ${count(device.bytes_down / 1000)} kB`,
  };
}

// ---- tables -------------------------------------------------------------------------------------------------------

function drawTable(panel) {
  const { columns, rows, words } = view.frame.tables[panel.table];
  let shown = rows.map((cells, at) => [cells, words[at]]);
  if (view.ill) shown = shown.filter(([, word]) => word && word !== "FRESH" && word !== "IDLE");
  if (panel.by !== undefined) shown.sort((a, b) => order(b[0][panel.by]) - order(a[0][panel.by]) || a[0][panel.by].localeCompare(b[0][panel.by]));
  const head = element("tr", {}, ...columns.map((name, at) => {
    const cell = element("th", { tabIndex: 0, scope: "col" }, name + (panel.by === at ? " ▾" : ""));
    cell.onclick = () => { panel.by = panel.by === at ? undefined : at; drawTable(panel); };
    cell.onkeydown = (event) => { if (event.key === "Enter") cell.onclick(); };
    return cell;
  }));
  const body = shown.map(([cells, word]) => element("tr", {}, ...cells.map((cell) =>
    element("td", cell === word ? { className: `word ${word}` } : {}, cell))));
  const table = element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
  const scroll = panel.body.firstElementChild ?? element("div", { className: "scroll" });
  scroll.replaceChildren(table);
  if (!scroll.isConnected) panel.body.append(scroll);
}

// Numbers and shares by size, spans of time by length, words last.
function order(cell) {
  const words = cell.replaceAll(",", "").split(" "), scales = { ms: 1e-3, s: 1, min: 60, h: 3600, d: 86400 };
  let value = parseFloat(words[0]) * (scales[words[1]] ?? 1);
  if (words[1] in scales && words[3] in scales) value += parseFloat(words[2]) * scales[words[3]];
  return Number.isNaN(value) ? -Infinity : value;
}

// ---- what comes ---------------------------------------------------------------------------------------------------

function take(history) {
  view.at = history.at_ms;
  view.series = history.series;
  view.marks = history.marks;
  hear(history.newest);
}

function add(frame) {
  if (view.frame && frame.number <= view.frame.number) return;
  view.at.push(frame.at_ms);
  for (const line of new Set([...Object.keys(view.series), ...Object.keys(frame.series)])) {
    const values = (view.series[line] ??= new Array(view.at.length - 1).fill(null));
    values.push(frame.series[line] ?? null);
  }
  view.marks.push(...frame.marks);
  while (view.at.length > KEPT) {
    view.at.shift();
    for (const values of Object.values(view.series)) values.shift();
  }
  hear(frame);
}

function hear(frame) {
  if (!frame) return;
  view.frame = frame;
  document.body.dataset.moments = view.at.length;
  view.heard = performance.now();
  draw();
}

async function listen() {
  const reload = async () => take(await (await fetch("/history")).json());
  for (;;) {
    try {
      await reload();
      break;
    } catch {
      await new Promise((done) => setTimeout(done, 1000));
    }
  }
  const frames = new EventSource("/frames");  // comes back by itself, and says which frame it had last
  addEventListener("pagehide", () => frames.close(), { once: true });  // a page that is kept to go back to holds one of the browser's six connections
  frames.onmessage = (event) => add(JSON.parse(event.data));
  frames.addEventListener("reset", reload);
  frames.addEventListener("cells", async (event) => {
    const said = JSON.parse(event.data);
    if (said.all !== undefined) view.cells = said.all;
    else {
      const cells = view.cells.slice(0, said.count).split("");
      for (const [at, cell] of said.changed) cells[at] = cell;
      view.cells = cells.join("");
    }
    if (view.names.length !== view.cells.length) view.names = await (await fetch("/devices")).json();
    const fleet = PANELS.find((panel) => panel.name === "fleet");
    if (fleet.box && view.frame) drawFleet(fleet);
  });
}

// ---- a run played back --------------------------------------------------------------------------------------------

const player = { at: 0, first: 0, stopped: false };

async function playBack() {
  const history = await (await fetch("/history")).json();
  const { newest, run } = history;
  const left = await (await fetch("/devices")).json();
  Object.assign(view, { at: history.at_ms, series: history.series, marks: history.marks, run, left });
  player.first = newest.number - view.at.length + 1;
  document.getElementById("player").hidden = false;
  document.getElementById("moment").max = view.at.length - 1;
  document.getElementById("moment").oninput = (event) => goTo(Number(event.target.value));
  document.getElementById("pause").onclick = () => stop(!player.stopped);
  await show(0);
  setInterval(() => { if (!player.stopped) show(player.at + 1); }, 1000);
}

async function show(at) {
  player.at = Math.max(0, Math.min(at, view.at.length - 1));
  if (player.at === view.at.length - 1) stop(true);
  const wanted = player.at;
  const frame = await (await fetch(`/frames/${player.first + wanted}`)).json();
  if (wanted !== player.at) return;  // somebody has gone on meanwhile
  const seconds = (ms) => Math.round((ms - view.at[0]) / 1000);
  document.getElementById("moment").value = wanted;
  document.getElementById("place").textContent = whole(`${seconds(frame.at_ms)} s of ${seconds(view.at.at(-1))} s`);
  hear(frame);
}

function goTo(at) {
  stop(true);
  show(at);
}

function stop(stopped) {
  if (!stopped && player.at === view.at.length - 1) player.at = -1;  // from its end a run begins anew
  player.stopped = stopped;
  document.getElementById("pause").textContent = stopped ? "play" : "stop";
}

// ---- keys, theme, size --------------------------------------------------------------------------------------------

function theme() {
  return document.documentElement.dataset.theme;
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  try { localStorage.setItem("theme", name); } catch { /* a page from a file keeps nothing */ }
  draw();
}

document.getElementById("theme").onclick = () => setTheme(theme() === "dark" ? "light" : "dark");
document.getElementById("keys").onclick = () => document.getElementById("help").showModal();
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input:not([type=range])") || event.ctrlKey || event.metaKey || event.altKey) return;
  const numbered = PANELS.filter((panel) => panel.box)[Number(event.key) - 1];
  if (numbered) {
    numbered.box.scrollIntoView({ behavior: "smooth" });
    numbered.box.focus();
  } else if (event.key === "t") document.getElementById("theme").click();
  else if (event.key === "?") document.getElementById("help").showModal();
  else if (event.key === "u") { view.ill = !view.ill; draw(); }
  else if (played && event.key === " " && !event.target.matches("button")) { event.preventDefault(); stop(!player.stopped); }
  else if (played && (event.key === "ArrowLeft" || event.key === "ArrowRight")) {
    event.preventDefault();
    goTo(player.at + (event.key === "ArrowRight" ? 1 : -1));
  }
  else if (event.key === "/") { event.preventDefault(); document.querySelector("#fleet input")?.focus(); }
});
let resized;
addEventListener("resize", () => {
  clearTimeout(resized);
  resized = setTimeout(() => {
    for (const panel of PANELS) panel.plot?.setSize({ width: panel.body.clientWidth, height: HEIGHT });
    draw();
  }, 150);
});

let kept = null;
try { kept = localStorage.getItem("theme"); } catch { /* as above */ }
document.documentElement.dataset.theme = frozen ? "light" : kept ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
build();
if (frozen) take(JSON.parse(frozen.textContent));
else if (played) playBack();
else {
  listen();
  addEventListener("pageshow", (event) => { if (event.persisted) listen(); });
  setInterval(clock, 500);
}
