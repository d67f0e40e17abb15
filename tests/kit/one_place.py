"""Whether what is tested comes from one place: the checkout, or an installed wheel."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from tests.kit.checkout import ROOT

HOW = (
    "run `pytest` instead of `python -m pytest` here, or install the checkout:"
    " pip install -e '.[dev]'"
)


def place_of(package: str) -> Path | None:
    """The folder that an importable package lies in."""
    spec = find_spec(package)
    return Path(spec.origin).resolve().parents[1] if spec and spec.origin else None


def mixed(core: Path | None, plugins: Path | None, root: Path = ROOT) -> str | None:
    """Why the two packages must not be tested together, or None. An installed wheel has both in one
    folder, the checkout the plugins in `plugins`."""
    if core is None or plugins is None:
        return f"Tallow is not installed for this Python: {HOW}"
    if core == plugins or (core == root and plugins == root / "plugins"):
        return None
    return f"tallow_core comes from {core}, but tallow_plugins from {plugins}: {HOW}"
