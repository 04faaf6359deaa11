"use strict";
// Keys, the help that lists them, and what only a browser knows: the zone of whoever reads.
(() => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && !document.cookie.includes(`millpond-zone=${encodeURIComponent(zone)}`)) {
    document.cookie = `millpond-zone=${encodeURIComponent(zone)}; path=/; max-age=31536000; samesite=strict`;
  }

  // The places are those of the navigation, which says its keys in its titles.
  const places = new Map();
  for (const link of document.querySelectorAll("header nav a[title]")) places.set(link.title.slice(-1), link);
  // On a narrow screen the navigation scrolls; the page one is on should be seen.
  const here = document.querySelector("header nav a.here");
  if (here) here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.clientWidth / 2;
  // When `g` was pressed. A page is young at first: no time of its own means never.
  let going = -Infinity;

  function made(name, ...children) {
    const node = document.createElement(name);
    node.append(...children);
    return node;
  }

  function help() {
    const known = document.querySelector("dialog.keys");
    if (known) {
      known.close();
      known.remove();
      return;
    }
    const list = made("dl");
    const add = (keys, what) => list.append(made("dt", ...keys.map((key) => made("kbd", key))), made("dd", what));
    add(["/"], "search assets");
    add(["j"], "next row");
    add(["k"], "row before");
    add(["Enter"], "open it");
    add(["Esc"], "leave a field, close this");
    add(["?"], "show or hide this");
    for (const [key, link] of places) add(["g", key], link.textContent.trim());
    const close = made("button", "Close");
    const dialog = made("dialog", made("h2", "Keys"), list, close);
    dialog.className = "keys";
    close.addEventListener("click", help);
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }

  function rows() {
    const all = document.querySelectorAll("main tr[data-key] a[href]:first-of-type, main a.card, main .line > a");
    const seen = new Set();
    return [...all].filter((link) => {
      const row = link.closest("tr, a.card, .line");
      if (seen.has(row) || row.hidden || link.offsetParent === null) return false;
      seen.add(row);
      return true;
    });
  }

  function step(by) {
    const all = rows();
    if (!all.length) return;
    const row = document.activeElement && document.activeElement.closest("tr, a.card, .line");
    const here = all.findIndex((link) => link.closest("tr, a.card, .line") === row);
    const next = all[Math.max(0, Math.min(all.length - 1, here === -1 ? 0 : here + by))];
    next.focus();
    next.closest("tr, a.card, .line").scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const second = performance.now() - going < 1200;
    going = -Infinity;
    if (event.key === "/") {
      const search = document.querySelector("[data-search]");
      if (!search) return;
      event.preventDefault();
      search.focus();
      search.select();
    } else if (event.key === "?") {
      help();
    } else if (second && places.has(event.key)) {
      location.assign(places.get(event.key).href);
    } else if (event.key === "g") {
      going = performance.now();
    } else if (event.key === "j") {
      step(1);
    } else if (event.key === "k") {
      step(-1);
    }
  });
})();
