// Sorts a table by the column whose heading is pressed: numbers by data-key, words by themselves, missing ones last.
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
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
