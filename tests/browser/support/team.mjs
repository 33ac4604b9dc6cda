// A registry with a team, each with an access token of their own; and what they do by the HTTP interface.

import { ADMIN, Node, segment } from "./node.mjs";

/** What the people are asked about. */
export const AGENT = "support/agent";

/** Ann and ben write, rob releases, cy is compliance, and there is the admin. */
const PEOPLE = { ann: "author", ben: "author", rob: "releaser", cy: "compliance" };

/** A node, and who may what. */
export class Team {
  /** Starts a primary and makes the people; with a policy for `production` of `support/**` where one is given. */
  static async start({ policy, people = PEOPLE, args = [], config } = {}) {
    const team = new Team();
    team.node = await Node.primary({ args, config });
    team.tokens = { admin: ADMIN };
    for (const [who, role] of Object.entries(people)) await team.join(who, { role });
    if (policy) await team.protect(policy);
    return team;
  }

  /** Sets the policy that protects `production` of `support/**`. */
  async protect(policy) {
    const kept = { name: "production", prompts: "support/**", labels: "production", ...policy };
    await this.node.send("PUT", "/v1/policies/production", kept);
  }

  /** Makes somebody with a role, and their access token. */
  async join(who, { role, kind = "person", prompts = "**" }) {
    const person = { name: who, kind, grants: [{ role, prompts }] };
    await this.node.send("POST", "/v1/principals", person);
    const made = await this.node.send("POST", "/v1/tokens", {
      name: `${who}-${kind === "person" ? "laptop" : "key"}`,
      principal: who,
    });
    this.tokens[who] = made.token;
  }

  /** Sends a request as somebody. */
  send(who, method, path, body, options = {}) {
    return this.node.send(method, path, body, { token: this.tokens[who], ...options });
  }

  /** Publishes a content, or a text; the number of its version. */
  async publish(who, name, content, message, more = {}) {
    const said = typeof content === "string" ? { syntax: "mustache", text: content } : content;
    const path = `/v1/prompts/${segment(name)}/versions`;
    const published = await this.send(who, "POST", path, { content: said, message, ...more });
    return published.version.number;
  }

  /** Lets a label serve something; `fails` names the status of a refusal that is meant. */
  deploy(who, name, label, serving, message, { fails, ...more } = {}) {
    const moves = [{ name, label, serving: typeof serving === "number" ? { version: serving } : serving }];
    return this.send(who, "POST", "/v1/deployments", { moves, message, ...more }, { fails });
  }

  /** Lets production serve a version the regular way: asked for by ann, approved by cy, deployed by rob. */
  async approveAndDeploy(name, version, message) {
    const id = await this.propose("ann", name, "production", version, message);
    await this.review("cy", id, "approve", "Read");
    await this.send("rob", "POST", `/v1/requests/${id}/application`, { message });
  }

  /** Asks for a version on a label; the number of the change request. */
  async propose(who, name, label, version, message, more = {}) {
    const moves = [{ name, label, serving: { version } }];
    return (await this.send(who, "POST", "/v1/requests", { moves, message, ...more })).id;
  }

  /** Approves, rejects or comments on a change request as it is now. */
  async review(who, id, kind, message) {
    const { request } = await this.send(who, "GET", `/v1/requests/${id}`);
    const fingerprints = request.moves.map((move) => move.fingerprint);
    await this.send(who, "POST", `/v1/requests/${id}/reviews`, { kind, message, fingerprints });
  }

  /** Brings a history: changes with their own times and authors, served by `production` from then on. */
  async import(changes, more = {}) {
    const imported = await this.node.send("POST", "/v1/import", { changes, ...more });
    if (imported.refused.length > 0) throw new Error(JSON.stringify(imported.refused));
  }

  /** What a label serves now. */
  async served(name, label = "production") {
    const found = await this.node.send("GET", `/v1/prompts/${segment(name)}/labels/${label}`);
    return found.serving.version ?? found.serving;
  }

  /** Ends the node. */
  stop() {
    return this.node.stop();
  }
}
