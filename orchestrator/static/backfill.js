"use strict";
// What a backfill would do, shown while one chooses. Without this file the button "Preview" asks for the same page.
(() => {
  const form = document.querySelector("[data-preview-form]");
  const preview = document.getElementById("preview");
  if (!form || !preview) return;
  let timer = 0;
  let under = null;

  async function show() {
    if (form.elements.selection.value.trim() === "") return;
    if (under) under.abort();
    under = new AbortController();
    const asked = new URLSearchParams(new FormData(form));
    asked.delete("trigger");
    asked.delete("back");
    preview.classList.add("stale");
    try {
      const answer = await fetch(`/backfills/new?${asked}`, { signal: under.signal });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("preview");
      if (fresh) preview.replaceChildren(...[...fresh.childNodes].map((node) => document.importNode(node, true)));
      history.replaceState(null, "", `/backfills/new?${asked}`);
      preview.classList.remove("stale");
    } catch {
      // Another look came between, or the server is gone: the button still asks.
    }
  }

  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(show, 350);
  };
  form.addEventListener("input", soon);
  form.addEventListener("change", soon);
})();
