"""What does not keep the rules of the house yet. Each set only becomes smaller."""

from __future__ import annotations

IMPORTS: frozenset[str] = frozenset()
LONG: frozenset[str] = frozenset()
MODULES: frozenset[str] = frozenset()
CLASSES: frozenset[str] = frozenset()
VAGUE: frozenset[str] = frozenset(
    [
        "tallow_core.cli.args.cyclopts_parser",
        "tallow_core.cli.args.marks",
        "tallow_core.cli.commands.send_command",
        "tallow_core.cli.entry.main",
        "tallow_core.cli.prompts.offer_prompt",
        "tallow_core.cli.prompts.question",
        "tallow_core.cli.views.output",
        "tallow_core.cli.views.policy_table",
        "tallow_core.cli.views.reporters",
        "tallow_core.config.calibration",
        "tallow_core.config.schema",
        "tallow_core.errors",
        "tallow_core.testing.fakes",
        "tallow_core.testing.links",
        "tallow_core.text",
        "tallow_plugins.commands.demo",
    ]
)
LIMITS: frozenset[str] = frozenset(
    [
        "tallow_core.cli.args.plain_parser",
        "tallow_core.cli.commands.bench_command",
        "tallow_core.cli.prompts.question",
        "tallow_core.config.calibration",
        "tallow_plugins.commands.demo",
    ]
)
CYCLES: tuple[tuple[str, ...], ...] = ()
