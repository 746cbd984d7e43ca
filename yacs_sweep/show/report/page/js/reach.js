// The page by keyboard and screen reader: links to places move the focus there, and what scrolls can be reached.
"use strict";
(() => {
  const report = window.report;

  // A link to a place on the page scrolls there, and leaves the address, which says what is looked at.
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]:not([href*="="])');
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const named = document.getElementById(link.getAttribute("href").slice(1));
    const place = named && named.checkVisibility() ? named : link.classList.contains("skip") ? document.querySelector("main:not([hidden])") : null;
    if (!place) return;
    event.preventDefault();
    place.tabIndex = -1;  // the next Tab goes to what follows
    place.focus({ preventScroll: true });
    place.scrollIntoView();
  });

  // What is wider or higher than its box is scrolled by the arrow keys, so it takes the focus, with a name that is read out.
  function reach() {
    for (const box of document.querySelectorAll(".scroll, pre")) {
      box.toggleAttribute("data-over", box.scrollWidth > box.clientWidth + 1);
      if (box.hasAttribute("tabindex") && !box.dataset.reach) continue;  // its maker has seen to it
      const over = box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1;
      if (over === Boolean(box.dataset.reach)) continue;
      if (over) {
        const heading = box.closest("section, .answer > *, header, main")?.querySelector("h2, h1");
        const caption = box.querySelector("caption");
        box.dataset.reach = "yes";
        box.tabIndex = 0;
        box.setAttribute("role", "region");
        box.setAttribute("aria-label", (caption || heading)?.textContent || "Scrolls");
      } else {
        for (const name of ["data-reach", "tabindex", "role", "aria-label"]) box.removeAttribute(name);
      }
    }
  }
  let asked = false;
  const later = () => { if (asked) return; asked = true; requestAnimationFrame(() => { asked = false; reach(); }); };
  new ResizeObserver(later).observe(document.body);
  document.addEventListener("toggle", later, true);
  report.whenReady(() => { later(); report.store.on("view", later); report.store.on("data", later); });
})();
