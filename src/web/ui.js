// Comfort for the pages, which do everything without it: keys, copying, and a menu that closes.
(() => {
  "use strict";
  const typing = (element) => /^(INPUT|SELECT|TEXTAREA)$/.test(element.tagName) || element.isContentEditable;

  const move = (step) => {
    const rows = [...document.querySelectorAll(".list tbody tr")].filter((row) => row.querySelector("a.name"));
    if (rows.length === 0) return;
    const now = rows.findIndex((row) => row.contains(document.activeElement));
    const next = rows[Math.min(Math.max(now + step, 0), rows.length - 1)];
    next.querySelector("a.name").focus();
    next.scrollIntoView({ block: "nearest" });
  };

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      for (const open of document.querySelectorAll("details.who[open]")) {
        open.open = false;
        open.querySelector("summary").focus();
      }
    }
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (event.key === "/") {
      event.preventDefault();
      const field = document.getElementById("find");
      field.focus();
      field.select();
    } else if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
  });

  // What is pressed or focused elsewhere must not lie under the menu.
  for (const kind of ["click", "focusin"]) {
    document.addEventListener(kind, (event) => {
      for (const open of document.querySelectorAll("details.who[open]")) {
        if (!open.contains(event.target)) open.open = false;
      }
    });
  }

  if (navigator.clipboard) {
    for (const button of document.querySelectorAll("button.copy")) {
      button.hidden = false;
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(button.previousElementSibling.textContent);
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = "Copy"; }, 1500);
      });
    }
  }
})();
