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
addEventListener("beforeprint", () => { for (const part of all("details")) part.open = true; });
const large = document.getElementById("large");
for (const button of all("[data-enlarge]"))
  button.addEventListener("click", () => {
    const shown = button.querySelector("img"), picture = large.querySelector("img");
    picture.src = shown.src; picture.alt = shown.alt; large.showModal();
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
for (const field of all("[data-find]"))
  field.addEventListener("input", () => {
    const rows = all("tbody tr", field.closest("p").nextElementSibling);
    const wanted = field.value.toLowerCase();
    for (const row of rows) row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
  });
