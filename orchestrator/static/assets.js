"use strict";
// What the pages of assets, the graph and models do beside working without any script: the catalog answers while one types,
// a stretch of partitions is chosen by dragging, the graph is zoomed, moved and lit.
(() => {
  // ---- What is only for those with a script, and only for those without.

  const sort = () => {
    for (const part of document.querySelectorAll("[data-without-script]")) part.hidden = true;
    for (const part of document.querySelectorAll("[data-with-script]")) part.hidden = false;
  };
  sort();
  // What was fetched again is as the server made it, for either.
  document.addEventListener("refreshed", sort);

  // ---- The catalog: the same page, asked again while one types; only its list is taken over.

  const filters = document.querySelector("[data-filters]");
  if (filters) {
    let asked = 0;
    let waiting = 0;
    const ask = async () => {
      const turn = ++asked;
      const fields = [...new FormData(filters)].filter(([, value]) => value !== "");
      const query = new URLSearchParams(fields).toString();
      const address = filters.action + (query ? "?" + query : "");
      try {
        const answer = await fetch(address, { headers: { accept: "text/html" } });
        // What was typed since is asked for already.
        if (!answer.ok || turn !== asked) return;
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        if (turn !== asked) return;
        for (const part of document.querySelectorAll("[data-swap][id]")) {
          const fresh = page.getElementById(part.id);
          if (fresh) part.replaceChildren(...[...fresh.childNodes].map((node) => document.importNode(node, true)));
        }
        history.replaceState(null, "", address);
      } catch {
        // The button still asks.
      }
    };
    filters.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(ask, 120);
    });
  }

  // ---- A stretch of partitions: from where the pointer goes down to where it comes up.

  const keyOf = (link) => link && new URL(link.getAttribute("href"), location).searchParams.get("partition");
  const form = document.querySelector("#backfill");
  for (const drawing of document.querySelectorAll("[data-stretch]")) {
    let begun = null;
    let ended = null;
    const linkAt = (event) => {
      const target = document.elementFromPoint(event.clientX, event.clientY);
      const link = target && target.closest("a");
      return link && drawing.contains(link) ? link : null;
    };
    const paint = () => {
      const links = [...drawing.querySelectorAll("a")];
      const [first, last] = [links.indexOf(begun), links.indexOf(ended)].sort((a, b) => a - b);
      links.forEach((link, place) => {
        const cell = link.querySelector(".cell") || link;
        cell.classList.toggle("within", Boolean(begun && ended) && begun !== ended && place >= first && place <= last);
      });
    };
    drawing.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.pointerType === "touch") return;
      begun = linkAt(event);
      ended = begun;
      if (begun && keyOf(begun)) event.preventDefault();
      else begun = null;
    });
    drawing.addEventListener("pointermove", (event) => {
      if (!begun) return;
      const over = linkAt(event);
      if (!over || over === ended) return;
      ended = over;
      paint();
    });
    window.addEventListener("pointerup", () => {
      if (begun && ended && begun !== ended && form) {
        const keys = [keyOf(begun), keyOf(ended)];
        const links = [...drawing.querySelectorAll("a")];
        if (links.indexOf(begun) > links.indexOf(ended)) keys.reverse();
        const fields = form.querySelector("form").elements;
        [fields.from.value, fields.to.value] = keys;
        form.open = true;
        form.scrollIntoView({ block: "nearest" });
        // The click that ends the dragging is no click on a partition.
        window.addEventListener("click", (event) => event.preventDefault(), { capture: true, once: true });
        setTimeout(() => fields.only.focus({ preventScroll: true }), 0);
      }
      begun = null;
    });
    drawing.addEventListener("dragstart", (event) => event.preventDefault());
  }

  // ---- The graph.

  for (const canvas of document.querySelectorAll("[data-graph]")) {
    const zoomed = canvas.querySelector("[data-zoomed]");
    const bar = document.querySelector("[data-zoom]");
    let scale = 1;
    const zoom = (wanted, at) => {
      const before = scale;
      scale = Math.min(3, Math.max(0.1, wanted));
      const box = canvas.getBoundingClientRect();
      const [x, y] = at ? [at.clientX - box.left, at.clientY - box.top] : [box.width / 2, box.height / 2];
      zoomed.style.zoom = scale;
      canvas.classList.toggle("scaled", scale !== 1);
      canvas.scrollLeft = ((canvas.scrollLeft + x) * scale) / before - x;
      canvas.scrollTop = ((canvas.scrollTop + y) * scale) / before - y;
    };
    const fit = () => {
      const drawing = canvas.querySelector("svg.graph");
      if (!drawing) return;
      const [, , width, height] = drawing.getAttribute("viewBox").split(" ").map(Number);
      canvas.classList.add("scaled");
      zoom(Math.min((canvas.clientWidth - 20) / width, (canvas.clientHeight - 20) / height, 1));
      canvas.scrollTo(0, 0);
    };
    if (bar) {
      bar.hidden = false;
      bar.addEventListener("click", (event) => {
        const by = event.target.dataset.zoomBy;
        if (by === "fit") fit();
        else if (by === "0") zoom(1);
        else if (by) zoom(scale * Number(by));
      });
    }
    canvas.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && !event.metaKey) return;
        event.preventDefault();
        zoom(scale * Math.exp(-event.deltaY / 400), event);
      },
      { passive: false },
    );
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "+" || event.key === "=") zoom(scale * 1.25);
      else if (event.key === "-") zoom(scale * 0.8);
      else if (event.key === "0") zoom(1);
      else if (event.key === "f") fit();
      else return;
      event.preventDefault();
    });
    // Moved by dragging its ground.
    let held = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.pointerType === "touch" || event.target.closest("a")) return;
      held = { x: event.clientX + canvas.scrollLeft, y: event.clientY + canvas.scrollTop };
      canvas.setPointerCapture(event.pointerId);
      canvas.classList.add("held");
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!held) return;
      canvas.scrollLeft = held.x - event.clientX;
      canvas.scrollTop = held.y - event.clientY;
    });
    for (const kind of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(kind, () => {
        held = null;
        canvas.classList.remove("held");
      });
    }
    // What an asset is made of and what is made of it, as far as it goes, while one points at it.
    const light = (event) => {
      const node = event.type === "pointerleave" || event.type === "focusout" ? null : event.target.closest("[data-node]");
      const edges = [...canvas.querySelectorAll("[data-edge]")].map((edge) => ({ edge, ends: edge.dataset.edge.split(" ") }));
      const lit = new Set();
      if (node) {
        for (const [from, to] of [[0, 1], [1, 0]]) {
          const waiting = [node.dataset.node];
          const seen = new Set(waiting);
          while (waiting.length) {
            const at = waiting.pop();
            for (const { edge, ends } of edges) {
              if (ends[from] !== at) continue;
              lit.add(edge);
              if (!seen.has(ends[to])) {
                seen.add(ends[to]);
                waiting.push(ends[to]);
              }
            }
          }
        }
      }
      for (const { edge } of edges) edge.classList.toggle("bright", lit.has(edge));
      canvas.classList.toggle("lighting", lit.size > 0);
    };
    for (const kind of ["pointerover", "focusin", "focusout", "pointerleave"]) canvas.addEventListener(kind, light);
    // One who looks around an asset wants to see it first.
    const focused = canvas.querySelector(".focused");
    if (focused) focused.scrollIntoView({ block: "nearest", inline: "center" });
  }
})();
