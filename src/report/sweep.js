for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.querySelectorAll("thead th")];
  heads.forEach((head, column) => head.addEventListener("click", () => {
    // The largest number first, the first name first; once more turns it round.
    const value = row => row.cells[column].dataset.v ?? row.cells[column].textContent;
    const body = table.tBodies[0], rows = [...body.rows];
    const numbers = rows.every(row => row.cells[column].dataset.v !== undefined);
    const before = head.getAttribute("aria-sort");
    const up = before ? before === "descending" : !numbers;
    const by = numbers ? (a, b) => (value(a) || -1 / 0) - (value(b) || -1 / 0) : (a, b) => value(a).localeCompare(value(b));
    rows.sort((a, b) => up ? by(a, b) : by(b, a));
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    body.append(...rows);
  }));
}
