"""What an application does, with a client made of the document."""

import os

from client import AuthenticatedClient
from client.api.access import list_roles
from client.api.audit import list_audit_entries
from client.api.prompts import get_prompt, list_prompts, list_versions, publish_version
from client.api.resolve import render, resolve
from client.models import Content, Problem, PublishRequest, RenderRequest

client = AuthenticatedClient(base_url=os.environ["PRIMARY"], token=os.environ["TOKEN"])
name = "contract/python"

content = Content.from_dict({"syntax": "mustache", "text": "Hello {{customer}}."})
published = publish_version.sync(
    name, client=client, body=PublishRequest(content=content, message="First text", labels=["production"])
)
assert published.version.number == 1, published
assert any(prompt.name == name for prompt in list_prompts.sync(client=client, limit=1000).items)
assert list_versions.sync(name, client=client).items[0].message == "First text"
assert any("publish" in role.permissions for role in list_roles.sync(client=client))
assert list_audit_entries.sync(client=client).items[0].seq >= 1
resolved = resolve.sync(f"{name}@production", client=client, subject="u1", attr=["locale=de-DE", "plan=pro"])
assert resolved.content.text == "Hello {{customer}}.", resolved
rendered = render.sync(name, client=client, body=RenderRequest.from_dict({"variables": {"customer": "Ada"}}))
assert rendered.text == "Hello Ada.", rendered
absent = get_prompt.sync("contract/nothing", client=client)
assert isinstance(absent, Problem) and absent.code == "prompt_not_found", absent
