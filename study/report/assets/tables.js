// Sorts a table by the column whose heading is pressed: numbers by data-key, words by themselves, missing ones last.
// A field above a long table keeps the rows that hold its words.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  const name = `sort.${table.closest(".table").id}`;
  const sort = (column, descending) => {
    const isNumber = !headings[column].matches(".text, .status");
    headings.forEach((other) => other.removeAttribute("aria-sort"));
    headings[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
    const key = (row) => (isNumber ? row.cells[column].dataset.key : row.cells[column].textContent) ?? "";
    const compare = (a, b) => (isNumber ? Number(a) - Number(b) : a.localeCompare(b, undefined, { numeric: true }));
    const rows = [...table.tBodies[0].rows].sort((one, other) => {
      const [a, b] = [key(one), key(other)];
      if (a === "" || b === "") return (a === "") - (b === "");
      return descending ? compare(b, a) : compare(a, b);
    });
    table.tBodies[0].append(...rows);
  };
  headings.forEach((heading, column) => {
    heading.querySelector("button")?.addEventListener("click", () => {
      const now = heading.getAttribute("aria-sort");
      const descending = now === "ascending" || (now === null && !heading.matches(".text, .status")); // largest first
      sort(column, descending);
      view.set(name, `${descending ? "down" : "up"}.${heading.dataset.column}`);
    });
  });
  const [order, by] = view.get(name)?.split(/\.(.*)/s) ?? [];
  const column = headings.findIndex((heading) => heading.dataset.column === by);
  if (order && column >= 0) sort(column, order === "down");
}
for (const field of document.querySelectorAll("input[data-filters]")) {
  const rows = [...document.querySelector(`#${field.dataset.filters} table`).tBodies[0].rows];
  const said = rows.map((row) => row.textContent.toLowerCase());
  const count = field.parentElement.querySelector("output");
  const name = `find.${field.dataset.filters}`;
  const filter = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let kept = 0;
    rows.forEach((row, i) => {
      row.classList.toggle("filtered", !words.every((word) => said[i].includes(word)));
      kept += !row.classList.contains("filtered");
    });
    count.textContent = words.length ? `${kept} of ${rows.length}` : "";
  };
  field.parentElement.hidden = false;
  field.value = view.get(name) ?? "";
  if (field.value) filter();
  field.addEventListener("input", () => {
    filter();
    view.set(name, field.value || null);
  });
}
