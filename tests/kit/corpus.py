"""Hostile names and trees, grouped by what they try. T-02 asks for at least 200 of them; tests over
the wire use them too."""

from __future__ import annotations

from dataclasses import dataclass

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """What a hostile sender announces: a path, and whether it calls it a folder."""

    path: Path
    directory: bool = False


def _each(*names: str) -> list[Path]:
    return [(name,) for name in names]


_DEVICES = ["CON", "PRN", "AUX", "NUL", "CLOCK$", "CONIN$", "CONOUT$"]
_PORTS = [f"{kind}{number}" for kind in ("COM", "LPT") for number in "0123456789\xb9\xb2\xb3"]
_BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"

PATHS: dict[str, list[Path]] = {
    "nothing": [(), ("",), ("a", ""), ("", "a"), ("a", "", "b")],
    "above": [
        *_each(".", "..", "...", "....", ".. ", ". ", " .."),
        *_each("..\u200b", "\u200d..", ".\ufeff.", "..\ufe0f", ".\u034f."),
        ("a", ".."),
        ("a", "..", "..", "etc"),
        ("..", "..", "etc", "passwd"),
        (".", "a"),
        ("a", ".", "b"),
    ],
    "joined": _each(
        "a/b",
        "/",
        "/etc/passwd",
        "../a",
        "../../a",
        "a/../../b",
        "a/",
        "//server/share",
        "./a",
        "~/../a",
        "a/..",
        "foo/bar\x00",
    ),
    "backslash": _each(
        "a\\b",
        "\\",
        "..\\a",
        "..\\..\\a",
        "C:\\a",
        "\\\\server\\share",
        "\\\\?\\C:\\a",
        "\\\\.\\PhysicalDrive0",
        "a\\..\\b",
        "\\a",
    ),
    "drive": _each(
        "C:", "c:", "C:a", "C:/a", "Z:\\a", "C:..", "\uff23\uff1a", "\uff23\uff1aa", "c\uff1a"
    ),
    "stream": _each(
        "a:b",
        "a.txt:hidden",
        "a::$DATA",
        "a.txt::$INDEX_ALLOCATION",
        ":a",
        "a:",
        "file:///etc/passwd",
        "http://a",
    ),
    "control": _each(
        *(f"a{chr(point)}b" for point in [*range(0x20), *range(0x7F, 0xA0)]),
        "\x00",
        "a\x00.txt",
        "a\n",
        "\ra",
        "\x1b]52;c;YQ==\x07",
    ),
    "lines": _each("a\u2028b", "a\u2029b"),
    "device": _each(
        *_DEVICES,
        *_PORTS,
        *(name.lower() + ".txt" for name in _DEVICES),
        "nul.tar.gz",
        "CON .txt",
        "con   .txt",
        "Com1.log",
    ),
    "device look-alike": _each(
        "\uff23\uff2f\uff2e",
        "\uff4e\uff55\uff4c.txt",
        "CO\u200bN",
        "COM\u2460",
        "\u24d0ux",
        "LPT\uff11",
    ),
    "tail": _each(
        "a.",
        "a ",
        "a..",
        "a. ",
        "a .",
        "a.txt.",
        "a.txt ",
        "a\u3000",
        "a\u00a0",
        "a\u2024",
        "a\uff0e",
        "a.\u200b",
        "a \u200d",
    ),
    "blank": _each(
        " ",
        "   ",
        "\u00a0",
        "\u3000",
        "\u200b",
        "\u200d\u200c",
        "\ufeff",
        "\u2003 \u2003",
        "\u3164",
        "\u115f",
    ),
    "bidi": _each(*(f"a{char}b.txt" for char in _BIDI), "invoice\u202efdp.exe"),
    "slash look-alike": _each(
        *(f"..{char}a" for char in "\u2215\u2044\u29f8\u29f9\uff0f\uff3c\u2216\u29f5\ufe68"),
        "a\u2215b",
        "a\uff0fb",
        "\u2100",
        "\u2105",
    ),
    "dot look-alike": _each(
        "\uff0e",
        "\uff0e\uff0e",
        "\u2024",
        "\u2024\u2024",
        "\u2025",
        "\u2026",
        ".\uff0e",
        "\ufe52\ufe52",
        ".\u2024",
        "\u2025\u2025",
    ),
    "encoded": _each(
        *(
            "%2e%2e",
            "%2E%2E%2Fa",
            "%2f",
            "%2F",
            "..%2fa",
            "%5c",
            "a%5Cb",
            "%00",
            "a%00.txt",
            "%3a",
            "C%3A",
            "%252e%252e",
            "%25252f",
        ),
        *(
            "..%c0%af",
            "%c0%ae%c0%ae",
            "..%c1%9ca",
            "%u002e%u002e",
            "%u2215",
            "\uff05\uff12e",
            "%2\u200be",
        ),
    ),
    "overlong": [
        *_each("a" * 256, "a" * 100_000, "\u00e9" * 128, "\u65e5" * 86, "\U0001f600" * 64),
        ("a",) * 65,
        ("a",) * 100_000,
        ("a" * 250,) * 17,
        ("\u65e5" * 80,) * 18,
    ],
    "no character": _each(
        "\ud800",
        "a\udcff",
        "\udc80.txt",
        "\ud83d\ude00",
        "a\ufffe",
        "a\uffff",
        "\ufdd0",
        "\ufdef",
        "a\U0001ffff",
        "\U0010fffe",
    ),
    "staging": [
        *_each(
            ".tallow-0123456789abcdef",
            ".tallow-",
            ".TALLOW-a",
            ".Tallow-a",
            "\uff0etallow-a",
            ".tal\u200blow-a",
        ),
        ("a", ".tallow-b"),
    ],
}
"""Paths that no sender may announce, whatever else is in the tree."""


