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

  // One plot a turn, so that the page answers in between; what follows an act of the reader is drawn without waiting for an idle moment.
  function work(soon = false) {
    if (!ready || working || !pending.size) return;
    working = true;
    (soon ? (f) => setTimeout(f) : idle)(() => {
      const [element, draw] = pending.entries().next().value;
      pending.delete(element);
      drawNow(element, draw);
      working = false;
      work(soon);
    });
  }
  const isHidden = (element) => element.offsetParent === null;
  function drawNow(element, draw) {
    if (!element.isConnected) { forget(element); return; }
    if (isHidden(element) || !draw) { stale.add(element); return; }  // it has no size; it is drawn when it comes into view
    stale.delete(element);
    try {
      draw(element);
      element.dataset.drawn = "yes";
    } catch (error) {
      (element.querySelector(".inner") || element).textContent = "This plot could not be drawn: " + error.message;
      console.error(error);
    }
    drawn.set(element, draw);
  }

  const plots = new Map();
  const near = new Set();  // in view, or almost
  const stale = new Set();  // drawn of what is no longer so
  function forget(element) {
    watcher.unobserve(element);
    for (const each of [plots, drawn, pending, near, stale]) each.delete(element);
  }
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) { near.delete(target); continue; }
      near.add(target);
      if (!drawn.has(target) || stale.has(target)) pending.set(target, plots.get(target));
    }
    work();
  }, { rootMargin: "400px 0px" });

  const places = document.querySelectorAll(".plot[data-plot]");
  let wanted = false;  // whether all are asked for
  // Draws into an element once it is in view, and again whenever what it shows has changed; another `draw` replaces the first.
  report.picture = (element, draw) => {
    if (!plots.has(element)) watcher.observe(element);
    plots.set(element, draw);
    if (near.has(element)) { pending.set(element, draw); work(true); }
  };
  report.redraw = (wanted = () => true, now = () => false) => {
    for (const element of [...drawn.keys()]) {
      if (!wanted(element)) continue;
      if (near.has(element) || now(element)) pending.set(element, plots.get(element)); else stale.add(element);
    }
    work(true);
  };
  report.whenReady(() => {
    for (const element of places) report.picture(element, report.plots.of(element.dataset.plot));
    if (wanted) report.drawAll();
  });
  report.store.on("data", () => report.redraw());
  report.store.on("view", (changed) => {
    const trials = ["where", "brush", "chosen", "trial"].some((name) => changed.has(name));
    const curves = ["metric", "axis", "smooth"].some((name) => changed.has(name));
    if (trials) for (const element of places) if (report.plots.OF_ALL.has(element.dataset.plot)) report.plots.sayFiltered(element);
    const isCurves = ({ dataset }) => dataset.plot === "curves";
    if (trials || curves) report.redraw((element) => isCurves(element) || (trials && !report.plots.OF_ALL.has(element.dataset.plot)), (element) => curves && isCurves(element));
  });
  report.drawAll = () => {
    wanted = true;
    for (const [element, draw] of plots) if (!drawn.has(element) || stale.has(element)) pending.set(element, draw);
    work();
  };
  // Whether all are drawn; those in a hidden part of the page do not count.
  Object.defineProperty(report, "done", { get: () => ready && !pending.size && (!places.length || plots.size > 0) && [...plots.keys()].every((element) => (drawn.has(element) && !stale.has(element)) || isHidden(element)) });

  // On paper: every plot, in light colours and in the paper's width, before this handler returns.
  addEventListener("beforeprint", () => {
    if (!ready) return;
    root.dataset.theme = "light";
    root.dataset.print = "yes";
    pending.clear();
    for (const [element, draw] of [...plots]) drawNow(element, draw);
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

  applyTheme();
  const loaded = holdLoad();
  const failed = (error) => {
    for (const element of places) element.querySelector(".inner").textContent = "This browser cannot unpack the plots; the tables are complete.";
    console.error(error);
  };
  requestAnimationFrame(() => setTimeout(() => report.start().then(() => (places.length ? library() : null)).catch(failed).finally(loaded)));
})();
