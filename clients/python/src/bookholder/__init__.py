"""Versioned prompts from the Bookholder replica beside your application.

>>> from bookholder import Bookholder
>>> bh = Bookholder.fake({"support/agent": "You help the customers of {{shop}}."})  # Bookholder() finds the replica
>>> bh.prompt("support/agent").text(shop="Globe")
'You help the customers of Globe.'
"""

from typing import TYPE_CHECKING, Any

from ._template import Remark, Variable
from .client import Bookholder
from .errors import (
    BookholderError,
    InvalidReference,
    InvalidVariables,
    PromptNotFound,
    PromptUnavailable,
    RenderFailed,
    WrongMessage,
    WrongType,
)
from .prompt import AsyncPrompt, Message, Prompt, Source

if TYPE_CHECKING:
    from .aio import AsyncBookholder

__all__ = [
    "AsyncBookholder",
    "AsyncPrompt",
    "Bookholder",
    "BookholderError",
    "InvalidReference",
    "InvalidVariables",
    "Message",
    "Prompt",
    "PromptNotFound",
    "PromptUnavailable",
    "Remark",
    "RenderFailed",
    "Source",
    "Variable",
    "WrongMessage",
    "WrongType",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # asyncio takes longer to import than everything else here.
    if name == "AsyncBookholder":
        from .aio import AsyncBookholder

        return AsyncBookholder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
