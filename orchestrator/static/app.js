"use strict";
// Refreshes what changed. Every page works without this file: it fetches the same page again and takes over the parts
// marked `data-live`, and it appends to a log what was written since. Text of others becomes text nodes, never markup.

const byId = (id) => document.getElementById(id);

// ---- Taking over what changed, without losing focus, selection, scroll positions or what is opened.

function keyOf(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.getAttribute("data-key") || node.id || null : null;
}

function alike(a, b) {
  return a && a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);
}

function morph(from, to) {
  if (from.isEqualNode(to)) return;
  if (from.nodeType !== Node.ELEMENT_NODE) {
    if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
    return;
  }
  const editing = from === document.activeElement && /^(INPUT|SELECT|TEXTAREA)$/.test(from.nodeName);
  if (editing) return;
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && !(name === "open" && from.nodeName === "DETAILS")) from.removeAttribute(name);
  }
  for (const { name, value } of [...to.attributes]) {
    if (name === "open" && from.nodeName === "DETAILS") continue;
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  const keyed = new Map();
  for (const child of from.childNodes) {
    const key = keyOf(child);
    if (key) keyed.set(key, child);
  }
  let place = from.firstChild;
  for (const wanted of [...to.childNodes]) {
    const key = keyOf(wanted);
    let found = key ? keyed.get(key) : place;
    if (found && alike(found, wanted)) {
      if (found !== place) from.insertBefore(found, place);
      else place = place.nextSibling;
      morph(found, wanted);
    } else {
      from.insertBefore(document.importNode(wanted, true), place);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

let refreshing = false;
let again = false;

async function refresh() {
  if (refreshing) {
    again = true;
    return;
  }
  refreshing = true;
  const begun = performance.now();
  try {
    const answer = await fetch(location.pathname + location.search, { headers: { accept: "text/html" } });
    if (answer.ok) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-live][id]")) {
        const fresh = page.getElementById(part.id);
        if (fresh) morph(part, fresh);
      }
      refreshLogChoices(page);
    }
  } catch {
    // The stream tells when the server is gone.
  }
  // A page that is slow to make is asked for less often.
  setTimeout(() => {
    refreshing = false;
    if (again) {
      again = false;
      refresh();
    }
  }, Math.max(400, 3 * (performance.now() - begun)));
}

// ---- Being told.

const head = byId("head");
const thisRun = head && head.dataset.run;
let source = null;
let seq = null;

function concerns(told) {
  if (!document.querySelector("[data-live][id]")) return false;
  if (!thisRun) return !told.progress || byId("now") || byId("assets");
  return told.all || told.runs.includes(thisRun) || (told.progress && head.dataset.open === "true");
}

function listen() {
  if (source || document.hidden) return;
  source = new EventSource("/live" + (seq === null ? "" : "?after=" + seq));
  source.onopen = () => tell("");
  source.onmessage = (message) => {
    const told = JSON.parse(message.data);
    seq = told.seq;
    if (concerns(told)) {
      refresh();
      follow();
    }
  };
  source.onerror = () => tell("Not connected; trying again");
}

function tell(text) {
  const link = byId("link");
  if (!link) return;
  link.textContent = text;
  link.classList.toggle("lost", text !== "");
}

// A browser opens few connections to one host; tabs that nobody looks at give theirs back.
document.addEventListener("visibilitychange", () => {
  if (document.hidden && source) {
    source.close();
    source = null;
  } else {
    listen();
  }
});

// ---- The log.

const log = document.querySelector("[data-log]");
const logForm = document.querySelector("[data-log-form]");
const LEVELS = ["trace", "debug", "info", "warn", "error", "raw"];
const MOST_LINES = 20000;
let following = false;

function wantedLine(line) {
  const least = LEVELS.indexOf(logForm.elements.level.value);
  const text = logForm.elements.find.value.trim().toLowerCase();
  return LEVELS.indexOf(line.dataset.level) >= least && (text === "" || line.lastElementChild.textContent.toLowerCase().includes(text));
}

