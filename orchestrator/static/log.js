"use strict";
// The log of an attempt: follows what grows, pauses, filters what is on the page, finds, and leads to a line. Text of others
// becomes text nodes, never markup. Without this file the form asks the server for the same.
(() => {
  const log = document.querySelector("[data-log]");
  const form = document.querySelector("[data-log-form]");
  if (!log || !form) {
    // A run that had no attempt yet has one now.
    document.addEventListener("refreshed", (event) => {
      if (event.detail.querySelector("[data-log-form]")) location.reload();
    });
    return;
  }
  const LEVELS = ["trace", "debug", "info", "warn", "error", "raw"];
  const STREAMS = { "": "step", out: "stdout", err: "stderr" };
  const MOST_LINES = 20000;
  const button = form.querySelector("[data-log-follow]");
  let following = false;
  let paused = false;

  function wanted(line) {
    const fields = form.elements;
    const level = LEVELS.indexOf(line.dataset.level);
    const text = fields.find.value.trim().toLowerCase();
    const stream = fields.stream.value;
    const only = fields.only ? fields.only.value : "";
    return level >= LEVELS.indexOf(fields.level.value) &&
      (stream === "" || line.dataset.level === "raw" || STREAMS[line.dataset.stream] === stream) &&
      (only === "" || line.querySelector("i").textContent === only) &&
      (text === "" || line.lastElementChild.textContent.toLowerCase().includes(text));
  }

  function filter(lines) {
    for (const line of lines) line.hidden = !wanted(line);
    const all = log.querySelectorAll(".line").length;
    const shown = all - log.querySelectorAll(".line[hidden]").length;
    const words = `${all.toLocaleString("en")} ${all === 1 ? "line" : "lines"}`;
    form.querySelector("[data-log-count]").textContent = shown === all ? words : `${shown.toLocaleString("en")} of ${words}`;
  }

  function element(name, text, className) {
    const made = document.createElement(name);
    if (className) made.className = className;
    made.textContent = text;
    return made;
  }

  function lineOf(line) {
    const made = element("div", "", "line " + line.level);
    made.id = "L" + line.begin;
    made.dataset.level = line.level;
    made.dataset.stream = line.stream;
    const link = document.createElement("a");
    link.href = `${log.dataset.lineHref}${line.begin}#L${line.begin}`;
    link.append(element("time", line.time));
    const text = document.createElement("span");
    for (const span of line.spans) text.append(element("span", span.text, span.class));
    made.append(link, element("b", line.level), element("i", line.partition), text);
    return made;
  }

  const live = () => log.dataset.ended !== "true" || log.dataset.begun === "true" && log.dataset.complete !== "true";

  async function follow() {
    if (following || paused || log.dataset.filtered === "true" || !live()) return;
    following = true;
    log.dataset.begun = "true";
    try {
      for (;;) {
        const asked = new URLSearchParams({ attempt: log.dataset.attempt, offset: log.dataset.next });
        const answer = await fetch(`/api/v1/runs/${log.dataset.run}/log?${asked}`);
        if (!answer.ok) break;
        const part = await answer.json();
        // What was asked for before the pause and comes after it is asked for again.
        if (paused) break;
        const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
        if (part.lines.length) {
          const empty = log.querySelector("[data-log-empty]");
          if (empty) empty.remove();
          const made = part.lines.map(lineOf);
          log.append(...made);
          while (log.childElementCount > MOST_LINES) log.firstElementChild.remove();
          filter(made);
          if (atEnd) log.scrollTop = log.scrollHeight;
        }
        const moved = String(part.next_offset) !== log.dataset.next;
        log.dataset.next = part.next_offset;
        log.dataset.ended = part.ended;
        log.dataset.complete = part.complete;
        if (!moved || part.complete) break;
      }
    } catch {
      // Tried again in a moment.
    }
    following = false;
    tell();
  }

  function tell() {
    button.hidden = !live() || log.dataset.filtered === "true";
    button.textContent = paused ? "Follow" : "Pause";
    button.setAttribute("aria-pressed", String(!paused));
    button.title = paused ? "Show what is written from now on" : "Stop at what is shown (the log goes on)";
  }

  button.addEventListener("click", () => {
    paused = !paused;
    tell();
    if (!paused) {
      log.scrollTop = log.scrollHeight;
      follow();
    }
  });
  const refilter = () => filter(log.querySelectorAll(".line"));
  form.elements.find.addEventListener("input", refilter);
  for (const name of ["level", "stream", "only"]) {
    if (form.elements[name]) form.elements[name].addEventListener("change", refilter);
  }
  form.elements.attempt.addEventListener("change", () => form.requestSubmit());
  refilter();
  tell();

  const linked = /^#L\d+$/.test(location.hash) && document.getElementById(location.hash.slice(1));
  if (linked) {
    linked.classList.add("linked");
    log.scrollTop = linked.offsetTop - log.offsetTop - log.clientHeight / 3;
    paused = true;
    tell();
  } else if (log.dataset.ended === "false" || new URLSearchParams(location.search).get("offset") === null) {
    log.scrollTop = log.scrollHeight;
  }
  // A search goes on by itself until it has found something to read.
  const ENOUGH = 100;

  async function searchOn() {
    const looked = document.querySelector("[data-log-looked]");
    const more = document.querySelector("[data-log-more]");
    if (log.dataset.filtered !== "true" || !looked || !more) return;
    const fields = form.elements;
    let shown = log.querySelectorAll(".line").length;
    while (shown < ENOUGH && log.dataset.complete !== "true") {
      const asked = new URLSearchParams({ attempt: log.dataset.attempt, offset: log.dataset.next, level: fields.level.value, stream: fields.stream.value, partition: fields.only ? fields.only.value : "", find: log.dataset.find });
      const answer = await fetch(`/api/v1/runs/${log.dataset.run}/log?${asked}`);
      if (!answer.ok) return;
      const part = await answer.json();
      if (String(part.next_offset) === log.dataset.next) return;
      if (part.lines.length) {
        const empty = log.querySelector("[data-log-empty]");
        if (empty) empty.remove();
        const made = part.lines.map(lineOf);
        log.append(...made);
        shown += made.length;
        filter(made);
      }
      log.dataset.next = part.next_offset;
      log.dataset.complete = part.complete;
      const next = new URL(more.href);
      next.searchParams.set("offset", part.next_offset);
      more.href = next;
      looked.textContent = part.complete ? "looked through all of it" : `looked through ${Math.floor(100 * part.next_offset / part.size)} %`;
    }
  }
  searchOn().catch(() => {});

  // A line that is written is on the page soon after.
  setInterval(() => {
    if (!document.hidden && log.dataset.ended === "false") follow();
  }, 250);

  // New attempts appear in the choice without touching what is chosen.
  document.addEventListener("refreshed", (event) => {
    const choice = form.elements.attempt;
    const fresh = event.detail.querySelector("[data-log-form] select[name=attempt]");
    if (!fresh || choice === document.activeElement) return;
    const same = choice.options.length === fresh.options.length && [...choice.options].every((option, i) => option.text === fresh.options[i].text);
    if (same) return;
    const chosen = choice.value;
    choice.replaceChildren(...[...fresh.options].map((option) => new Option(option.text, option.value)));
    choice.value = chosen;
  });
})();
