"use strict";
// The page is whole without this: it hides rows that are not asked for, and opens folded ones.
(() => {
  const form = document.getElementById("filters");
  const counter = document.getElementById("shown");
  const selects = [...form.querySelectorAll("select")];
  const rows = [...document.querySelectorAll("[data-facts]")].map((element) => ({
    element,
    facts: new Set(element.dataset.facts.split(" ")),
  }));
  const groups = [...document.querySelectorAll(".group")].map((element) => ({
    element,
    counter: element.querySelector(".n"),
    total: element.querySelector(".n").textContent,
    rows: [...element.querySelectorAll("[data-facts]")],
    wasOpen: element.open,
  }));

  function apply() {
    const wanted = selects.map((select) => select.value).filter(Boolean);
    let shown = 0;
    for (const { element, facts } of rows) {
      element.hidden = !wanted.every((token) => facts.has(token));
      shown += element.hidden ? 0 : 1;
    }
    for (const group of groups) {
      const here = group.rows.filter((row) => !row.hidden).length;
      group.element.hidden = here === 0;
      group.counter.textContent = wanted.length ? `${here} of ${group.total}` : group.total;
      if (group.wasOpen !== undefined) group.element.open = wanted.length ? true : group.wasOpen;
    }
    counter.textContent = wanted.length ? `${shown} of ${rows.length} shown` : "";
  }

  function follow() {
    const row = /^#e\d+$/.test(location.hash) && document.querySelector(location.hash);
    if (!row) return;
    if (row.hidden) form.reset();
    for (let at = row; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    row.scrollIntoView();
  }

  const unfold = document.getElementById("unfold");
  unfold.addEventListener("click", () => {
    const open = unfold.textContent === "Open all";
    for (const { element } of rows) if (!element.hidden && element.tagName === "DETAILS") element.open = open;
    unfold.textContent = open ? "Close all" : "Open all";
  });
  form.addEventListener("change", apply);
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", follow);
  form.hidden = false;
  follow();
})();