function filterLog() {
  let shown = 0;
  const lines = log.querySelectorAll(".line");
  for (const line of lines) {
    line.hidden = !wantedLine(line);
    if (!line.hidden) shown += 1;
  }
  const count = logForm.querySelector("[data-log-count]");
  count.textContent = shown === lines.length ? `${lines.length} ${lines.length === 1 ? "line" : "lines"}` : `${shown} of ${lines.length} lines`;
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

function lineOf(line) {
  const made = element("div", "", "line " + line.level);
  made.dataset.level = line.level;
  const text = document.createElement("span");
  for (const span of line.spans) text.append(element("span", span.text, span.class));
  made.append(element("time", line.time), element("b", line.level), element("i", line.partition), text);
  return made;
}

async function follow() {
  if (!log || following || log.dataset.filtered === "true") return;
  if (log.dataset.ended === "true" && log.dataset.complete === "true") return;
  // More of a log that has ended is for the button; what grows is followed.
  if (log.dataset.ended === "true" && log.dataset.begun !== "true") return;
  following = true;
  log.dataset.begun = "true";
  try {
    for (;;) {
      const asked = new URLSearchParams({ attempt: log.dataset.attempt, offset: log.dataset.next });
      const answer = await fetch(`/api/v1/runs/${log.dataset.run}/log?${asked}`);
      if (!answer.ok) break;
      const part = await answer.json();
      const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
      if (part.lines.length) {
        const empty = log.querySelector("[data-log-empty]");
        if (empty) empty.remove();
        log.append(...part.lines.map(lineOf));
        while (log.childElementCount > MOST_LINES) log.firstElementChild.remove();
        filterLog();
        if (atEnd) log.scrollTop = log.scrollHeight;
      }
      const moved = String(part.next_offset) !== log.dataset.next;
      log.dataset.next = part.next_offset;
      log.dataset.ended = part.ended;
      log.dataset.complete = part.complete;
      if (!moved || part.complete) break;
    }
  } catch {
    // Tried again with the next message.
  }
  following = false;
}

// New attempts appear in the choice without touching what is chosen.
function refreshLogChoices(page) {
  const choice = logForm && logForm.elements.attempt;
  const fresh = page.querySelector("[data-log-form] select[name=attempt]");
  if (!choice && fresh) {
    location.reload();
    return;
  }
  if (!choice || !fresh || choice === document.activeElement) return;
  const chosen = choice.value;
  if (choice.options.length !== fresh.options.length || [...choice.options].some((option, i) => option.text !== fresh.options[i].text)) {
    choice.replaceChildren(...[...fresh.options].map((option) => new Option(option.text, option.value)));
    choice.value = chosen;
  }
}

if (log && logForm) {
  filterLog();
  logForm.elements.find.addEventListener("input", filterLog);
  logForm.elements.level.addEventListener("change", filterLog);
  logForm.elements.attempt.addEventListener("change", () => logForm.requestSubmit());
  if (log.dataset.ended === "false") log.scrollTop = log.scrollHeight;
  setInterval(() => {
    if (!document.hidden && log.dataset.ended === "false") follow();
  }, 1000);
}

// ---- How long ago, as time passes. The words are those of the server.

function ago(seconds) {
  if (seconds <= -172800) return `in ${Math.floor(-seconds / 86400)} d`;
  if (seconds <= -3600) return `in ${Math.floor(-seconds / 3600)} h`;
  if (seconds <= -60) return `in ${Math.floor(-seconds / 60)} min`;
  if (seconds <= -5) return `in ${Math.floor(-seconds)} s`;
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

setInterval(() => {
  if (document.hidden) return;
  for (const time of document.querySelectorAll("time[datetime]")) {
    const shown = time.querySelector(".ago");
    const text = ago((Date.now() - Date.parse(time.dateTime)) / 1000);
    if (shown && shown.textContent !== text) shown.textContent = text;
  }
}, 5000);

// ---- Keys, and buttons that are pressed once.

const PLACES = {
  o: "/", a: "/assets", r: "/runs", s: "/schedules", e: "/sensors", l: "/alerts", m: "/models", g: "/graph",
};
let going = 0;

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key === "/") {
    const search = document.querySelector("[data-search]");
    if (search) {
      event.preventDefault();
      search.focus();
      search.select();
    }
  } else if (performance.now() - going < 1200 && PLACES[event.key]) {
    going = 0;
    location.assign(PLACES[event.key]);
  } else if (event.key === "g") {
    going = performance.now();
  }
});

document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  // After the browser has read the pressed button's value.
  setTimeout(() => {
    for (const button of event.target.querySelectorAll("button")) button.disabled = true;
  }, 0);
});
window.addEventListener("pageshow", (event) => {
  if (event.persisted) for (const button of document.querySelectorAll("button:disabled")) button.disabled = false;
});

listen();
