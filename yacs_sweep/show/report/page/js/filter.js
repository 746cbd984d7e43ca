// The expressions of the filter line: the language of the command line's --where (yacs_sweep/show/query/filter.py), with its
// messages. What holds and what does not stands in tests/yacs_sweep/show/query/expressions.json, which both are tested by.
"use strict";
(() => {
  const report = window.report;
  const UNKNOWN = Symbol("unknown");  // the value of what depends on a name without one
  const EXAMPLE = "\"val/mAP > 30 and state == 'finished'\"";
  const ALLOWED = "allowed are comparisons, and, or, not, in, + - * / // % **, abs, min, max, len, lists and metric names";
  const NAME = "[\\p{L}_][\\p{L}\\p{N}_.]*(?:/[\\p{L}_][\\p{L}\\p{N}_.]*)*";
  const TEXT = "\"(?:\\\\.|[^\"\\\\])*\"|'(?:\\\\.|[^'\\\\])*'";
  const NUMBER = "(?:\\d[\\d_]*\\.?[\\d_]*|\\.\\d[\\d_]*)(?:[eE][-+]?\\d+)?";
  const TOKEN = new RegExp(`\\s*(?:(?<text>${TEXT})|\`(?<ticked>[^\`]*)\`|(?<number>${NUMBER})|(?<name>${NAME})|(?<sign>\\*\\*|//|<=|>=|==|!=|[-+*/%<>()\\[\\],]))`, "uy");
  const SLIPS = [  // what other languages write, and what this one does
    [/&&|(?<!&)&(?!&)/u, "write and"], [/\|\|?/u, "write or"], [/!(?!=)/u, "write not"], [/<>/u, "write != for different"],
    [/(?<![<>=!])=(?!=)/u, "write == for equal"], [/(?<![\p{L}\p{N}_])is(?![\p{L}\p{N}_])/u, "write missing(NAME) for a name without a value, == for equal"],
  ];
  const WORDS = { true: true, false: false, null: null, none: null };
  const KEYWORDS = new Set(["and", "or", "not", "in", "if", "else", "for", "lambda", "is", "await", "async", "yield", "from", "import", "as", "with", "while", "def", "class", "return"]);
  const STATES = ["running", "finished", "stopped", "paused", "failed", "killed", "lost"];
  const SHOWN = 24, MOST = 2000, DEEPEST = 200;

  class Mistake extends Error {}  // what cannot be read
  class Misfit extends Error {}  // values of kinds that do not go together
  class NoResult extends Error {}  // arithmetic without one: the expression does not hold

  const cut = (text) => (text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text);
  function at(text, place) {
    const rest = text.slice(place).trim();
    if (!rest) return `'${text.slice(-SHOWN)}' ends too early`;
    return `cannot be read from character ${place + 1} on, '${cut(rest)}'`;
  }
  const example = (why) => new Mistake(`${why}; write for example ${EXAMPLE}`);

  // -- reading
  function tokens(text) {
    const blank = (found) => "_".repeat(found.length);
    const bare = text.replace(new RegExp(`${TEXT}|\`[^\`]*\``, "gu"), blank);
    const slips = SLIPS.map(([pattern, told]) => [bare.search(pattern), told]).filter(([place]) => place >= 0).sort((a, b) => a[0] - b[0]);
    if (slips.length) throw new Mistake(`${at(text, slips[0][0])}: ${slips[0][1]}`);
    const found = [];
    let place = 0;
    while (text.slice(place).trim()) {
      TOKEN.lastIndex = place;
      const match = TOKEN.exec(text);
      const start = place + text.slice(place).search(/\S/);
      if (!match) throw example(at(text, start));
      const { text: quoted, ticked, number, name, sign } = match.groups;
      place = TOKEN.lastIndex;
      if (ticked !== undefined) {
        const call = found.length > 1 && found.at(-1).word === "(" && found.at(-2).word === "missing" ? found.at(-2).start : start;
        if (!ticked.trim()) throw example(at(text, call));
        found.push({ kind: "name", word: ticked.trim(), start, end: place });
      } else if (quoted !== undefined) found.push({ kind: "text", word: unquoted(quoted), start, end: place });
      else if (number !== undefined) {
        if (/[\p{L}_]/u.test(text[place] || "")) throw example(at(text, start));
        found.push({ kind: "number", word: Number(number.replace(/_/g, "")), start, end: place });
      } else if (name !== undefined) found.push({ kind: KEYWORDS.has(name) ? "word" : "name", word: name, start, end: place, bare: true });
      else found.push({ kind: "sign", word: sign, start, end: place });
    }
    found.push({ kind: "end", word: "", start: text.length, end: text.length });
    return found;
  }
  const unquoted = (quoted) => quoted.slice(1, -1).replace(/\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)/gu, (whole, what) => {
    if (/^[ux]./.test(what)) return String.fromCharCode(parseInt(what.slice(1), 16));
    return { n: "\n", t: "\t", r: "\r", "\\": "\\", "'": "'", '"': '"' }[what] || whole;
  });

  // Makes a function of a lookup, `value(name)`, that returns what the expression is worth; UNKNOWN for a name without a value.
  function parse(text) {
    if (text.length > MOST) throw example(`longer than ${MOST} characters`);
    const list = tokens(text), names = [];
    let next = 0, depth = 0;
    const peek = () => list[next];
    const take = (...words) => (["sign", "word"].includes(peek().kind) && words.includes(peek().word) ? list[next++].word : null);
    const wrong = (token = peek()) => { throw example(at(text, token.kind === "end" ? text.length : token.start)); };
    const need = (word) => { if (!take(word)) wrong(); };
    const named = (name) => { if (!names.includes(name)) names.push(name); };
    const refuse = (start, end) => { throw example(`'${text.slice(start, end)}' is not allowed in '${text}'; ${ALLOWED}`); };

    function connected(word, part) {
      const parts = [part()];
      while (take(word)) parts.push(part());
      if (parts.length === 1) return parts[0];
      const decisive = word === "or";
      return (value) => {
        let unknown = false;
        for (const each of parts) {
          const found = each(value);
          if (found === UNKNOWN) unknown = true;
          else if (truth(found) === decisive) return decisive;
        }
        return unknown ? UNKNOWN : !decisive;
      };
    }
    function disjunction() {
      if (++depth > DEEPEST) throw example(`nested too deeply: '${cut(text)}'`);
      const start = peek().start;
      const found = connected("or", () => connected("and", negation));
      if (peek().kind === "word" && ["if", "for"].includes(peek().word)) refuse(start, text.length);
      depth--;
      return found;
    }
    function negation() {
      if (++depth > DEEPEST) throw example(`nested too deeply: '${cut(text)}'`);
      let found;
      if (take("not")) {
        const part = negation();
        found = (value) => { const of = part(value); return of === UNKNOWN ? UNKNOWN : !truth(of); };
      } else found = comparison();
      depth--;
      return found;
    }
    function comparison() {
      const parts = [sum()], signs = [];
      for (;;) {
        let sign = take("<", "<=", ">", ">=", "==", "!=", "in");
        if (!sign && peek().kind === "word" && peek().word === "not" && list[next + 1].word === "in" && list[next + 1].kind === "word") { next += 2; sign = "not in"; }
        if (!sign) break;
        signs.push(sign);
        parts.push(sum());
      }
      if (!signs.length) return parts[0];
      return (value) => {
        const found = parts.map((part) => part(value));
        if (found.includes(UNKNOWN)) return UNKNOWN;
        return signs.every((sign, place) => compare(sign, found[place], found[place + 1]));
      };
    }
    function chain(signs, part) {
      let left = part();
      for (let sign = take(...signs); sign; sign = take(...signs)) {
        const one = left, two = part(), of = ARITHMETIC[sign];
        left = (value) => known([one(value), two(value)], ([a, b]) => of(number(a), number(b)));
      }
      return left;
    }
    const sum = () => chain(["+", "-"], product);
    const product = () => chain(["*", "/", "//", "%"], signed);
    function signed() {
      const sign = take("-", "+");
      if (!sign) return power();
      if (++depth > DEEPEST) throw example(`nested too deeply: '${cut(text)}'`);
      const part = signed();
      depth--;
      return (value) => known([part(value)], ([a]) => (sign === "-" ? -number(a) : number(a)));
    }
    function power() {
      const base = atom();
      if (!take("**")) return base;
      const exponent = signed();
      return (value) => known([base(value), exponent(value)], ([a, b]) => ARITHMETIC["**"](number(a), number(b)));
    }
    function items(end) {
      const found = [];
      while (!take(end)) {
        found.push(disjunction());
        if (!take(",")) { need(end); break; }
      }
      return found;
    }
    function atom() {
      const token = peek();
      if (token.kind === "number" || token.kind === "text") { next++; return () => token.word; }
      if (token.kind === "name") {
        next++;
        const follows = peek();
        if (!(token.bare && follows.kind === "sign" && follows.word === "(")) { return lookup(token.word, token.bare); }
        next++;
        if (token.word === "missing") {
          const of = peek();
          if (of.kind !== "name") wrong();
          next++;
          need(")");
          named(of.word);
          return (value) => { const found = value(of.word); return found === null || found === undefined; };
        }
        const own = items(")");
        if (!Object.hasOwn(FUNCTIONS, token.word)) refuse(token.start, list[next - 1].end);
        const call = FUNCTIONS[token.word];
        return (value) => known(own.map((part) => part(value)), (found) => call(...found));
      }
      if (take("(")) {
        const first = disjunction();
        if (take(")")) return first;
        need(",");
        const rest = items(")");
        return (value) => known([first, ...rest].map((part) => part(value)), (found) => found);
      }
      if (take("[")) {
        const parts = items("]");
        return (value) => known(parts.map((part) => part(value)), (found) => found);
      }
      return wrong(token);
    }
    function lookup(name, bare) {
      const word = bare && Object.hasOwn(WORDS, name.toLowerCase()) ? WORDS[name.toLowerCase()] : UNKNOWN;
      if (word === UNKNOWN) named(name);
      return (value) => { const found = value(name); return found === null || found === undefined ? word : found; };
    }

    const found = disjunction();
    if (peek().kind !== "end") wrong();
    if (!names.length) throw example(`names no metric: '${text}'`);
    return { text, names, holds: (value) => { try { const of = found(value); return of === UNKNOWN ? null : truth(of); } catch (error) { if (error instanceof NoResult) return false; throw error; } } };
  }

  // -- computing, as Python does
  const truth = (value) => (Array.isArray(value) ? value.length > 0 : typeof value === "number" ? value !== 0 : Boolean(value));
  const known = (values, of) => (values.includes(UNKNOWN) ? UNKNOWN : of(values));
  const isNumber = (value) => typeof value === "number" || typeof value === "boolean";
  function number(value) {
    if (!isNumber(value)) throw new Misfit();
    return Number(value);
  }
  function equal(a, b) {
    if (isNumber(a) && isNumber(b)) return Number(a) === Number(b);
    if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, place) => equal(item, b[place]));
    return a === b;
  }
  function less(a, b) {
    if (isNumber(a) && isNumber(b)) return Number(a) < Number(b);
    if (typeof a === "string" && typeof b === "string") return a < b;
    if (Array.isArray(a) && Array.isArray(b)) {
      const place = a.findIndex((item, i) => i >= b.length || !equal(item, b[i]));
      return place < 0 ? a.length < b.length : place < b.length && less(a[place], b[place]);
    }
    throw new Misfit();
  }
  function contains(whole, part) {
    if (Array.isArray(whole)) return whole.some((item) => equal(item, part));
    if (typeof whole === "string" && typeof part === "string") return whole.includes(part);
    throw new Misfit();
  }
  function compare(sign, a, b) {
    switch (sign) {
      case "==": return equal(a, b);
      case "!=": return !equal(a, b);
      case "<": return less(a, b);
      case ">": return less(b, a);
      case "<=": return less(a, b) || (equal(a, b));
      case ">=": return less(b, a) || (equal(a, b));
      case "in": return contains(b, a);
      default: return !contains(b, a);
    }
  }
  const by = (f) => (a, b) => { if (b === 0) throw new NoResult(); return f(a, b); };
  const ARITHMETIC = {
    "+": (a, b) => a + b, "-": (a, b) => a - b, "*": (a, b) => a * b,
    "/": by((a, b) => a / b), "//": by((a, b) => Math.floor(a / b)), "%": by((a, b) => a - b * Math.floor(a / b)),
    "**"(a, b) {
      const found = a ** b;
      if ((a === 0 && b < 0) || (!Number.isFinite(found) && Number.isFinite(a) && Number.isFinite(b))) throw new NoResult();
      return found;
    },
  };
  const most = (sign) => (...values) => {
    const all = values.length === 1 ? values[0] : values;
    if (!Array.isArray(all) || !all.length) throw new Misfit();
    return all.reduce((best, value) => ((sign > 0 ? less(best, value) : less(value, best)) ? value : best));
  };
  const FUNCTIONS = {
    abs: (value, ...more) => { if (more.length || value === undefined) throw new Misfit(); return Math.abs(number(value)); },
    min: most(-1), max: most(1),
    len: (value, ...more) => { if (more.length || !(Array.isArray(value) || typeof value === "string")) throw new Misfit(); return value.length; },
  };

  // -- names
  const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  function near(name, known) {
    const low = name.toLowerCase();
    const exact = known.find((other) => other.toLowerCase() === low);
    if (exact) return exact;
    const part = new RegExp(`(?<![\\p{L}\\p{N}])${escaped(low)}(?![\\p{L}\\p{N}])`, "u");
    const longer = known.filter((other) => part.test(other.toLowerCase())).sort((a, b) => a.length - b.length);
    if (longer.length) return longer[0];
    const scored = known.map((other) => [distance(low, other.toLowerCase()), other]).sort((a, b) => a[0] - b[0])[0];
    if (scored && scored[0] <= Math.max(1, Math.floor(name.length / 3))) return scored[1];
    const begun = new RegExp(`(?<![\\p{L}\\p{N}])${escaped(low)}`, "u");
    return (low.length > 2 && known.filter((other) => begun.test(other.toLowerCase())).sort((a, b) => a.length - b.length)[0]) || null;
  }
  function distance(a, b) {
    let row = Array.from({ length: b.length + 1 }, (_, i) => i);
    for (let i = 1; i <= a.length; i++) {
      const above = row;
      row = [i];
      for (let j = 1; j <= b.length; j++) row.push(Math.min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    return row[b.length];
  }
  function misspelt(name, text, known) {
    const whole = known.find((other) => other.split(/[^\p{L}\p{N}_]+/u).includes(name) && text.includes(other) && !text.includes(`\`${other}\``));
    if (whole) return `; write \`${whole}\`, between backquotes`;
    if (new RegExp(`(==|!=|\\bin\\b[^)\\]]*)\\s*${escaped(name)}(?![\\p{L}\\p{N}_])`, "u").test(text)) return `; a text stands in quotes: "${name}"`;
    if (STATES.includes(name.toLowerCase())) return `; write state == '${name.toLowerCase()}'`;
    const close = near(name, known);
    return close ? `; did you mean ${close}?` : "";
  }

  // -- of the page's trials
  const store = report.store;
  let last = { text: null };
  store.on("data", () => { last = { text: null }; });
  // Makes a function of a row that tells whether an expression holds there.
  function byRow(expression) {
    const lists = new Map();
    let row = 0;
    const value = (name) => {
      if (!lists.has(name)) lists.set(name, store.list(name) || null);
      const list = lists.get(name);
      return list ? list[row] : name === "sweep" ? store.sweep.id : null;
    };
    return (place) => { row = place; return expression.holds(value); };
  }
  // Reads an expression and tries it on every trial: its function of a row, and what is wrong with it in one line.
  function tried(text) {
    if (last.text === text) return last;
    const found = { text, error: "", holds: null };
    last = found;
    try {
      const expression = parse(text);
      const known = store.columns.map((column) => column.key), missing = expression.names.find((name) => name !== "sweep" && !store.column(name));
      if (missing && store.count) {
        const hint = misspelt(missing, text, known) || `; there are ${known.slice(0, 8).join(", ")}${known.length > 8 ? ", …" : ""}`;
        throw new Mistake(`no ${store.sweep.noun || "trial"} has anything called ${missing}${hint}`);
      }
      const of = byRow(expression);
      let misfit = -1, some = false;
      found.holds = (row) => { try { return of(row); } catch (error) { if (!(error instanceof Misfit)) throw error; if (misfit < 0) misfit = row; return null; } };
      for (let row = 0; row < store.count && !some; row++) some = found.holds(row) === true;
      if (misfit >= 0 && !some) {
        const values = expression.names.filter((name) => store.value(misfit, name) !== null).map((name) => `${name} is ${JSON.stringify(store.value(misfit, name))}`);
        throw new Mistake(`'${text}' fits no ${store.sweep.noun || "trial"}: it compares values of different kinds (${values.join(", ")})`);
      }
    } catch (error) {
      if (!(error instanceof Mistake)) throw error;
      found.error = error.message;
      found.holds = null;
    }
    return found;
  }

  report.filter = {
    parse, misspelt,
    // What is wrong with an expression, in one line; empty where it can be read.
    error: (text) => (text.trim() ? tried(text).error : ""),
    // The function that tells of a row whether the expression holds; null where it cannot be read: then every row is shown.
    compiled: (text) => (text.trim() ? tried(text).holds : null),
    Misfit,
  };
})();
