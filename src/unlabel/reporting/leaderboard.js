"use strict";
// A click on a heading sorts the entries by its column, a second click the other way round; controls stay on top.
for (const board of document.querySelectorAll("table.board")) {
  const body = board.tBodies[0];
  const heads = [...board.querySelectorAll("th[data-column]")];
  const value = (row, column) => {
    const text = row.querySelectorAll("td[data-value]")[column].dataset.value;
    return text === "" ? null : Number(text);
  };
  for (const head of heads) {
    head.firstElementChild.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") !== "descending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const entries = [...body.rows].filter((row) => !row.classList.contains("control"));
      const column = Number(head.dataset.column);
      entries.sort((a, b) => {
        const [x, y] = [value(a, column), value(b, column)];
        if (x === null || y === null) return (x === null) - (y === null);
        return descending ? y - x : x - y;
      });
      body.append(...entries);
    });
  }
}
