// Sorts a table by the column whose heading is pressed: numbers by data-key, words by themselves, missing ones last.
// A field above a long table keeps the rows that hold its words.
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    heading.querySelector("button")?.addEventListener("click", () => {
      const isNumber = !heading.matches(".text, .status");
      const wasAscending = heading.getAttribute("aria-sort") === "ascending";
      const wasDescending = heading.getAttribute("aria-sort") === "descending";
      const descending = wasAscending || (isNumber && !wasDescending); // numbers start with the largest
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const key = (row) => (isNumber ? row.cells[column].dataset.key : row.cells[column].textContent) ?? "";
      const compare = (a, b) => (isNumber ? Number(a) - Number(b) : a.localeCompare(b, undefined, { numeric: true }));
      const rows = [...table.tBodies[0].rows].sort((one, other) => {
        const [a, b] = [key(one), key(other)];
        if (a === "" || b === "") return (a === "") - (b === "");
        return descending ? compare(b, a) : compare(a, b);
      });
      table.tBodies[0].append(...rows);
    });
  });
}
for (const field of document.querySelectorAll("input[data-filters]")) {
  const rows = [...document.querySelector(`#${field.dataset.filters} table`).tBodies[0].rows];
  const said = rows.map((row) => row.textContent.toLowerCase());
  const count = field.parentElement.querySelector("output");
  field.parentElement.hidden = false;
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let kept = 0;
    rows.forEach((row, i) => {
      row.classList.toggle("filtered", !words.every((word) => said[i].includes(word)));
      kept += !row.classList.contains("filtered");
    });
    count.textContent = words.length ? `${kept} of ${rows.length}` : "";
  });
}
