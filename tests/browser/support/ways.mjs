// The ways in which people act on a page. Each story is told once, over any of them.
//
// A way has: `goto(path)`, `link(name)`, `button(name)`, `unfold(name)`, `type(label, text)`, `choose(label, option)`,
// `tick(label)`, `pick(name)`, `inPlace(name)`, `save(name)` and `another()`. All
// of them find controls by role and name, as readers of screens do; `within` narrows that to a part of the page. `deeds`
// counts what was pressed.

import { focusIsVisible } from "./focus.mjs";
import { Visit } from "./chromium.mjs";

/** Most presses of Tab until a control must have been reached. */
const TABS_MAX = 400;

/** What all ways share: how a control is found, and waiting for the page that answers. */
class Way {
  constructor(visit, scripts = true) {
    this.visit = visit;
    this.page = visit.page;
    this.scripts = scripts;
    this.deeds = 0;
  }

  /** A control of this role and name, which there must be once. */
  control(role, name, within = this.page) {
    // What opens and closes a part of the page has no role of its own in ARIA.
    if (role === "summary") return within.locator("summary").filter({ hasText: name });
    return within.getByRole(role, { name, exact: true });
  }

  /** A field, by its label. */
  field(label, within = this.page) {
    // The text of a label around a list holds the list's options too; its name does not.
    const list = within.getByRole("combobox", { name: label, exact: true });
    return within.getByLabel(label, { exact: true }).or(list);
  }

  /** Does what leads to another page, and waits until that is there. */
  async arrive(deed) {
    const arrived = this.page.waitForEvent("load");
    await deed();
    await arrived;
  }

  async goto(path) {
    await this.visit.goto(path);
  }

  async link(name, within) {
    await this.arrive(() => this.press(this.control("link", name, within), "Enter"));
  }

  async button(name, within) {
    await this.arrive(() => this.press(this.control("button", name, within), "Enter"));
  }

  /** Presses a button of the editor that leads back to it: with a script nothing is loaded for that. */
  async inPlace(name, within) {
    if (!this.scripts) return this.button(name, within);
    const answered = this.page.waitForResponse((response) => response.request().method() === "POST");
    await this.press(this.control("button", name, within), "Enter");
    await answered;
    await this.page.locator("#state").filter({ hasText: /^(Saved|Not saved)/ }).waitFor();
  }

  /** The same way in another window. */
  async another() {
    return new this.constructor(await this.visit.another(), this.scripts);
  }

  async unfold(name, within) {
    await this.press(this.control("summary", name, within), "Space");
  }

  async tick(label, within) {
    await this.press(this.field(label, within), "Space");
  }

  /** Chooses one of several by its name. */
  async pick(name, within) {
    await this.press(this.control("radio", name, within), "Space");
  }

  /** Presses a button that answers with a file; where that is. */
  async save(name, within) {
    const file = this.page.waitForEvent("download");
    await this.press(this.control("button", name, within), "Enter");
    return (await file).path();
  }
}

/** With a pointer. */
class Pointer extends Way {
  async press(control) {
    this.deeds += 1;
    await control.click();
  }

  async type(label, text, within) {
    await this.field(label, within).fill(text);
  }

  async choose(label, option, within) {
    await this.field(label, within).selectOption({ label: option });
  }
}

/** With the keyboard alone: Tab, Enter, Space, arrows and letters. */
class Keyboard extends Way {
  async press(control, key) {
    this.deeds += 1;
    await this.reach(control);
    await this.page.keyboard.press(key);
  }

  async type(label, text, within) {
    await this.reach(this.field(label, within));
    await this.page.keyboard.press("ControlOrMeta+A");
    await this.page.keyboard.type(text);
  }

  async choose(label, option, within) {
    const field = this.field(label, within);
    await this.reach(field);
    await this.page.keyboard.press("Home");
    const chosen = () => field.evaluate((select) => select.selectedOptions[0].label);
    for (let last = ""; (await chosen()) !== option;) {
      if (last === (last = await chosen())) throw new Error(`the arrows never reach ${option}`);
      await this.page.keyboard.press("ArrowDown");
    }
  }

  /** Tab leads to what is chosen of several, arrows to the others. */
  async pick(name, within) {
    const wanted = this.control("radio", name, within);
    await this.reach(within.getByRole("radio", { checked: true }));
    for (let tries = 0; !(await wanted.isChecked()); tries += 1) {
      if (tries > TABS_MAX) throw new Error(`the arrows never reach ${name}`);
      await this.page.keyboard.press("ArrowDown");
    }
  }

  /** Presses Tab until a control has the focus, which must be visible; round and round, as a page may be replaced. */
  async reach(control) {
    const passed = [];
    let wanted = await control.elementHandle();
    const look = (element) => {
      const { activeElement } = document;
      const html = activeElement.outerHTML.replace(/\s+/g, " ").slice(0, 120);
      const at = activeElement === document.body ? "(the end)" : html;
      return { at, there: element === activeElement, gone: !element.isConnected };
    };
    while (passed.length < TABS_MAX) {
      const { at, there, gone } = await wanted.evaluate(look);
      if (there) return focusIsVisible(this.page);
      // What is looked for was replaced by its like.
      if (gone) wanted = await control.elementHandle();
      passed.push(at);
      await this.page.keyboard.press("Tab");
    }
    throw new Error(`Tab never reaches ${control}; it passed\n  ${[...new Set(passed)].join("\n  ")}`);
  }
}

/** Every way, with the options of the browser context that it needs. */
export const WAYS = [
  { name: "with a pointer", Way: Pointer, options: {} },
  { name: "without JavaScript", Way: Pointer, options: { javaScriptEnabled: false } },
  { name: "with the keyboard alone", Way: Keyboard, options: {} },
];

/** Opens a window at a node for somebody who acts in a way. */
export async function begin({ Way: Acts, options }, origin) {
  return new Acts(await Visit.open(origin, options), options.javaScriptEnabled !== false);
}
