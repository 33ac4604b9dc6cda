"""The prompts that an application ships: the folder that ``bookholder pull --inline`` wrote.

The lock file says which version each file has. Files are read when they are first needed, and again when the lock file
changes.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, NamedTuple

from ._answers import Resolved
from ._reference import described, matcher, means, parts

if TYPE_CHECKING:
    from ._lockfile import Lockfile

LOCKFILE_NAME = "bookholder.lock"
DEFAULT = os.path.join("prompts", LOCKFILE_NAME)


class _Folder(NamedTuple):
    path: str
    signature: tuple[int, int]
    lockfile: Lockfile
    known: dict[str, Resolved]


class Baked:
    """A folder of prompts, or none."""

    def __init__(self, path: str | None, *, optional: bool) -> None:
        path = path or DEFAULT
        self._path = os.path.join(path, LOCKFILE_NAME) if os.path.isdir(path) else path
        self._optional = optional
        self._lock = threading.Lock()
        self._folder: _Folder | None = None

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    def find(self, reference: str) -> Resolved | str | None:
        """The version that a reference means; otherwise why there is none, or ``None`` without a folder."""
        try:
            with self._lock:
                return self._find(reference)
        except FileNotFoundError:
            return None if self._optional else f"{self._path}: no such file; write it with `bookholder pull --inline`"
        except (OSError, ValueError) as error:
            return f"{self._path}: {error}"

    def matching(self, label: str, pattern: str) -> list[Resolved] | str | None:
        """All versions of a label whose names match; otherwise as :meth:`find`."""
        try:
            with self._lock:
                lockfile = self._read().lockfile
                if lockfile.label != label:
                    return f"{self._path} is of {lockfile.label or 'no label'}"
                wanted = matcher(pattern)
                found = [self._find(f"{name}@{label}") for name in sorted(lockfile.prompts) if wanted.fullmatch(name)]
                wrong = next((one for one in found if isinstance(one, str)), None)
                return wrong or [one for one in found if isinstance(one, Resolved)]
        except FileNotFoundError:
            return None if self._optional else f"{self._path}: no such file; write it with `bookholder pull --inline`"
        except (OSError, ValueError) as error:
            return f"{self._path}: {error}"

    def _find(self, reference: str) -> Resolved | str:
        folder = self._read()
        name, _ = parts(reference)
        locked = folder.lockfile.prompts.get(name)
        if locked is None:
            return f"{self._path} does not have `{name}`"
        label = folder.lockfile.label
        if not means(reference, name, locked.version, locked.content_id, label):
            return f"{self._path} has `{name}@{locked.version}`, of {label or 'no label'}"
        resolved = folder.known.get(name)
        if resolved is None:
            from ._prompt_file import parse  # Needed only when nothing else answers.

            path = os.path.join(os.path.dirname(self._path), *locked.file.split("/"))
            try:
                with open(path, encoding="utf-8", newline="") as file:
                    content = parse(file.read())
            except ValueError as error:
                return f"{path}: {error}"
            resolved = Resolved(described(name, locked.version, locked.content_id, label, content))
            folder.known[name] = resolved
        return resolved

    def _read(self) -> _Folder:
        found = os.stat(self._path)
        signature = (found.st_mtime_ns, found.st_size)
        if self._folder is None or self._folder.signature != signature:
            from ._lockfile import parse

            with open(self._path, encoding="utf-8") as file:
                self._folder = _Folder(self._path, signature, parse(file.read()), {})
        return self._folder
