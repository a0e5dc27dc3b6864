const label = document.querySelector("[data-label]"), level = document.querySelector("[data-sureness]");
const groups = all(".group"), base = document.querySelector("[data-base]");
const apply = () => {
  let count = 0;
  for (const group of groups) {
    const fits = !label.value || group.dataset.group === label.value;
    let some = 0;
    if (fits) for (const one of all("figure", group)) {
      // What is no number is below any.
      one.hidden = Boolean(level.value) && Number(one.dataset.sure) >= Number(level.value);
      some += !one.hidden;
    }
    group.hidden = !some; count += some;
    const part = group.querySelector("[data-of]");
    part.dataset.of ||= part.textContent || "-";
    part.textContent = level.value ? `${some} of ` : part.dataset.of.replace("-", "");
  }
  document.querySelector("[data-count]").textContent = count === 1 ? "1 photo" : `${count} photos`;
  document.getElementById("none").hidden = count > 0;
  for (const button of all("[data-copy-shown]")) button.disabled = !count;
};
if (label) {
  for (const one of [label, level]) one.addEventListener("change", apply);
  for (const button of all("[data-pick]"))
    button.addEventListener("click", () => {
      label.value = button.dataset.pick; apply();
      document.getElementById("photos").scrollIntoView();
    });
  for (const button of all("[data-copy-shown]"))
    button.addEventListener("click", () => {
      const shown = groups.filter(group => !group.hidden).flatMap(group => all("figure:not([hidden])", group));
      const folder = base ? base.textContent : "";
      copy(button, shown.map(one => folder + one.querySelector("code").textContent).join("\n"));
    });
  apply();
}
