// The page's own script: theme, the plotting library (unpacked off the main thread), plots drawn as they come into view.
"use strict";
(() => {
  const report = window.report;
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  try { chosen = localStorage.getItem("report-theme"); } catch { /* a page from a file may have no storage */ }

  const pending = new Map();  // plots in view, or asked for, that are not drawn yet
  const drawn = new Map();
  let ready = false, working = false;

  function theme() { return chosen || (system.matches ? "dark" : "light"); }
  function applyTheme() {
    root.dataset.theme = theme();
    document.getElementById("theme").textContent = theme() === "dark" ? "Light" : "Dark";
    for (const [element, draw] of drawn) pending.set(element, draw);
    work();
  }
  document.getElementById("theme").addEventListener("click", () => {
    chosen = theme() === "dark" ? "light" : "dark";
    try { localStorage.setItem("report-theme", chosen); } catch { /* for this visit only */ }
    applyTheme();
  });
  system.addEventListener("change", applyTheme);

  const idle = window.requestIdleCallback ? (f) => requestIdleCallback(f, { timeout: 300 }) : (f) => setTimeout(f, 16);

  // One plot a turn, so that the page answers in between.
  function work() {
    if (!ready || working || !pending.size) return;
    working = true;
    idle(() => {
      const [element, draw] = pending.entries().next().value;
      pending.delete(element);
      drawNow(element, draw);
      working = false;
      work();
    });
  }
  function drawNow(element, draw) {
    try {
      draw(element);
      drawn.set(element, draw);
      element.dataset.drawn = "yes";
    } catch (error) {
      element.textContent = "This plot could not be drawn: " + error.message;
      console.error(error);
    }
  }

  const plots = new Map();
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      watcher.unobserve(entry.target);
      pending.set(entry.target, plots.get(entry.target));
    }
    work();
  }, { rootMargin: "400px 0px" });

  const places = document.querySelectorAll(".plot[data-plot]");
  let wanted = false;  // whether all are asked for
  report.whenReady(() => {
    const available = window.reportPlots(report.store.figures);
    for (const element of places) {
      plots.set(element, available[element.dataset.plot]);
      watcher.observe(element);
    }
    if (wanted) report.drawAll();
  });
  report.drawAll = () => {
    wanted = true;
    for (const [element, draw] of plots) if (!drawn.has(element)) pending.set(element, draw);
    work();
  };
  Object.defineProperty(report, "done", { get: () => drawn.size === places.length });

  // On paper: every plot, in light colours and in the paper's width, before this handler returns.
  addEventListener("beforeprint", () => {
    if (!ready) return;
    root.dataset.theme = "light";
    root.dataset.print = "yes";
    pending.clear();
    for (const [element, draw] of plots) drawNow(element, draw);
  });
  addEventListener("afterprint", () => {
    delete root.dataset.print;
    applyTheme();
  });

  // `chromium --print-to-pdf` prints when the page has loaded, which is to say with its plotting library: a document that
  // stays open holds the load event back.
  function holdLoad() {
    const frame = document.createElement("iframe");
    frame.hidden = true;
    document.body.append(frame);
    frame.contentDocument.open();
    return () => { frame.contentDocument.close(); frame.remove(); };
  }

  async function library() {
    const packed = document.getElementById("library");
    // From an address of its own the browser compiles it on another thread; as text it would be on this one.
    const source = await (await report.unpack(packed.textContent)).blob();
    packed.remove();
    const script = document.createElement("script");
    script.src = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    await new Promise((loaded, failed) => {
      script.onload = loaded;
      script.onerror = () => failed(new Error("the plotting library does not load"));
      document.head.append(script);
    });
    URL.revokeObjectURL(script.src);
    ready = true;
    work();
  }

  // A link to a place on the page scrolls there, and leaves the address, which says what is looked at.
  document.querySelector("nav").addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]'), place = link && document.getElementById(link.getAttribute("href").slice(1));
    if (!place) return;
    event.preventDefault();
    place.scrollIntoView();
  });

  applyTheme();
  const loaded = holdLoad();
  const failed = (error) => {
    for (const element of places) element.textContent = "This browser cannot unpack the plots; the tables are complete.";
    console.error(error);
  };
  requestAnimationFrame(() => setTimeout(() => report.start().then(() => (places.length ? library() : null)).catch(failed).finally(loaded)));
})();
