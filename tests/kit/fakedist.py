"""Fake distributions in a temporary folder at the front of `sys.path`.

The folder always holds a fake `tallow`, which stands in front of an installed one: what the
catalogue finds is what the test wrote.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import pytest
from stevedore import ExtensionManager

Points = Mapping[str, Mapping[str, str]]
"""Kind -> name -> module."""


class Site:
    """One folder of fake distributions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def add(
        self,
        name: str,
        points: Points,
        modules: Mapping[str, str] | None = None,
        *,
        version: str = "1.0",
        requires: tuple[str, ...] = (),
    ) -> Path:
        """Write a distribution; `modules` maps module names to sources, `requires` are its
        dependencies. Returns its metadata folder."""
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        dependencies = "".join(f"Requires-Dist: {line}\n" for line in requires)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{dependencies}"
        )
        lines = [
            line
            for kind, names in points.items()
            for line in (f"[tallow.{kind}]", *(f"{key} = {names[key]}" for key in names))
        ]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        for module, source in (modules or {}).items():
            self.write(module, source)
        importlib.invalidate_caches()
        return info

    def write(self, module: str, source: str) -> Path:
        """Write a module, with packages around it as its name needs."""
        *parents, last = module.split(".")
        folder = self.folder
        for parent in parents:
            folder = folder / parent
            folder.mkdir(exist_ok=True)
            (folder / "__init__.py").touch()
        file = folder / f"{last}.py"
        file.write_text(source)
        importlib.invalidate_caches()
        return file


@contextmanager
def fake_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site on `sys.path`; afterwards nothing of it is left in this process."""
    site = Site(tmp_path / "site")
    monkeypatch.syspath_prepend(str(site.folder))
    monkeypatch.setattr(ExtensionManager, "ENTRY_POINT_CACHE", {})
    try:
        yield site
    finally:
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
                del sys.modules[name]


def driver(
    kind: str,
    *names: str,
    labels: tuple[str, ...] = ("post-quantum",),
    preference: int = 50,
    extra: str = "",
) -> str:
    """The source of a module that offers a driver of `kind` for each name. Its methods are None: no
    test here calls one."""
    return dedent(
        f'''
        """The {names[0]} {kind}."""
        from tallow_core.registry.hookspecs import hookimpl
        from tallow_core.registry.kinds import kind_named
        from tallow_core.spi.authenticator import CodeAuthenticator

        CONTRACT = kind_named("{kind}").contract
        if "{kind}" == "authenticator":
            CONTRACT = CodeAuthenticator
        SIZES = dict.fromkeys(
            ("public_size", "ciphertext_size", "shared_size", "seed_size", "digest_size",
             "share_size", "secret_size", "signature_size", "key_size", "nonce_size", "tag_size",
             "max_records", "max_bytes"), 32)
        FACTS = SIZES | {{"kdf": "sha256", "labels": frozenset({labels!r})}}
        FACTS |= {{"preference": {preference}, "encrypted": False}}
        FACTS |= {{"implicit_rejection": True, "deterministic": True}}
        FACTS |= {{"touches": frozenset(), "reveals": "Nothing.", "scope": "host"}}
        FACTS |= {{"carries": frozenset(), "remote_names": False}}
        METHODS = dict.fromkeys(CONTRACT.__abstractmethods__)
        FACTS |= METHODS
        DRIVERS = [type("Fake", (CONTRACT,), FACTS | {{"name": name}}) for name in {names!r}]

        @hookimpl
        def tallow_offer_{kind}():
            return DRIVERS
        '''
    ).lstrip() + dedent(extra)


LOGIN = """
from tallow_core.spi.authenticator import Authenticator, LoginAuthenticator
SIZES = dict.fromkeys(("setup_size", "record_size", "session_key_size", "export_key_size"), 32)
SIZES |= dict.fromkeys(("registration_sizes", "login_sizes"), (32, 32, 32))
SIZES |= dict.fromkeys(LoginAuthenticator.__abstractmethods__)
DRIVERS[:] = [type("Fake", (LoginAuthenticator,), SIZES | {"name": "extra"})]
"""
"""As `extra` of an authenticator: offers one for logins, named `extra`, instead."""
