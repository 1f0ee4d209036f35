"use strict";

// Tables: a heading sorts by its column, a filter keeps rows that have all of its words.
for (const table of document.querySelectorAll(".table")) {
  const body = table.querySelector("tbody");
  if (!body) continue;
  const rows = [...body.rows];
  const headings = [...table.querySelectorAll("th")];
  const key = (row, column, isNumber) => {
    const text = row.cells[column].textContent;
    if (!isNumber) return text;
    const number = parseFloat(text.replace(/,/g, ""));
    return Number.isNaN(number) ? null : number;
  };
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const up = heading.getAttribute("aria-sort") !== "ascending";
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      const isNumber = heading.classList.contains("number");
      const keys = new Map(rows.map((row) => [row, key(row, column, isNumber)]));
      const order = (a, b) => {
        const [x, y] = [keys.get(a), keys.get(b)];
        if (x === null || y === null) return (x === null) - (y === null); // rows without a figure come last
        const sign = isNumber ? x - y : x.localeCompare(y, undefined, { numeric: true });
        return up ? sign : -sign;
      };
      body.append(...rows.slice().sort(order));
    });
  });
  const input = table.querySelector("input");
  if (!input) continue;
  const texts = rows.map((row) => [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase());
  const count = table.querySelector(".count");
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, i) => {
      row.hidden = !words.every((word) => texts[i].includes(word));
      shown += !row.hidden;
    });
    count.textContent = shown === rows.length ? `${shown} rows` : `${shown} of ${rows.length} rows`;
  });
}

// Charts are drawn as they come into view, since a page may have many; the rest are drawn before printing. Their colours
// are CSS, so that neither a change of theme nor a printer needs them to be drawn again.
const base = JSON.parse(document.getElementById("config").textContent);
const said = document.getElementById("said");
const views = new Map();

async function draw(figure) {
  waiting.delete(figure);
  arriving.unobserve(figure);
  const spec = JSON.parse(figure.querySelector(".spec").textContent);
  const target = figure.querySelector(".chart");
  const width = target.clientWidth;
  if (spec.facet) spec.columns = Math.max(1, Math.floor((width - 20) / 152));
  const legend = { ...base.legend, columns: Math.max(1, Math.floor(width / 190)) };
  const options = { actions: false, renderer: "svg", config: { ...base, legend }, logLevel: 1 };
  views.set(figure, await vegaEmbed(target, spec, options));
  target.dataset.drawn = "yes";
}

const waiting = new Set(document.querySelectorAll("figure"));
const arriving = new IntersectionObserver(
  (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => draw(entry.target)),
  { rootMargin: "400px" },
);
for (const figure of waiting) {
  arriving.observe(figure);
  figure.querySelector(".chart").addEventListener("keydown", (event) => walk(figure, event));
  figure.querySelector(".chart").addEventListener("blur", () => leave(figure));
}

// On paper all charts have one width, whatever the window's. Vega waits for promises alone, and these are fulfilled before
// the browser lays out the printed pages.
function setWidth(width) {
  for (const chart of document.querySelectorAll(".chart")) chart.style.width = width;
  dispatchEvent(new Event("resize"));
}
addEventListener("beforeprint", () => {
  setWidth("225mm");
  waiting.forEach(draw);
});
addEventListener("afterprint", () => setWidth(""));

// Without a mouse: arrow keys go from mark to mark, with the same tooltip, which a screen reader hears.
function marks(figure) {
  return [...figure.querySelectorAll("svg path, svg rect")].filter((mark) => mark.__data__?.tooltip);
}

function leave(figure) {
  figure.querySelector("[data-focus]")?.removeAttribute("data-focus");
  const view = views.get(figure)?.view;
  if (view) view.tooltip()(view, new MouseEvent("mouseout"), null, null);
}

function walk(figure, event) {
  if (event.target !== event.currentTarget) return; // a menu inside has its own keys
  if (event.key === "Escape") return leave(figure);
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const all = marks(figure);
  if (!step || !all.length) return;
  event.preventDefault();
  const now = all.findIndex((mark) => mark.hasAttribute("data-focus"));
  all[now]?.removeAttribute("data-focus");
  const mark = all[(now + step + all.length) % all.length];
  mark.setAttribute("data-focus", "");
  mark.scrollIntoView({ block: "nearest", inline: "nearest" });
  const box = mark.getBoundingClientRect();
  const item = mark.__data__;
  const view = views.get(figure).view;
  const at = { clientX: box.right, clientY: box.bottom };
  view.tooltip()(view, new MouseEvent("mousemove", at), item, item.tooltip);
  said.textContent = Object.entries(item.tooltip).map(([name, value]) => `${name}: ${value}`).join(", ");
}

// Light and dark: as the system has it, until the reader chooses.
const root = document.documentElement;
const theme = document.getElementById("theme");
const system = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
const label = () => (theme.textContent = isDark() ? "Light" : "Dark");
theme.hidden = false;
theme.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  label();
});
system.addEventListener("change", label);
label();
