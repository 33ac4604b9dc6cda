// Comfort for the pages, which do everything without it: keys, copying, menus that close, and pages that keep themselves
// up to date. What changes on a page is what the server says of it: a part that is marked `data-live` is replaced by
// the part of the same id in the page as it is now.
(() => {
  "use strict";
  // Where the pages are: below a path, where a proxy puts them there.
  const home = document.currentScript.src;
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
    const field = line && document.getElementById(line.dataset.of);
    if (!field) return;
    event.preventDefault();
    jump(field, Number(line.dataset.line));
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
    balance(root);
  };

  const fields = (part) => all("input:not([type=hidden]), select, textarea", part);
  const touched = (field) => {
    if (/^(checkbox|radio)$/.test(field.type)) return field.checked !== field.defaultChecked;
    if (field.tagName !== "SELECT") return field.value !== field.defaultValue;
    const begun = [...field.options].find((option) => option.defaultSelected) ?? field.options[0];
    return field.value !== begun?.value;
  };
  const types = (part) => part.contains(document.activeElement) && typing(document.activeElement);
  // Whether somebody is at work in a part: they type there, or typed, ticked or chose something, mark words, or press.
  let pressed = false;
  const busy = (part) => {
    const marked = getSelection();
    return pressed || types(part) || fields(part).some(touched) || (!marked.isCollapsed && marked.containsNode(part, true));
  };
  // What stands in a part of another page for an element of this one.
  const twin = (element, part, other) => {
    const name = (one) => one.id || [one.getAttribute("href"), one.getAttribute("name"), (one.querySelector("summary") ?? one).textContent].join();
    const alike = (root) => all(element.localName, root).filter((one) => name(one) === name(element));
    return alike(other)[alike(part).indexOf(element)];
  };
  // What was decided on is what was seen: a part whose matter is another now stays, and says so.
  const hold = (part) => {
    part.dataset.held = "";
    if (!part.querySelector("button")) return;
    const note = document.createElement("p");
    note.className = "note warn";
    note.setAttribute("role", "alert");
    note.append("This changed since you opened the page. ");
    const again = document.createElement("a");
    again.href = location.href;
    again.textContent = "Refresh";
    note.append(again, " before you decide.");
    part.prepend(note);
  };

  // Brings the live parts up to date with a page as it is now. A part that somebody is at work in stays as it is, but for
  // the live parts in it that they are not at work in. What somebody chose (`chosen`) is shown in any case.
  let late = false;
  const refresh = (page, inUse = busy, chosen = false) => {
    late = false;
    for (const old of all("[data-live]")) {
      const fresh = page.getElementById(old.id);
      if (!fresh || !old.isConnected || (!chosen && old.closest("[data-held]"))) continue;
      if (!chosen && old.dataset.seen && fresh.dataset.seen && old.dataset.seen !== fresh.dataset.seen) {
        hold(old);
        continue;
      }
      if (inUse(old)) {
        late = true;
        continue;
      }
      for (const details of all("details", old)) {
        const same = twin(details, old, fresh);
        if (same) same.open = details.open;
      }
      const focused = old.contains(document.activeElement) ? document.activeElement : undefined;
      const typed = chosen ? fields(old).filter((field) => field.id && touched(field) && !/^(checkbox|radio)$/.test(field.type)) : [];
      const put = document.adoptNode(fresh);
      dress(put);
      if (old.outerHTML === put.outerHTML && typed.length === 0) continue;
      const focus = focused && (focused === old ? put : twin(focused, old, put));
      for (const field of typed) {
        const same = put.querySelector(`#${CSS.escape(field.id)}`);
        if (same) same.value = field.value;
      }
      old.replaceWith(put);
      focus?.focus({ preventScroll: true });
    }
    if (page.body.dataset.from) document.body.dataset.from = page.body.dataset.from;
    schedule();
  };
  // Answers may overtake each other; only the last one that was asked for counts.
  let asked = 0;
  const ask = async (path, init) => {
    const mine = asked += 1;
    const answer = await fetch(path, init).catch(() => undefined);
    const page = answer?.ok && !answer.redirected ? parse(await answer.text()) : undefined;
    return { page, answered: answer !== undefined, last: mine === asked };
  };
  const look = async () => {
    if (document.querySelector("form[data-waits]")) return;
    const { page, last } = await ask(location.href, { headers: { "Bookholder-Live": "yes" } });
    if (page && last) refresh(page);
    else if (last) schedule();
  };

  // Parts that say when to look again by themselves.
  let again;
  const schedule = () => {
    clearTimeout(again);
    const waits = all("[data-again]").map((part) => Number(part.dataset.again));
    if (waits.length > 0) again = setTimeout(() => (document.hidden ? schedule() : look()), Math.min(...waits));
  };

  // Commits of the registry since this page was made; a page that nobody sees does not listen.
  let stream;
  const deaf = () => { stream?.close(); stream = undefined; };
  const listen = () => {
    const { from } = document.body.dataset;
    const wanted = from && !document.hidden && document.querySelector("[data-live]") && !document.querySelector("[data-editor]");
    if (!wanted) deaf();
    else if (!stream) {
      stream = new EventSource(new URL(`live?from=${from}`, home));
      stream.onmessage = look;
      stream.onerror = () => {
        if (stream?.readyState !== EventSource.CLOSED) return;
        deaf();
        setTimeout(listen, 30000);
      };
    }
  };
  document.addEventListener("visibilitychange", listen);
  // Whoever leaves a part that was left as it is finds it up to date.
  const catchUp = () => setTimeout(() => { if (late && stream && !pressed) look(); });
  document.addEventListener("focusout", catchUp);
  for (const kind of ["pointerdown", "pointerup", "pointercancel"]) {
    addEventListener(kind, () => { pressed = kind === "pointerdown"; catchUp(); }, true);
  }
  addEventListener("pagehide", deaf);
  addEventListener("pageshow", (event) => { if (event.persisted) listen(); });

  // Sends a form as its button would, and returns the page that comes back.
  const send = async (form, action, again = false) => {
    const fields = new URLSearchParams(new FormData(form));
    fields.set("do", action);
    const answer = await fetch(form.action, { method: "POST", body: fields });
    const page = parse(await answer.text());
    if (answer.status !== 403 || again) return page;
    // Somebody who signed in anew, in another window, is known by another word.
    const fresh = parse(await (await fetch(form.action)).text()).querySelector("form[data-editor] input[name=form]");
    if (!fresh) return page;
    for (const field of all("input[name=form]")) field.value = fresh.value;
    return send(form, action, true);
  };

  // The editor: saves while somebody types, and adds and moves messages in place.
  const edit = (form) => {
    let timer, saving, dirty = false, leaving = false;
    const state = (words) => { document.getElementById("state").textContent = words; };
    const unsaved = (why) => { dirty = true; state(`Not saved${why}`); };
    const away = ": the server is unreachable. Your text is still here.";
    const out = ": you are signed out. Sign in in another window, then try again.";
    const save = async () => {
      clearTimeout(timer);
      while (saving) await saving;
      if (!dirty || leaving) return;
      dirty = false;
      state("Saving …");
      saving = send(form, "save").catch(() => undefined).then((page) => {
        if (!page?.querySelector("[data-editor]")) { unsaved(page ? out : away); return; }
        const failed = page.querySelector("#problem .note") !== null;
        // What was typed since is not in that page; it is saved in a moment.
        refresh(page, (part) => types(part) || (dirty && fields(part).length > 0));
        if (failed) unsaved("");
        else if (!dirty) state("Saved");
      });
      await saving;
      saving = undefined;
    };
    // Where somebody goes on after a button: with the message that they added or moved.
    const goOn = (action, label) => {
      const count = all("ol.messages > li").length;
      const [, verb, at] = /^([a-z]+)-?(.*)$/.exec(action);
      const message = (number) => document.getElementById(`m${Math.max(0, Math.min(number, count - 1))}`);
      const usable = (selector, part) => part?.querySelector(`:is(${selector}):not([disabled])`);
      const button = (verb, number) => usable(`button[value="${verb}-${number}"]`, document);
      const said = (part) => usable("textarea:not(.code)", part) ?? usable("input[name$='.name']", part);
      const number = Number(at);
      if (verb === "up") return button("up", number - 1) ?? button("down", number - 1);
      if (verb === "down") return button("down", number + 1) ?? button("up", number + 1);
      if (verb === "remove") return count > 0 ? said(message(number)) : button("add", "system");
      if (verb === "add") return said(message(count - 1));
      if (verb === "example") return said(message(count - 2));
      if (verb === "chat") return said(message(0));
      if (verb === "text") return document.getElementById("text");
      if (verb === "forget") return usable("input:not([type=hidden]), textarea", document.getElementById("variables")) ?? said(document);
      return all("button[name=do]").find((one) => (label ? one.getAttribute("aria-label") === label : one.value === action));
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
      while (saving) await saving;
      if (!stays) { leaving = true; form.requestSubmit(button); return; }
      if (button.value === "save") { dirty = true; await save(); return; }
      // Nothing is typed into a form that is about to be another.
      form.inert = true;
      const page = await send(form, button.value).catch(() => undefined);
      const fresh = page?.querySelector("main");
      if (!fresh?.querySelector("[data-editor]")) {
        form.inert = false;
        unsaved(page ? out : away);
        button.focus();
        return;
      }
      // What is to be said about the version is no part of the draft.
      for (const old of fields(document.getElementById("publish"))) {
        const { value, checked } = old;
        const kept = fresh.querySelector(`#${old.id}`);
        if (kept) Object.assign(kept, { value, checked });
      }
      const failed = fresh.querySelector("#problem .note") !== null;
      dirty = failed;
      const more = document.getElementById("more").open;
      document.querySelector("main").replaceWith(document.adoptNode(fresh));
      if (more) document.getElementById("more").open = true;
      start();
      state(failed ? "Not saved" : "Saved");
      goOn(button.value, button.getAttribute("aria-label"))?.focus();
    });
    addEventListener("beforeunload", (event) => { if (dirty && !leaving && form.isConnected) event.preventDefault(); });
  };

  // Forms that only choose what to look at: the page follows while somebody chooses. Until it shows what they chose, nothing
  // can be decided.
  const follow = (form) => {
    let timer;
    const show = async () => {
      const path = `${form.getAttribute("action")}?${new URLSearchParams(new FormData(form))}`;
      const { page, answered, last } = await ask(path);
      if (!last) return;
      if (!answered) { timer = setTimeout(show, 2000); return; }
      if (!page) { location.assign(path); return; }
      delete form.dataset.waits;
      history.replaceState(null, "", path);
      refresh(page, () => false, true);
    };
    form.addEventListener("input", () => {
      asked += 1;
      form.dataset.waits = "";
      for (const button of all("#buttons button")) button.disabled = true;
      clearTimeout(timer);
      timer = setTimeout(show, 250);
    });
  };

  // Shares that always sum to 100%: what one takes, the others give, in proportion.
  const balance = (root) => {
    for (const group of all("[data-shares]", root)) {
      const sliders = all("input[type=range]", group), numbers = all("input[type=number].share", group);
      if (sliders.length < 2) continue;
      for (const slider of sliders) slider.hidden = false;
      // What somebody types stays as they type it.
      const show = () => sliders.forEach((slider, index) => {
        const number = numbers[index];
        if (number && number !== document.activeElement) number.value = String(Number(slider.value));
      });
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
        numbers[index]?.addEventListener("input", () => {
          if (numbers[index].value === "" || !numbers[index].checkValidity()) return;
          slider.value = numbers[index].value;
          settle(slider);
        });
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
