"use strict";
// Plots, the structure viewer, sortable tables and their export. Data come from the two JSON blocks above.
(function () {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const plots = read("plots");
  const structures = read("structures");
  const quiet = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d"] };

  for (const place of document.querySelectorAll("[data-plot]")) {
    const figure = plots[place.dataset.plot];
    if (figure) Plotly.newPlot(place, figure.data, figure.layout, quiet);
    else place.remove();
  }

  // A sphere: an icosahedron, each face divided once or twice.
  function sphere(divisions) {
    const t = (1 + Math.sqrt(5)) / 2;
    let points = [[-1, t, 0], [1, t, 0], [-1, -t, 0], [1, -t, 0], [0, -1, t], [0, 1, t], [0, -1, -t], [0, 1, -t],
      [t, 0, -1], [t, 0, 1], [-t, 0, -1], [-t, 0, 1]];
    let faces = [[0, 11, 5], [0, 5, 1], [0, 1, 7], [0, 7, 10], [0, 10, 11], [1, 5, 9], [5, 11, 4], [11, 10, 2],
      [10, 7, 6], [7, 1, 8], [3, 9, 4], [3, 4, 2], [3, 2, 6], [3, 6, 8], [3, 8, 9], [4, 9, 5], [2, 4, 11],
      [6, 2, 10], [8, 6, 7], [9, 8, 1]];
    for (let n = 0; n < divisions; n++) {
      const middle = new Map();
      const halfway = (a, b) => {
        const key = Math.min(a, b) + "-" + Math.max(a, b);
        if (!middle.has(key)) {
          middle.set(key, points.length);
          points.push(points[a].map((x, k) => (x + points[b][k]) / 2));
        }
        return middle.get(key);
      };
      faces = faces.flatMap(([a, b, c]) => {
        const [ab, bc, ca] = [halfway(a, b), halfway(b, c), halfway(c, a)];
        return [[a, ab, ca], [ab, b, bc], [ca, bc, c], [ab, bc, ca]];
      });
      points = unit(points);
    }
    return { points: unit(points), faces };
  }
  const unit = (points) => points.map((p) => { const r = Math.hypot(...p); return p.map((x) => x / r); });

  function balls(structure, members, name, colour, ball) {
    const mesh = { type: "mesh3d", name, color: colour, x: [], y: [], z: [], i: [], j: [], k: [], text: [],
      hoverinfo: "text", flatshading: false, showlegend: true,
      lighting: { ambient: 0.75, diffuse: 0.9, specular: 0.3, roughness: 0.3, fresnel: 0.05 },
      lightposition: { x: 3000, y: 2000, z: 4000 } };
    for (const atom of members) {
      const offset = mesh.x.length;
      const radius = structure.elements[structure.symbols[atom]].radius;
      const label = structure.symbols[atom] + atom + ", " + structure.roles[atom];
      for (const point of ball.points) {
        mesh.x.push(structure.positions[atom][0] + radius * point[0]);
        mesh.y.push(structure.positions[atom][1] + radius * point[1]);
        mesh.z.push(structure.positions[atom][2] + radius * point[2]);
        mesh.text.push(label);
      }
      for (const [a, b, c] of ball.faces) { mesh.i.push(offset + a); mesh.j.push(offset + b); mesh.k.push(offset + c); }
    }
    return mesh;
  }

  function sticks(structure) {
    const line = { type: "scatter3d", mode: "lines", x: [], y: [], z: [], hoverinfo: "skip", showlegend: false,
      line: { color: "#8b95a1", width: 7 } };
    for (const [a, b] of structure.bonds) {
      for (const [axis, k] of [["x", 0], ["y", 1], ["z", 2]]) {
        line[axis].push(structure.positions[a][k], structure.positions[b][k], null);
      }
    }
    return line;
  }

  // Labels of the exchange sites, a little outside of their atoms; pointing at one shows its energies.
  function labels(structure) {
    const outside = (p) => { const r = Math.hypot(...p) || 1; return p.map((x) => x * (1 + 1.2 / r)); };
    const at = structure.sites.map(({ atom }) => outside(structure.positions[atom]));
    return { type: "scatter3d", mode: "text", name: "exchange sites", showlegend: true, hoverinfo: "text",
      x: at.map((p) => p[0]), y: at.map((p) => p[1]), z: at.map((p) => p[2]),
      text: structure.sites.map(({ atom }) => structure.symbols[atom] + atom),
      hovertext: structure.sites.map(({ atom, text }) => structure.symbols[atom] + atom + ": " + text),
      textfont: { size: 15, color: "#1c2733", weight: 700 } };
  }

  const viewer = document.getElementById("viewer");
  if (viewer && structures.length) {
    const which = document.getElementById("which");
    const colouring = document.getElementById("colouring");
    structures.forEach((structure, n) => which.add(new Option(structure.label, String(n))));
    const [player, play, slider, shown] = ["player", "play", "frame", "frame-number"].map((id) => document.getElementById(id));
    const current = () => {
      const structure = structures[Number(which.value)];
      return structure.frames ? { ...structure, positions: structure.frames[Number(slider.value)] } : structure;
    };
    const draw = () => {
      const structure = current();
      shown.textContent = structure.frames ? Number(slider.value) + 1 + " of " + structure.frames.length : "";
      const byRole = colouring.value === "role";
      const groups = new Map();
      structure.symbols.forEach((symbol, atom) => {
        const name = byRole ? structure.roles[atom] : symbol;
        const colour = byRole ? structure.roleColours[name] : structure.elements[symbol].colour;
        if (!groups.has(name)) groups.set(name, { colour, members: [] });
        groups.get(name).members.push(atom);
      });
      const ball = sphere(structure.symbols.length > 300 ? 1 : 2);
      const traces = [...groups].map(([name, g]) => balls(structure, g.members, name, g.colour, ball));
      const axis = { visible: false, showspikes: false };
      const layout = { margin: { l: 0, r: 0, t: 0, b: 0 }, uirevision: "keep", legend: { x: 0, y: 1, bgcolor: "rgba(255,255,255,0.6)" },
        font: { family: "system-ui, sans-serif", size: 13, color: "#1c2733" }, paper_bgcolor: "white",
        scene: { aspectmode: "data", xaxis: axis, yaxis: axis, zaxis: axis, dragmode: "orbit",
          camera: { eye: { x: 0.5, y: 0.95, z: 0.6 } } } };
      if (structure.sites.length) traces.push(labels(structure));
      return Plotly.react(viewer, [...traces, sticks(structure)], layout, quiet);
    };
    const choose = () => {
      const { frames } = structures[Number(which.value)];
      player.hidden = !frames;
      if (frames) [slider.max, slider.value] = [frames.length - 1, 0];
      return draw();
    };
    const step = async () => {
      await draw();
      if (play.textContent !== "Stop" || Number(slider.value) >= Number(slider.max)) { play.textContent = "Play"; return; }
      slider.value = Number(slider.value) + 1;
      setTimeout(step, 100);
    };
    play.addEventListener("click", () => {
      if (play.textContent === "Stop") { play.textContent = "Play"; return; }
      if (slider.value === slider.max) slider.value = 0;
      play.textContent = "Stop";
      step();
    });
    slider.addEventListener("input", draw);
    which.addEventListener("change", choose);
    colouring.addEventListener("change", draw);
    draw().then(() => { viewer.dataset.ready = "yes"; });
  }

  // Tables: a click on a header sorts, numerically where all cells are numbers; those without a value come last.
  const value = (cell) => cell.textContent.trim();
  const number = (text) => Number(text.replace(/^\+/, ""));
  const missing = (text) => text === "–";
  for (const table of document.querySelectorAll("table")) {
    table.tHead.querySelectorAll("th").forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        const rows = [...table.tBodies[0].rows];
        const given = rows.map((row) => value(row.cells[column])).filter((text) => !missing(text));
        const numeric = given.every((text) => Number.isFinite(number(text)));
        rows.sort((a, b) => {
          const [x, y] = [value(a.cells[column]), value(b.cells[column])];
          if (missing(x) || missing(y)) return missing(x) - missing(y);
          return (numeric ? number(x) - number(y) : x.localeCompare(y, "en", { numeric: true })) * (up ? 1 : -1);
        });
        table.tBodies[0].append(...rows);
        table.tHead.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
      });
    });
  }
  const quoted = (text) => '"' + text.replaceAll('"', '""') + '"';
  for (const button of document.querySelectorAll(".csv")) {
    button.addEventListener("click", () => {
      const table = document.getElementById("table-" + button.dataset.table);
      const lines = [...table.rows].map((row) => [...row.cells].map((cell) => quoted(value(cell))).join(","));
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([lines.join("\r\n")], { type: "text/csv" }));
      link.download = button.dataset.table + ".csv";
      link.click();
      URL.revokeObjectURL(link.href);
    });
  }
})();
