"""How a check states what it expects; independent of `assert`, which `python -O` removes."""

from __future__ import annotations

from collections.abc import Callable


class ConformanceError(Exception):
    """A driver breaks the contract of its kind; the message says how."""


def require(condition: bool, otherwise: str) -> None:
    """Raise `ConformanceError(otherwise)` unless `condition` holds."""
    if not condition:
        raise ConformanceError(otherwise)


def refuses(expected: type[Exception], action: Callable[[], object], what: str) -> None:
    """Raise `ConformanceError` unless `action()` raises `expected`; `what` completes "the driver
    accepted ..."."""
    try:
        action()
    except expected:
        return
    except Exception as error:
        raise ConformanceError(
            f"{what} raised {type(error).__name__} instead of {expected.__name__}: {error}"
        ) from error
    raise ConformanceError(f"the driver accepted {what}")
