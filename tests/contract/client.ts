// What an application does, with a client made of the document: every line is typed by it.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { paths } from "./api.js";

const api = createClient<paths>({ baseUrl: process.env.PRIMARY!, headers: { authorization: `Bearer ${process.env.TOKEN}` } });
const name = "contract/typescript";

const published = await api.POST("/v1/prompts/{name}/versions", {
  params: { path: { name } },
  body: {
    content: {
      syntax: "mustache",
      messages: [{ role: "user", content: "Hello {{customer}}." }],
      model: { name: "m", parameters: { temperature: 0.2 } },
    },
    message: "First text",
    labels: ["production"],
  },
});
assert.equal(published.error, undefined);
assert.equal(published.data?.version.number, 1);

const listed = await api.GET("/v1/prompts", { params: { query: { limit: 1000 } } });
assert.ok(listed.data?.items.some((prompt) => prompt.name === name && prompt.latest === 1));
const versions = await api.GET("/v1/prompts/{name}/versions", { params: { path: { name } } });
assert.equal(versions.data?.items[0]?.message, "First text");
const roles = await api.GET("/v1/roles");
assert.ok(roles.data?.some((role) => role.permissions.includes("publish")));
const resolved = await api.GET("/v1/resolve/{reference}", {
  params: { path: { reference: `${name}@production` }, query: { subject: "u1", attr: ["locale=de-DE", "plan=pro"] } },
});
assert.equal(resolved.data?.content.messages?.[0]?.role, "user");
const rendered = await api.POST("/v1/render/{reference}", {
  params: { path: { reference: name } },
  body: { variables: { customer: "Ada" } },
});
assert.equal(rendered.data?.messages?.[0]?.role, "user");
assert.equal(rendered.data?.messages?.[0]?.content, "Hello Ada.");
const absent = await api.GET("/v1/prompts/{name}", { params: { path: { name: "contract/nothing" } } });
assert.equal(absent.error?.code, "prompt_not_found");
