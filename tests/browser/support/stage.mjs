// Stories: what people come for, told once and acted in three ways, each with a team of its own.

import { test } from "node:test";

import { Team } from "./team.mjs";
import { WAYS, begin } from "./ways.mjs";

/** Who acts in a story, each before a browser of their own. */
class Stage {
  #ways = [];

  constructor(way, team) {
    this.way = way;
    this.team = team;
  }

  /** Somebody who has signed in. */
  async person(who) {
    const way = await this.stranger(this.team.node.origin);
    // How somebody signs in is a story of its own.
    await way.visit.signIn(this.team.tokens[who]);
    return way;
  }

  /** Somebody of whom nothing is known. */
  async stranger(origin) {
    const way = await begin(this.way, origin);
    this.#ways.push(way);
    return way;
  }

  async check() {
    for (const way of this.#ways) await way.visit.check();
  }

  async close() {
    await Promise.all(this.#ways.map((way) => way.visit.close()));
  }
}

/** Tells a story in each way, with a team of its own; `setting` is what `Team.start` takes, or makes it. */
export function story(name, setting, tell) {
  for (const way of WAYS) {
    test(`${name}, ${way.name}`, async () => {
      const team = await (typeof setting === "function" ? setting() : Team.start({ policy: setting }));
      const stage = new Stage(way, team);
      try {
        await tell(stage, team);
        await stage.check();
      } finally {
        await stage.close();
        await team.stop();
      }
    });
  }
}

/** Waits for a text on the page of somebody. */
export const sees = (way, text) => way.page.getByText(text).first().waitFor();
/** How many controls of a kind are there. */
export const count = (way, selector) => way.page.locator(selector).count();
