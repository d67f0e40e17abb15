"""A folder of packages where third-party distributions are put."""

from __future__ import annotations

from pathlib import Path


class Site:
    """A folder of distributions that were never built, on the path of the processes that get
    `environment`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"PYTHONPATH": str(folder)}

    def add(self, name: str, group: str, point: str, module: str, source: str) -> None:
        """One distribution with one entry point."""
        info = self.folder / f"{name.replace('-', '_')}-1.5.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{point} = {module}\n")
        (self.folder / f"{module}.py").write_text(source.lstrip())

    @property
    def imported(self) -> bool:
        """Whether some process imported the plugin."""
        return (self.folder / "imported").exists()
