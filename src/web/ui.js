// Comfort for the pages, which do everything without it: keys, copying, menus that close, and pages that keep themselves
// up to date. What changes on a page is what the server says of it: a part that is marked `data-live` is replaced by
// the part of the same id in the page as it is now.
(() => {
  "use strict";
  const typing = (element) => /^(INPUT|SELECT|TEXTAREA)$/.test(element.tagName) || element.isContentEditable;
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const parse = (text) => new DOMParser().parseFromString(text, "text/html");

  // Keys.
  const move = (step) => {
    const rows = all(".list tbody tr").filter((row) => row.querySelector("a.name"));
    if (rows.length === 0) return;
    const now = rows.findIndex((row) => row.contains(document.activeElement));
    const next = rows[Math.min(Math.max(now + step, 0), rows.length - 1)];
    next.querySelector("a.name").focus();
    next.scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      for (const open of all("details.who[open]")) {
        open.open = false;
        open.querySelector("summary").focus();
      }
    }
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (event.key === "/") {
      event.preventDefault();
      const field = document.getElementById("find");
      field.focus();
      field.select();
    } else if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
  });
  // What is pressed or focused elsewhere must not lie under the menu.
  for (const kind of ["click", "focusin"]) {
    document.addEventListener(kind, (event) => {
      for (const open of all("details.who[open]")) if (!open.contains(event.target)) open.open = false;
    });
  }
  document.addEventListener("click", (event) => {
    const line = event.target.closest("[data-line]");
    if (line) jump(document.getElementById(line.dataset.of), Number(line.dataset.line));
  });

  // Selects a line of a field.
  const jump = (field, number) => {
    const lines = field.value.split("\n");
    const from = lines.slice(0, number - 1).reduce((sum, line) => sum + line.length + 1, 0);
    field.focus();
    field.setSelectionRange(from, from + (lines[number - 1] || "").length);
  };

  // What has to be done to elements whenever they appear.
  const dress = (root) => {
    if (navigator.clipboard) {
      for (const button of all("button.copy", root)) {
        button.hidden = false;
        button.addEventListener("click", async () => {
          await navigator.clipboard.writeText(button.previousElementSibling.textContent);
          button.textContent = "Copied";
          setTimeout(() => { button.textContent = "Copy"; }, 1500);
        });
      }
    }
    for (const line of all("[data-line]", root)) line.classList.add("leads");
    balance(root);
  };

  // Brings the live parts up to date with a page as it is now; what somebody is typing in stays.
  const refresh = (page) => {
    for (const old of all("[data-live]")) {
      const fresh = page.getElementById(old.id);
      if (!fresh) continue;
      const used = old.contains(document.activeElement) && typing(document.activeElement);
      if (used || old.outerHTML === fresh.outerHTML) continue;
      for (const details of all("details[id]", old)) {
        const same = fresh.querySelector(`#${CSS.escape(details.id)}`);
        if (same) same.open = details.open;
      }
      const focused = old.contains(document.activeElement) && document.activeElement.id;
      const put = document.importNode(fresh, true);
      old.replaceWith(put);
      dress(put);
      if (focused) document.getElementById(focused)?.focus();
    }
    schedule();
  };
  const look = async () => {
    try {
      const answer = await fetch(location.href, { headers: { "Bookholder-Live": "yes" } });
      if (answer.ok && !answer.redirected) refresh(parse(await answer.text()));
    } catch { /* The node is away; the page stays as it is. */ }
  };

  // Parts that say when to look again by themselves.
  let again;
  const schedule = () => {
    clearTimeout(again);
    const waits = all("[data-again]").map((part) => Number(part.dataset.again));
    if (waits.length > 0) again = setTimeout(() => (document.hidden ? schedule() : look()), Math.min(...waits));
  };

  // Commits of the registry; a page that nobody sees does not listen.
  let stream;
  const listen = () => {
    const wanted = !document.hidden && all("[data-live]").length > 0 && !document.querySelector("[data-editor]");
    if (wanted && !stream) {
      stream = new EventSource("/ui/live");
      stream.onmessage = look;
      stream.onerror = () => { if (stream?.readyState === EventSource.CLOSED) stream = undefined; };
    } else if (!wanted && stream) {
      stream.close();
      stream = undefined;
    }
  };
  document.addEventListener("visibilitychange", () => {
    listen();
    if (!document.hidden && stream) look();
  });
  addEventListener("pagehide", () => { stream?.close(); stream = undefined; });

  // Sends a form as its button would, and returns the page that comes back.
  const send = async (form, action) => {
    const fields = new URLSearchParams(new FormData(form));
    if (action) fields.set("do", action);
    const answer = await fetch(form.action, { method: "POST", body: fields });
    return { page: parse(await answer.text()), answer };
  };

  // The editor: saves while somebody types, and adds and moves messages in place.
  const edit = (form) => {
    let timer, saving, dirty = false, leaving = false;
    const state = (words) => { document.getElementById("state").textContent = words; };
    const save = async () => {
      clearTimeout(timer);
      if (saving) await saving;
      if (!dirty || leaving) return;
      dirty = false;
      state("Saving …");
      saving = send(form, "save").then(({ page, answer }) => {
        if (answer.redirected && !page.querySelector("[data-editor]")) { location.href = answer.url; return; }
        const kept = answer.ok && !page.querySelector("#problem .note");
        refresh(page);
        state(kept ? "Saved" : "Not saved");
        if (!kept) dirty = true;
      }).catch(() => { dirty = true; state("Not saved: the node is away"); });
      await saving;
      saving = undefined;
    };
    form.addEventListener("input", (event) => {
      if (event.target.closest(".desk")) return;
      dirty = true;
      clearTimeout(timer);
      timer = setTimeout(save, 700);
    });
    form.addEventListener("submit", async (event) => {
      const button = event.submitter;
      const stays = button && /^(chat|text|example|add|up|down|remove|forget|save)(-|$)/.test(button.value);
      if (!stays && !saving) { leaving = true; return; }
      event.preventDefault();
      clearTimeout(timer);
      if (saving) await saving;
      if (!stays) { leaving = true; form.requestSubmit(button); return; }
      const { page, answer } = await send(form, button.value).catch(() => ({}));
      const fresh = page?.querySelector("main");
      if (!fresh?.querySelector("[data-editor]")) { leaving = true; form.submit(); return; }
      dirty = fresh.querySelector("#problem .note") !== null;
      const label = button.getAttribute("aria-label");
      document.querySelector("main").replaceWith(document.importNode(fresh, true));
      start();
      state(dirty ? "Not saved" : "Saved");
      const added = /^(add|example|chat|text)/.test(button.value);
      const texts = all("#editor textarea:not(.code):not(#message)");
      const same = all("button[name=do]").find((one) => (label ? one.getAttribute("aria-label") === label : one.value === button.value));
      (added ? texts.at(button.value === "example" ? -2 : -1) || same : same)?.focus();
    });
    addEventListener("beforeunload", (event) => { if (dirty && !leaving && form.isConnected) event.preventDefault(); });
  };

  // Forms that only choose what to look at: the page follows while somebody chooses.
  const follow = (form) => {
    let timer;
    form.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(async () => {
        const path = `${form.getAttribute("action")}?${new URLSearchParams(new FormData(form))}`;
        const answer = await fetch(path).catch(() => undefined);
        if (!answer) return;
        history.replaceState(null, "", path);
        refresh(parse(await answer.text()));
      }, 250);
    });
  };

  // Shares that always sum to 100 %: what one takes, the others give, in proportion.
  const balance = (root) => {
    for (const group of all("[data-shares]", root)) {
      const sliders = all("input[type=range]", group), numbers = all("input[type=number].share", group);
      if (sliders.length < 2) continue;
      for (const slider of sliders) slider.hidden = false;
      const show = () => sliders.forEach((slider, index) => { if (numbers[index]) numbers[index].value = String(Number(slider.value)); });
      const settle = (moved) => {
        const others = sliders.filter((slider) => slider !== moved);
        const left = 100 - Number(moved.value), sum = others.reduce((sum, slider) => sum + Number(slider.value), 0);
        let given = 0;
        others.forEach((slider, index) => {
          const last = index === others.length - 1;
          const share = last ? left - given : Math.round((sum > 0 ? Number(slider.value) / sum : 1 / others.length) * left * 100) / 100;
          slider.value = String(share);
          given += Number(slider.value);
        });
        show();
      };
      sliders.forEach((slider, index) => {
        slider.addEventListener("input", () => settle(slider));
        numbers[index]?.addEventListener("input", () => { slider.value = numbers[index].value; settle(slider); });
      });
    }
  };

  const start = () => {
    dress(document);
    for (const form of all("form[data-editor]")) edit(form);
    for (const form of all("form[data-follow]")) follow(form);
    schedule();
    listen();
  };
  start();
})();
