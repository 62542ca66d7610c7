"use strict";
// Values under the pointer on curves, and the map of LoRAs. Text from files is only
// ever set as text, never as markup.

const tip = document.getElementById("tip");

function make(tag, text, name) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (name) node.className = name;
  return node;
}

function showTip(event, ...children) {
  tip.replaceChildren(...children);
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const left = event.clientX + 14 + box.width > innerWidth
    ? event.clientX - box.width - 14 : event.clientX + 14;
  const top = Math.min(event.clientY + 14, innerHeight - box.height - 6);
  tip.style.left = `${Math.max(left, 6)}px`;
  tip.style.top = `${Math.max(top, 6)}px`;
}

function hideTip() { tip.hidden = true; }

// Curves ------------------------------------------------------------------------------

function nearest(points, step) {
  return points.reduce((a, b) => Math.abs(b[0] - step) < Math.abs(a[0] - step) ? b : a);
}

for (const svg of document.querySelectorAll("svg[data-chart]")) {
  const chart = JSON.parse(svg.dataset.chart);
  const cursor = svg.querySelector(".cursor");
  const [low, high, left, right] = chart.axis;
  const all = chart.lines.flatMap(line => line.points);
  svg.addEventListener("pointermove", event => {
    const at = new DOMPoint(event.clientX, event.clientY)
      .matrixTransform(svg.getScreenCTM().inverse());
    const asked = low + (at.x - left) / (right - left) * (high - low);
    const step = nearest(all, asked)[0];
    const x = left + (step - low) / (high - low) * (right - left);
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    const rows = chart.lines.map(line => {
      const [, value] = nearest(line.points, step);
      return make("div", `${line.name}: ${value}`);
    });
    showTip(event, make("small", `step ${step}`), ...rows);
  });
  svg.addEventListener("pointerleave", () => {
    hideTip();
    cursor.setAttribute("x1", -9);
    cursor.setAttribute("x2", -9);
  });
}

// The map -----------------------------------------------------------------------------

function drawMap(data) {
  const svg = document.querySelector(".plane svg");
  const dots = [...svg.querySelectorAll("[data-dot]")];
  const pins = document.getElementById("pins");
  const search = document.getElementById("map-search");
  const found = document.getElementById("map-found");
  const pinned = new Map();
  let style = "";  // of the legend's pressed button

  dots.forEach(dot => dot.querySelector("title").remove());  // the tip tells more

  function picture(row) {
    const image = make("img");
    image.src = row.picture;
    image.alt = "";
    return image;
  }

  function pick(wanted) {
    svg.classList.toggle("picked", wanted !== null);
    dots.forEach((dot, i) => dot.classList.toggle("on", wanted !== null && wanted(i)));
  }

  function matches() {
    const asked = search.value.trim().toLowerCase();
    if (!asked) return null;
    return i => data.dots[i].name.toLowerCase().includes(asked)
      || data.dots[i].style.toLowerCase().includes(asked);
  }

  function rest() {
    const wanted = matches();
    const count = wanted ? data.dots.filter((_, i) => wanted(i)).length : 0;
    found.textContent = wanted ? `${count} found` : "";
    pick(wanted ?? (style ? i => data.dots[i].style === style : null));
  }

  function unpin(i) {
    pinned.get(i).remove();
    pinned.delete(i);
    dots[i].classList.remove("pinned");
  }

  function pin(i) {
    if (pinned.has(i)) return unpin(i);
    if (pinned.size >= data.most_pinned) unpin(pinned.keys().next().value);
    const row = data.dots[i], card = make("figure", undefined, "card");
    card.append(row.picture ? picture(row) : make("span", "no preview", "blank"));
    card.append(make("b", row.name), make("small", row.style || "no style"));
    card.title = `${row.name} – click to unpin`;
    card.addEventListener("click", () => unpin(i));
    pinned.set(i, card);
    pins.append(card);
    dots[i].classList.add("pinned");
  }

  dots.forEach((dot, i) => {
    const row = data.dots[i];
    dot.addEventListener("pointerenter", event => {
      const about = [make("b", row.name), make("small", row.style || "no style")];
      showTip(event, ...(row.picture ? [picture(row)] : []), ...about);
      if (row.style) pick(other => data.dots[other].style === row.style);
    });
    dot.addEventListener("pointerleave", () => { hideTip(); rest(); });
    dot.addEventListener("click", () => pin(i));
  });

  search.addEventListener("input", rest);
  search.addEventListener("keydown", event => {
    const wanted = matches();
    if (event.key !== "Enter" || !wanted) return;
    const first = data.dots.findIndex((_, i) => wanted(i) && !pinned.has(i));
    if (first >= 0) pin(first);
  });

  const planes = [...document.querySelectorAll("[data-plane]")];
  planes.forEach((button, number) => button.addEventListener("click", () => {
    planes.forEach(other => other.setAttribute("aria-pressed", other === button));
    dots.forEach((dot, i) => {
      const [x, y] = data.dots[i].at[number];
      dot.style.translate = `${x}px ${y}px`;
    });
  }));

  const keys = [...document.querySelectorAll("[data-style]")];
  keys.forEach(key => key.addEventListener("click", () => {
    style = style === key.dataset.style ? "" : key.dataset.style;
    keys.forEach(other =>
      other.setAttribute("aria-pressed", other.dataset.style === style));
    rest();
  }));
}

const mapData = document.getElementById("map-data");
if (mapData) drawMap(JSON.parse(mapData.textContent));
