"use strict";
// Refreshes what changed. Every page works without this file: it fetches the same page again and takes over the parts
// marked `data-live`. Text of others becomes text nodes, never markup. What else one page does is in a file of its own.

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
      document.dispatchEvent(new CustomEvent("refreshed", { detail: page }));
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
// What the page shows; what was committed since is told first.
let seq = document.body.dataset.seen ?? null;

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

// ---- Buttons that are pressed once.

document.addEventListener("submit", (event) => {
  if (event.target.method !== "post" || event.defaultPrevented || (event.submitter && "download" in event.submitter.dataset)) return;
  // After the browser has read the pressed button's value.
  setTimeout(() => {
    for (const button of event.target.querySelectorAll("button")) button.disabled = true;
  }, 0);
});
window.addEventListener("pageshow", (event) => {
  if (event.persisted) for (const button of document.querySelectorAll("button:disabled")) button.disabled = false;
});

listen();
