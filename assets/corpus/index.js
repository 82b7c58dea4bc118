// The page to search a library: rows come with the page, papers when they are opened. All text is set as text.
"use strict";

const library = (() => {
  const SHOWN = 60; // rows added at a time
  const rows = [];
  const papers = new Map(); // chunk -> its papers, or a promise of them
  const arrived = new Map(); // chunk -> what to call with its papers
  let found = [];
  let shown = 0;
  let current = null;
  const at = (id) => document.getElementById(id);

  /** An element with text, attributes and children; a text is never read as HTML. */
  function element(name, { text, children = [], ...attributes } = {}) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) if (value != null) made.setAttribute(key, value);
    if (text != null) made.textContent = text;
    made.append(...children.filter((child) => child != null));
    return made;
  }

  /** Small letters without accents. */
  const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

  /** All rows that hold every word, in the order that was chosen. */
  function search() {
    const words = plain(at("words").value).split(/\s+/).filter(Boolean);
    const [state, language, order] = ["state", "language", "order"].map((id) => at(id).value);
    found = rows.filter(
      (row) =>
        (!state || (state === "error") === Boolean(row.error)) &&
        (!language || row.language === language) &&
        words.every((word) => row.searched.includes(word)),
    );
    if (order === "title") found.sort((a, b) => a.title.localeCompare(b.title));
    if (order === "pages") found.sort((a, b) => (b.pages || 0) - (a.pages || 0));
    const all = rows.length.toLocaleString("en");
    at("count").textContent = found.length === rows.length ? `${all} papers` : `${found.length.toLocaleString("en")} of ${all} papers`;
    shown = 0;
    at("rows").replaceChildren();
    at("rows").scrollTop = 0;
    more();
  }

  function more() {
    at("rows").append(...found.slice(shown, shown + SHOWN).map(line));
    shown = Math.min(found.length, shown + SHOWN);
  }

  /** The name that a paper was found under first; the others are told when it is opened. */
  const files = ({ files: [first, ...others] }) => (others.length ? `${first} and ${others.length} more` : first);

  function line(row) {
    const about = [row.authors, row.pages && `${row.pages} ${row.pages === 1 ? "page" : "pages"}`, row.language, files(row)];
    const button = element("button", {
      type: "button",
      "data-number": row.number,
      "aria-current": row.number === current ? "true" : null,
      children: [
        element("strong", { text: row.title }),
        element("span", { class: row.error ? "short error" : "short", text: row.error || row.short }),
        element("small", { text: about.filter(Boolean).join(" · ") }),
      ],
    });
    return element("li", { children: [button] });
  }

  /** The paper of a row; its chunk is a script beside the page, as pages without a server may load nothing else. */
  async function fetched({ chunk, place, key }) {
    if (!papers.has(chunk)) {
      papers.set(chunk, new Promise((resolve, reject) => {
        arrived.set(chunk, resolve);
        const script = element("script", { src: `index/papers-${chunk}.js` });
        script.onerror = () => { papers.delete(chunk); reject(new Error()); };
        document.head.append(script);
      }));
    }
    const paper = (await papers.get(chunk))[place];
    // A run that went on may have written the folder anew since the page was loaded, and another paper stands there.
    if (paper?.key !== key) throw new Error();
    return paper;
  }

  async function open(number) {
    current = number;
    for (const button of at("rows").querySelectorAll("button")) {
      if (Number(button.dataset.number) === number) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
    history.replaceState(null, "", `#${rows[number].key}`);
    document.querySelector("main").classList.add("open");
    const place = at("paper");
    place.hidden = false;
    // Until the paper is here, what was open before does not stand under its name.
    place.replaceChildren(closer());
    let shown;
    try {
      shown = told(rows[number], await fetched(rows[number]));
    } catch {
      shown = [closer(), element("p", { class: "error", text: "This summary is not beside the page; copy the folder index along with index.html, or load this page again." })];
    }
    if (current !== number) return; // another one was opened, or this one closed
    place.replaceChildren(...shown);
    place.scrollTop = 0;
    place.focus();
  }

  function close() {
    if (current === null) return false;
    const number = current;
    current = null;
    at("paper").hidden = true;
    document.querySelector("main").classList.remove("open");
    history.replaceState(null, "", "#");
    const button = at("rows").querySelector(`[data-number="${number}"]`);
    if (button) { button.removeAttribute("aria-current"); button.focus(); } else at("words").focus();
    return true;
  }

  const closer = () => element("button", { type: "button", class: "close", text: "Close" });

  /** A paper with all that is known of it. */
  function told(row, paper) {
    const facts = [row.authors, row.pages && `${row.pages} pages`, row.language].filter(Boolean).join(" · ");
    const links = paper.links.map(([name, address]) => element("a", { href: address, text: name, target: "_blank", rel: "noreferrer" }));
    return [
      closer(),
      element("h2", { text: row.title }),
      facts && element("p", { class: "about", text: facts }),
      ...paper.files.map((file) => element("p", { class: "about", text: file })),
      element("p", { class: "about", children: links.flatMap((link, i) => (i ? [" · ", link] : [link])) }),
      row.error && element("p", { class: "error", text: row.error }),
      ...paper.parts.flatMap((part, i) => written(part, paper, paper.parts[i - 1])),
      paper.facts.length && element("h3", { text: "How it was made" }),
      ...paper.facts.map((fact) => element("p", { class: "about", text: fact })),
    ].filter(Boolean);
  }

  function written(part, paper, before) {
    const first = !before || before.kind !== part.kind;
    const sentences = part.sentences.flatMap((sentence) => [...said(sentence), pages(sentence, paper), " "]);
    return [
      first && element("h3", { text: { tldr: "TL;DR", summary: "Summary", section: "Section by section" }[part.kind] }),
      part.heading && element("h4", { text: part.page ? `${part.heading} (p. ${part.page})` : part.heading }),
      element("div", { class: "written", children: sentences }),
    ].filter(Boolean);
  }

  /** A sentence, what of it stands nowhere in the paper underlined. */
  function said(sentence) {
    let [left, pieces] = [sentence.text, []];
    for (const word of sentence.missing) {
      const place = left.indexOf(word);
      if (place < 0) continue;
      pieces.push(left.slice(0, place), element("span", { class: "missing", title: "Not in what the model read: check it in the paper.", text: word }));
      left = left.slice(place + word.length);
    }
    return [...pieces, left];
  }

  /** "p. 4" behind a sentence: it shows the passages that the sentence rests on. */
  function pages(sentence, paper) {
    const numbers = [...new Set(sentence.passages.map((passage) => passage.page))].sort((a, b) => a - b);
    if (!numbers.length) return "";
    const text = `${numbers.length > 1 ? "pp." : "p."} ${numbers.join(", ")}`;
    const button = element("button", { type: "button", class: "page", "aria-expanded": "false", text });
    const passages = element("div", { class: "passages", hidden: "", children: sentence.passages.map((passage) => element("p", {
      children: [
        paper.document
          ? element("a", { href: `${paper.document}#page=${passage.page}`, target: "_blank", rel: "noreferrer", text: `page ${passage.page}` })
          : `page ${passage.page}`,
        sentence.quoted ? ", quoted" : ` (${Math.round(100 * passage.score)}%): ${passage.quote}`,
      ],
    })) });
    button.onclick = () => {
      passages.hidden = !passages.hidden;
      button.setAttribute("aria-expanded", String(!passages.hidden));
    };
    return element("span", { children: [" ", button, passages] });
  }

  /** Arrow keys go through the rows, / to the search, Escape back. */
  function key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const typing = event.target.matches("input, select");
    if (event.key === "/" && !typing) {
      at("words").select();
      at("words").focus();
    } else if (event.key === "Escape") {
      if (!close() && at("words").value) { at("words").value = ""; search(); }
    } else if (["ArrowDown", "ArrowUp"].includes(event.key) && (event.target.id === "words" || event.target.closest("#rows"))) {
      const buttons = [...at("rows").querySelectorAll("button")];
      const place = buttons.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
      if (place >= buttons.length - 1) more();
      if (place < 0) at("words").focus();
      else (at("rows").querySelectorAll("button")[place] || buttons.at(-1))?.focus();
    } else return;
    event.preventDefault();
  }

  function openNamed() {
    const named = rows.find((row) => row.key === location.hash.slice(1));
    if (named && location.hash.length > 1 && named.number !== current) open(named.number);
  }

  function start() {
    const languages = [...new Set(rows.map((row) => row.language).filter(Boolean))].sort();
    at("language").append(...languages.map((code) => element("option", { value: code, text: code })));
    for (const id of ["words", "state", "language", "order"]) at(id).addEventListener("input", search);
    at("rows").addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) open(Number(button.dataset.number));
    });
    at("rows").addEventListener("scroll", () => {
      const list = at("rows");
      if (list.scrollTop + 2 * list.clientHeight > list.scrollHeight && shown < found.length) more();
    });
    at("paper").addEventListener("click", (event) => { if (event.target.matches(".close")) close(); });
    document.addEventListener("keydown", key);
    addEventListener("hashchange", openNamed);
    search();
    openNamed();
  }

  document.addEventListener("DOMContentLoaded", start);
  return {
    /** Called by the scripts with the rows. */
    rows(some) {
      for (const row of some) {
        row.number = rows.length;
        row.searched = plain([row.title, row.authors, row.short, row.summary, ...row.files, row.error].join("\n"));
        delete row.summary;
        rows.push(row);
      }
    },
    /** Called by the script of a chunk. */
    papers(chunk, some) { arrived.get(chunk)(some); },
  };
})();
