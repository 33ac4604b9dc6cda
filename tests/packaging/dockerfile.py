"""What the last stage of packaging/Dockerfile says: the tests start what an engine would start."""

import json
import re
import shlex
from dataclasses import dataclass, field

from support import PACKAGING


@dataclass
class Image:
    entrypoint: list = field(default_factory=list)
    command: list = field(default_factory=list)
    health: list = field(default_factory=list)
    environment: dict = field(default_factory=dict)
    user: str = ""
    volumes: list = field(default_factory=list)
    working_directory: str = "/"
    base: str = ""


def read():
    text = re.sub(r"\\\n\s*", "", (PACKAGING / "Dockerfile").read_text())
    image = Image()
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        match word:
            case "FROM":
                image = Image(base=rest)
            case "ENTRYPOINT":
                image.entrypoint = json.loads(rest)
            case "CMD":
                image.command = json.loads(rest)
            case "HEALTHCHECK":
                image.health = json.loads(rest[rest.index("CMD") + 3:])
            case "ENV":
                image.environment |= dict(pair.split("=", 1) for pair in shlex.split(rest))
            case "USER":
                image.user = rest
            case "VOLUME":
                image.volumes.append(rest)
            case "WORKDIR":
                image.working_directory = rest
    return image
