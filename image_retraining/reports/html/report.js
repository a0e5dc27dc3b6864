for (const button of all("[data-copy-ticked]"))
  button.addEventListener("click", () =>
    copy(button, all("#issues input:checked").map(box => box.value).join("\n")));
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
