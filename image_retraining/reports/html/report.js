"use strict";
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const copy = async (button, words) => {
  const before = button.textContent;
  try { await navigator.clipboard.writeText(words); button.textContent = "Copied"; }
  catch { window.prompt("Copy:", words); }
  setTimeout(() => { button.textContent = before; }, 1500);
};
for (const button of all("[data-copy]"))
  button.addEventListener("click", () => copy(button, button.dataset.copy));
for (const button of all("[data-copy-ticked]"))
  button.addEventListener("click", () =>
    copy(button, all("#issues input:checked").map(box => box.value).join("\n")));
const large = document.getElementById("large");
for (const button of all("[data-enlarge]"))
  button.addEventListener("click", () => {
    const shown = button.querySelector("img"), picture = large.querySelector("img");
    picture.src = shown.src; picture.alt = shown.alt; large.showModal();
  });
const select = document.querySelector("[data-filter]");
const filter = pair => {
  for (const figure of all("#gallery figure"))
    figure.hidden = Boolean(pair) && figure.dataset.pair !== pair;
};
if (select) select.addEventListener("change", () => filter(select.value));
for (const button of all("[data-show]"))
  button.addEventListener("click", () => {
    if (select) select.value = button.dataset.show;
    filter(button.dataset.show);
    document.getElementById("wrong").scrollIntoView();
  });
const figure = text => parseFloat(text.replace("%", ""));
for (const table of all("table[data-sortable]"))
  all("thead th", table).forEach((head, column) => {
    const button = document.createElement("button");
    button.textContent = head.textContent; head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending", body = table.tBodies[0];
      const value = row => row.cells[column] ? row.cells[column].textContent : "";
      const order = (one, other) => {
        const [a, b] = [value(one), value(other)];
        const by = isNaN(figure(a)) || isNaN(figure(b)) ? a.localeCompare(b) : figure(a) - figure(b);
        return up ? by : -by;
      };
      body.append(...[...body.rows].sort(order));
      for (const other of all("thead th", table)) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
    });
  });
const spots = document.getElementById("spots");
if (spots) {
  const pictures = JSON.parse(document.getElementById("spot-pictures").textContent);
  const pointed = document.getElementById("pointed");
  all(".spot", spots).forEach((spot, place) => {
    spot.addEventListener("mouseenter", event => {
      pointed.hidden = !pictures[place]; pointed.src = pictures[place];
      pointed.style.left = `${Math.min(event.clientX + 12, innerWidth - 130)}px`;
      pointed.style.top = `${Math.min(event.clientY + 12, innerHeight - 130)}px`;
    });
    spot.addEventListener("mouseleave", () => { pointed.hidden = true; });
  });
  const chosen = document.querySelector("[data-map]");
  chosen.addEventListener("change", () => {
    for (const one of all(".spot, .ring", spots))
      one.classList.toggle("dim", chosen.value !== "" && !one.classList.contains(`label${chosen.value}`));
  });
}
