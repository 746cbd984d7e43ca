// Saves what is drawn as a file: the buttons below a picture, and pictures that are SVG as svg or png.
"use strict";
(() => {
  const report = window.report, { element: make } = report;
  const STYLES = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "opacity", "font-size", "font-family", "visibility"];
  const FORMATS = ["png", "svg", "csv"];
  const TRIES = 3, PAUSE = 150;  // a picture that is just being drawn again is tried once more, after these ms
  const SHARP = 3;  // pixels of a png for each of the screen's

  async function made(file, format) {
    for (let tries = 1; ; tries++) {
      try { return await file(format); } catch (error) { if (tries === TRIES) throw error; }
      await new Promise((then) => setTimeout(then, PAUSE));
    }
  }
  /* Makes the buttons that save a picture; `file` makes the content of a format. */
  report.saveBar = (name, file) => {
    const said = make("span", { class: "said", role: "status" });
    return make("div", { class: "save", role: "group", "aria-label": `Save ${name}` }, ...FORMATS.map((format) => {
    const button = make("button", { type: "button", "aria-label": `Save ${name} as ${format}`, onclick: async () => {
      button.disabled = true;
      said.textContent = "";
      try { report.download(`${report.store.sweep.id || "sweep"}-${name}.${format}`, await made(file, format)); }
      catch (error) { said.textContent = `The ${format} could not be made: ${error.message}`; }
      finally { button.disabled = false; }
    } }, format);
    return button;
  }), said);
  };

  // A copy that looks the same without the page's style sheets.
  function styled(element) {
    const copy = element.cloneNode(false), style = getComputedStyle(element);
    copy.removeAttribute("class");
    for (const name of STYLES) copy.style.setProperty(name, style.getPropertyValue(name));
    copy.append(...[...element.childNodes].map((child) => (child instanceof Element ? styled(child) : child.cloneNode())));
    return copy;
  }
  /* Makes the file of an SVG picture, svg or png, with a title above and names of its lines below.
     `names` are [text, sample], the sample an SVG of its own or null. */
  report.svgFile = async (svg, format, title, names) => {
    const { width, height } = svg.viewBox.baseVal, space = svg.namespaceURI, ink = getComputedStyle(document.body);
    const draw = (tag, given, ...children) => {
      const found = document.createElementNS(space, tag);
      for (const [name, value] of Object.entries(given)) found.setAttribute(name, value);
      found.append(...children);
      return found;
    };
    const text = (x, y, size, content) => draw("text", { x, y, "font-size": size, "font-family": ink.fontFamily, fill: ink.color }, content);
    const whole = draw("svg", { xmlns: space, width, height: height + 26 + 18 * names.length, viewBox: `0 0 ${width} ${height + 26 + 18 * names.length}` });
    whole.append(draw("rect", { width: "100%", height: "100%", fill: ink.backgroundColor }), text(6, 17, 13, title));
    whole.append(draw("g", { transform: "translate(0 22)" }, ...[...svg.children].map(styled)));
    names.forEach(([name, sample], place) => {
      const y = height + 34 + 18 * place;
      if (sample) whole.append(draw("g", { transform: `translate(6 ${y - 9})` }, ...[...sample.children].map(styled)));
      whole.append(text(sample ? 40 : 6, y, 12, name));
    });
    const source = new XMLSerializer().serializeToString(whole);
    if (format === "svg") return new Blob([source], { type: "image/svg+xml" });
    const picture = new Image();
    picture.src = `data:image/svg+xml,${encodeURIComponent(source)}`;
    await picture.decode();
    const canvas = make("canvas", { width: width * SHARP, height: whole.getAttribute("height") * SHARP });
    canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  };
})();
