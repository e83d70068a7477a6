"use strict";
// Columns sort by the cells' data-sort, else by their text; cells without a value stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const rising = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      const valueOf = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
      const rows = [...table.tBodies[0].rows].map((row) => [valueOf(row), row]);
      const full = rows.filter(([value]) => value !== "");
      full.sort(([a], [b]) => (rising ? compare(a, b) : compare(b, a)));
      const empty = rows.filter(([value]) => value === "");
      table.tBodies[0].append(...[...full, ...empty].map(([, row]) => row));
    });
  });
}
function compare(a, b) {
  return Number(a) - Number(b) || a.localeCompare(b, "en", { numeric: true });
}
