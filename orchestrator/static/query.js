"use strict";
// The query console: runs without leaving the page, cancels, completes names, and remembers what was asked in this browser.
// Without this file the form does the same with a page for each result. Text of others becomes text nodes, never markup.
(() => {
  const form = document.querySelector("[data-query]");
  if (!form) return;
  const sql = form.querySelector("[data-sql]");
  const result = document.getElementById("result");
  const cancel = form.querySelector("[data-cancel]");
  const share = form.querySelector("[data-share]");
  form.querySelector("[data-hint]").hidden = false;

  function element(name, text, className) {
    const made = document.createElement(name);
    if (className) made.className = className;
    made.textContent = text;
    return made;
  }

  // ---- Running. A request that is given up stops the query.

  let under = null;

  async function run() {
    if (under || sql.value.trim() === "") return;
    under = new AbortController();
    const begun = performance.now();
    const running = element("p", "", "dim");
    result.replaceChildren(running);
    const tick = () => { running.textContent = `Running: ${((performance.now() - begun) / 1000).toFixed(1)} s`; };
    tick();
    const timer = setInterval(tick, 100);
    cancel.hidden = false;
    remember();
    try {
      const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), signal: under.signal });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("result") || page.querySelector("main");
      result.replaceChildren(...[...fresh.childNodes].map((node) => document.importNode(node, true)));
    } catch (error) {
      const words = error.name === "AbortError" ? "Canceled: the query was stopped." : "The server cannot be reached; is millpond up?";
      result.replaceChildren(element("p", words, "banner"));
    }
    clearInterval(timer);
    cancel.hidden = true;
    under = null;
  }

  form.addEventListener("submit", (event) => {
    if (event.submitter && "download" in event.submitter.dataset) return;
    event.preventDefault();
    run();
  });
  cancel.addEventListener("click", () => under && under.abort());

  function link() {
    const asked = new URLSearchParams();
    if (sql.value.trim() !== "") asked.set("sql", sql.value);
    if (form.elements.as_of.value.trim() !== "") asked.set("as_of", form.elements.as_of.value);
    share.href = "/query" + (asked.size ? "?" + asked : "");
  }
  form.addEventListener("input", link);

  // ---- History, of this browser and this project.

  const KEY = "millpond-queries " + location.host;
  const MOST = 50;
  const history_ = document.querySelector("[data-history]");

  function remembered() {
    try {
      const kept = JSON.parse(localStorage.getItem(KEY) || "[]");
      return Array.isArray(kept) ? kept.filter((one) => typeof one === "string") : [];
    } catch {
      return [];
    }
  }

  function remember() {
    const text = sql.value.trim();
    try {
      localStorage.setItem(KEY, JSON.stringify([text, ...remembered().filter((one) => one !== text)].slice(0, MOST)));
    } catch {
      // A browser without storage forgets.
    }
    showHistory();
  }

  function showHistory() {
    const all = remembered();
    history_.hidden = all.length === 0;
    history_.querySelector("ul").replaceChildren(...all.map((text) => {
      const item = document.createElement("li");
      const button = element("button", text.replace(/\s+/g, " "), "plain clip");
      button.type = "button";
      button.title = text;
      button.addEventListener("click", () => {
        sql.value = text;
        link();
        sql.focus();
      });
      item.append(button);
      return item;
    }));
  }
  history_.querySelector("[data-forget]").addEventListener("click", () => {
    localStorage.removeItem(KEY);
    showHistory();
  });
  showHistory();

  // ---- Completion: tables, the columns of the tables that the query names, and words of SQL.

  const WORDS = "SELECT FROM WHERE GROUP BY ORDER BY HAVING LIMIT JOIN LEFT JOIN ON USING AS AND OR NOT IN IS NULL BETWEEN LIKE CASE WHEN THEN ELSE END DISTINCT COUNT SUM AVG MIN MAX CAST DATE TIMESTAMP INTERVAL UNION ALL WITH OVER PARTITION BY DESC ASC".split(" ");
  const columns = new Map();
  let tables = [];
  let typing = false;
  fetch("/api/v1/query/names").then((answer) => answer.json()).then((names) => {
    tables = names.tables || [];
    // Whoever typed before the names were there gets them now.
    if (document.activeElement === sql && typing) complete();
  }).catch(() => {});

  async function columnsOf(table) {
    if (!columns.has(table)) {
      columns.set(table, {});
      try {
        const answer = await fetch(`/api/v1/query/names?table=${encodeURIComponent(table)}`);
        if (answer.ok) columns.set(table, (await answer.json()).columns || {});
      } catch {
        columns.delete(table);
      }
    }
    return columns.get(table) || {};
  }

  const list = element("ul", "", "complete");
  list.hidden = true;
  list.setAttribute("role", "listbox");
  list.id = "complete";
  sql.after(list);
  sql.setAttribute("aria-controls", "complete");
  let chosen = 0;
  let asked = 0;

  const word = () => /[\w.]*$/.exec(sql.value.slice(0, sql.selectionStart))[0];

  async function offers() {
    const typed = word().toLowerCase();
    const named = tables.filter((table) => sql.value.includes(table));
    const found = new Map();
    for (const table of tables) if (table.toLowerCase().includes(typed)) found.set(table, "table");
    for (const table of named.slice(0, 8)) {
      const known = await columnsOf(table);
      for (const [name, type] of Object.entries(known)) {
        if (name.toLowerCase().startsWith(typed.slice(typed.lastIndexOf(".") + 1))) found.set(name, `${type} · ${table}`);
      }
    }
    if (typed !== "") for (const one of WORDS) if (one.toLowerCase().startsWith(typed)) found.set(one, "");
    const rank = ([name, what]) => (name.toLowerCase().startsWith(typed) ? 0 : 2) + (what.includes("·") ? 0 : 1);
    return [...found].sort((one, other) => rank(one) - rank(other)).slice(0, 12);
  }

  function close() {
    typing = false;
    asked += 1;
    list.hidden = true;
    sql.setAttribute("aria-expanded", "false");
  }

  function put(name) {
    const typed = word();
    const from = name.includes(".") || !typed.includes(".") ? sql.selectionStart - typed.length : sql.selectionStart - (typed.length - typed.lastIndexOf(".") - 1);
    sql.setRangeText(name, from, sql.selectionStart, "end");
    close();
    link();
  }

  function point(at) {
    chosen = (at + list.childElementCount) % list.childElementCount;
    [...list.children].forEach((item, i) => item.setAttribute("aria-selected", String(i === chosen)));
    list.children[chosen].scrollIntoView({ block: "nearest" });
  }

  async function complete() {
    typing = true;
    const number = ++asked;
    const found = await offers();
    // Names of columns may come late; what was typed or closed since is what counts.
    if (number !== asked) return;
    if (!found.length) {
      list.hidden = true;
      sql.setAttribute("aria-expanded", "false");
      return;
    }
    list.replaceChildren(...found.map(([name, what]) => {
      const item = element("li", "");
      item.setAttribute("role", "option");
      item.append(element("b", name), element("small", what, "dim"));
      item.addEventListener("mousedown", (event) => {
        event.preventDefault();
        put(name);
      });
      item.dataset.name = name;
      return item;
    }));
    list.hidden = false;
    sql.setAttribute("aria-expanded", "true");
    point(0);
  }

  sql.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      close();
      run();
    } else if (event.key === " " && event.ctrlKey) {
      event.preventDefault();
      complete();
    } else if (!list.hidden && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      point(chosen + (event.key === "ArrowDown" ? 1 : -1));
    } else if (!list.hidden && (event.key === "Enter" || event.key === "Tab")) {
      event.preventDefault();
      put(list.children[chosen].dataset.name);
    } else if (!list.hidden && event.key === "Escape") {
      event.stopPropagation();
      event.preventDefault();
      close();
    }
  });
  sql.addEventListener("input", (event) => {
    const typed = word();
    if (event.inputType === "insertText" && typed.length >= 2) complete();
    else close();
  });
  sql.addEventListener("blur", close);
})();
