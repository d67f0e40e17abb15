"""`tallow_core.app.compose` is the only place that makes contexts and policies."""

from __future__ import annotations

import ast

import pytest

from tests.kit.source_code import sources

COMPOSE = "tallow_core.app.compose"


@pytest.mark.parametrize("name", ["Context", "Policy"])
@pytest.mark.parametrize("package", ["tallow_core", "tallow_plugins", "tests"])
def test_only_compose_makes_them(package: str, name: str) -> None:
    makers = {
        module
        for module, source in sources(package).items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    }
    assert makers <= {COMPOSE}
