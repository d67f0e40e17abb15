"""The functions behind the commands."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def function_of(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)