def _files(*names: str) -> list[Entry]:
    return [Entry((name,)) for name in names]


TREES: dict[str, list[list[Entry]]] = {
    "collision": [
        _files("a", "a"),
        _files("A", "a"),
        _files("a", "A"),
        _files("README", "readme"),
        _files("stra\u00dfe", "strasse"),
        _files("\u00e9", "e\u0301"),
        _files("e\u0301", "\u00e9"),
        _files("\u00c9", "e\u0301"),
        _files("\u212b", "\u00e5"),
        _files("\u212a", "k"),
        _files("\u03c3", "\u03c2"),
        _files("\ufb01x", "fix"),
        _files("\u1e9e", "ss"),
        _files("a\u200db", "ab"),
        _files("\u2764\ufe0f", "\u2764"),
        _files("\u0130", "i\u0307"),
        [Entry(("d",), True), Entry(("d", "x")), Entry(("d", "X"))],
        [Entry(("d",), True), Entry(("D",), True)],
        [Entry(("d",), True), Entry(("d",), True)],
    ],
    "file versus folder": [
        [Entry(("a",)), Entry(("a", "b"))],
        [Entry(("a",)), Entry(("a",), True)],
        [Entry(("a",), True), Entry(("a",))],
        [Entry(("a",), True), Entry(("A",))],
        [Entry(("a",), True), Entry(("a", "b")), Entry(("a", "b", "c"))],
        [Entry(("a",)), Entry(("A", "b"))],
    ],
    "unannounced folder": [
        [Entry(("a", "b"))],
        [Entry(("a", "b"), True)],
        [Entry(("foo",), True), Entry(("foobar", "x"))],
        [Entry(("foobar",), True), Entry(("foo", "x"))],
        [Entry(("foo",), True), Entry(("foo", "a")), Entry(("fo", "o"))],
        [Entry(("a",), True), Entry(("A", "b"))],
        [Entry(("\u00e9",), True), Entry(("e\u0301", "b"))],
        [Entry(("a",), True), Entry(("a", "b", "c"))],
        [Entry(("a",), True), Entry(("b",), True), Entry(("a", "c"))],
        [Entry(("a",), True), Entry(("a", "b"), True), Entry(("a", "c")), Entry(("a", "b", "d"))],
    ],
    "order": [
        _files("b", "a"),
        _files("a", "c", "b"),
        [Entry(("d",), True), Entry(("d", "b")), Entry(("d", "a"))],
        [Entry(("b",), True), Entry(("b", "x")), Entry(("a",))],
        [Entry(("a",), True), Entry(("a", "b")), Entry(("c",)), Entry(("b",))],
    ],
}
"""Trees of which each path is acceptable, the last entry beside the others is not."""

ORDINARY = [
    "a",
    "foo",
    "foobar",
    "Makefile",
    ".bashrc",
    "a.tar.gz",
    "-rf",
    "~",
    "$HOME",
    "a b",
    " a",
    "a  b.txt",
    "CONSOLE",
    "COM",
    "COM10",
    "LPT",
    "nul1",
    "auxiliary.txt",
    "icon.png",
    "..a",
    "a..b",
    "...a",
    "100%",
    "50%used.txt",
    "a%20b",
    "%41",
    "what?.txt",
    "a*b",
    '"quoted"',
    "<a>",
    "a|b",
    "caf\u00e9",
    "ole\u0301",
    "\u65e5\u672c\u8a9e.txt",
    "\u7b2c\u4e00\u7ae0\uff1a\u5f00\u59cb.txt",
    "\ud55c\uae00",
    "\u1112\u1161\u11ab",
    "\u0645\u0631\u062d\u0628\u0627.pdf",
    "\u05e9\u05dc\u05d5\u05dd\u200f",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467.png",
    "\u2764\ufe0f",
    "\U0001f3f4\U000e0067\U000e0062\U000e007f",
    "\u0928\u092e\u0938\u094d\u0924\u0947",
    "\u00bd cup.txt",
    "wait\u2026",
    "to be continued\u2026.txt",
    "x\u00b2",
    "\u2460",
    "\u00bfqu\u00e9?",
    "a" * 255,
    "\u65e5" * 85,
    "\ue000",
    ".tallow",
    "tallow-a",
    "\u212bngstr\u00f6m",
]
"""Names that must go through."""
