"""The conformance kit as pytest runs it: with no test file of one's own, from an empty folder,
without disturbing the tests of others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import requires
from pathlib import Path

import pytest

from tallow_core.registry.kinds import CIPHER, HASH
from tallow_core.registry.permissions import Permissions
from tallow_core.testing import subjects as selection
from tallow_core.testing import suite
from tallow_core.testing.expect import ConformanceError, require
from tallow_core.testing.subjects import everything, named, scratch
from tallow_core.testing.suite import CHECKS
from tests.kit.lab import PATIENCE, Place
from tests.kit.site import Site
from tests.kit.strange_drivers import LEAVES_PLAINTEXT, STRANGE, add

pytestmark = pytest.mark.processes

STRICT = ("-p", "no:cacheprovider", "-W", "error")
SUITE = ("--pyargs", "tallow_core.testing.suite")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "site")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, tmp_path / "run")


def run_pytest(place: Place, *words: str, site: Site | None = None) -> tuple[int, str]:
    """Run pytest in the empty working folder of `place`; its exit status and all that it
    printed."""
    environment = place.environment(site.environment if site else {})
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *STRICT, *words],
        cwd=place.work,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    return ran.returncode, ran.stdout


def test_every_check_is_an_item(place: Place) -> None:
    """With warnings as errors, in the order of the kit, under readable names."""
    status, said = run_pytest(
        place,
        *SUITE,
        "--tallow",
        "cipher:aes-256-gcm",
        "--tallow",
        "hash:blake3",
        "--collect-only",
        "-q",
    )
    expected = [f"cipher:aes-256-gcm::{check.__name__}" for check in CHECKS[CIPHER.name]]
    expected += [f"hash:blake3::{check.__name__}" for check in CHECKS[HASH.name]]
    assert [line for line in said.splitlines() if "::" in line] == expected
    assert status == 0


def test_they_run_on_many_processes(place: Place) -> None:
    status, said = run_pytest(
        place, *SUITE, "--tallow", "hash:blake3", "--tallow", "kem:x25519", "-n2", "-q"
    )
    assert f"{len(CHECKS['hash']) + len(CHECKS['kem'])} passed" in said
    assert status == 0
    assert not [path for path in place.state_home.rglob("*") if path.is_file()]


def test_one_check_can_be_named(place: Place) -> None:
    status, said = run_pytest(
        place,
        "--pyargs",
        "tallow_core.testing.suite::hash:blake3::every_bit_counts",
        "--tallow",
        "hash:blake3",
        "-v",
    )
    assert "hash:blake3::every_bit_counts PASSED" in said
    assert "1 passed" in said
    assert status == 0


def test_a_failure_is_a_sentence(place: Place, site: Site) -> None:
    """No page of traceback, unless it is asked for. Naming the driver allowed its distribution."""
    add(site, LEAVES_PLAINTEXT)
    words = (*SUITE, "--tallow", "cipher:strange", "-k", "every_flipped_bit_is_refused")
    status, said = run_pytest(place, *words, site=site)
    assert status == 1
    assert (
        "\nafter a record with a flipped bit, unverified plaintext is left in the output\n" in said
    )
    assert "cipher:strange::every_flipped_bit_is_refused" in said
    assert "checks/cipher_refusal_checks.py" not in said
    _, at_length = run_pytest(place, *words, "--tb=long", site=site)
    assert "checks/cipher_refusal_checks.py" in at_length


def test_what_cannot_be_loaded_fails_once(place: Place, site: Site) -> None:
    add(site, "import nothing_of_that_name")
    status, said = run_pytest(
        place,
        *SUITE,
        "--tallow",
        "cipher:strange",
        "--tallow",
        "cipher:aes-256-gmc",
        "-q",
        site=site,
    )
    assert status == 1
    assert "2 failed" in said
    assert "ModuleNotFoundError: No module named 'nothing_of_that_name'" in said
    assert 'did you mean "aes-256-gcm"?' in said
    assert "Traceback" not in said


def test_all_passes_over_what_is_not_allowed(place: Place, site: Site) -> None:
    add(site, STRANGE)
    status, said = run_pytest(place, *SUITE, "--tallow", "all", "-k", "cipher", "-rs", site=site)
    assert status == 0
    assert "cipher:strange: the distribution tallow-strange 1.5 is not allowed" in said.replace(
        "\n", " "
    )
    assert " skipped" in said


def test_all_checks_what_the_config_allows(place: Place, site: Site) -> None:
    add(site, STRANGE)
    place.configure('[plugins]\nallow = ["tallow-strange"]\n')
    status, said = run_pytest(place, *SUITE, "--tallow", "all", "-k", "strange", site=site)
    assert f"{len(CHECKS['cipher'])} passed" in said
    assert status == 0


def test_a_config_that_cannot_be_read_is_told(place: Place) -> None:
    place.configure("[plugins\n")
    status, said = run_pytest(place, *SUITE, "--tallow", "all", "-q")
    assert status == 1
    assert "is no TOML" in said


def test_nothing_to_check(place: Place) -> None:
    status, said = run_pytest(place, *SUITE)
    assert status == 2
    assert "say what to check: --tallow KIND:NAME, or --tallow all" in said


def test_other_projects_are_left_alone(place: Place) -> None:
    """pytest loads the plugin everywhere: it imports next to nothing, and another suite.py is an
    ordinary test file."""
    (place.work / "suite.py").write_text(
        "import sys\n\n"
        "def test_imports():\n"
        "    found = {name for name in sys.modules if name.partition('.')[0] in ('tallow_core',"
        " 'tallow_plugins')}\n"
        "    parts = ('', '.testing', '.testing.expect', '.testing.pytest_plugin')\n"
        "    assert found == {f'tallow_core{part}' for part in parts}\n"
    )
    status, said = run_pytest(place, "suite.py", "-v")
    assert "suite.py::test_imports PASSED" in said
    assert status == 0


def test_pytest_is_no_dependency() -> None:
    """The kit without pytest: its functions, and the command."""
    needed = [line for line in requires("tallow") or () if "extra ==" not in line]
    assert len(needed) > 10
    assert not [line for line in needed if line.startswith("pytest")]
    code = (
        "import sys; sys.modules['pytest'] = None; import tallow_core.testing.subjects,"
        " tallow_core.cli.views.check_report"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)


def held() -> None:
    """Holds."""


def broken() -> None:
    """Does not hold."""
    require(False, "not so")


def test_primitives_of_the_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """core:NAME is checked by its own functions, alone and with all others."""
    primitives: dict[str, tuple[Callable[[], None], ...]] = {"hkdf": (held, broken)}
    for module in (selection, suite):
        monkeypatch.setattr(module, "CORE", primitives)
    with scratch() as settings:
        subject = named("core:hkdf", Permissions())
        assert (str(subject), subject.state) == ("core:hkdf", "allowed")
        assert str(everything(Permissions())[-1]) == "core:hkdf"
        first, second = subject.checks(settings)
        first.run()
        with pytest.raises(ConformanceError, match="not so"):
            second.run()
