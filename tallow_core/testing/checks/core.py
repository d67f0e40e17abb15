"""Primitives that the core uses without a driver: name -> the checks of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

CHECKS: Mapping[str, tuple[Callable[[], None], ...]] = {}
