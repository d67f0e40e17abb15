"""What a running command reports: one NamedTuple an event. Text of a peer is printable already."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple, Protocol, TypeAlias

from tallow_core.errors import NextStep


class CodeReady(NamedTuple):
    """The code is ready, and a receiver may use it."""

    code: str
    "the code phrase, as the receiver types it"
    listen: tuple[str, ...]
    "the addresses of `--listen`, or the one on this machine, each `SCHEME://HOST:PORT`"


class PeerProved(NamedTuple):
    """The other side proved that it knows the code."""

    path: str
    "`local`, `direct` or `relay`"


class PathChanged(NamedTuple):
    """From here on the data goes by a direct path beside the relay, or back through the relay."""

    path: str
    "`direct`, or as in `peer`"
    reason: str
    "`found` or `broken` (the direct path), or `slower` (than the relay)"


class SuiteAgreed(NamedTuple):
    """What the two sides agreed on: one driver of each kind."""

    kem: str
    "the key encapsulation mechanism"
    cipher: str
    "the cipher"
    hash: str
    "the hash"
    authenticator: str
    "what proved the code"
    compressor: str
    "what content may be packed by; `none` is never"


class SafetyShown(NamedTuple):
    """The policy of either side asks that two people compare the
    [safety number](../protocol/handshake.md#safety-number). Where `asked` is true, the *other*
    side's is then asked for on standard error and read from standard input: on the sender before
    `offer`, on the receiver after it. Plugins that observe events do not get `say`."""

    say: str
    "this side's number, to be read to the other side: three groups of five digits"
    asked: bool
    "whether the other side's number has to be typed in here"


class OfferMade(NamedTuple):
    """What is offered: on the sender when the list was sent, on the receiver when all of it was
    checked and before anybody is asked. With `--dry-run`, what would be."""

    files: int
    "how many files (a text or a stream is one)"
    links: int
    "how many symbolic and further hard links"
    bytes: int | None
    "the size of the files together; null if it is unknown (standard input)"


class EntryListed(NamedTuple):
    """One file, folder or link that `send --dry-run` would send."""

    path: str
    "its path, `/` between the parts"
    kind: str
    "`file`, `sparse` (with holes), `directory`, `symlink` or `hard-link` (of a file listed before)"
    bytes: int
    "the size of a file, else 0"
    target: str | None
    "where a symbolic link points"


class LeftOut(NamedTuple):
    """One that it would not send."""

    path: str
    "its path"
    reason: str
    "as in `done`"


class TransferResumed(NamedTuple):
    """The transfer goes on with one that was interrupted: what is counted here is at the receiver
    already. `progress` and `done` count it too; there is no `file` for it."""

    files: int
    "files that are complete"
    bytes: int
    "their bytes, and those of the verified parts of others"


class ConnectionLost(NamedTuple):
    """The connection was lost in the middle of a transfer that can go on. It is dialled again, by
    any path; if it comes back, `peer`, `suite`, `offer` and `resume` follow, else `error`."""

    reason: str
    "what was lost"
    seconds: float
    "for how long it is tried again: what is left of `[session] reconnect`"


class ProgressMade(NamedTuple):
    """At most five times a second while content moves, and once at its end."""

    bytes: int
    "bytes of files so far, the holes of sparse files included"
    total: int | None
    "of how many that the receiver takes; null if that is unknown"
    rate: int
    "bytes a second, averaged over the last three seconds"


class FileDone(NamedTuple):
    """One file is complete: on the sender it was read to its end, on the receiver it was verified
    and has its name. Links have no such event."""

    path: str
    "its path, `/` between the parts; on the receiver the one it got; empty for a text"
    bytes: int
    "its size"
    tree_hash: str
    "its [tree hash](../protocol/transfer.md#content), 64 hex digits, the same on both ends"


class TextReceived(NamedTuple):
    """The text of `send --text`; with `--stdout` into a file or pipe it is written there."""

    text: str
    "the message"


class RenamedFile(NamedTuple):
    """A file that was sent under another name."""

    path: str
    name: str


class TransferDone(NamedTuple):
    """Everything is verified and has its name, and the sender has the receipt.

    The reasons in `skipped` are `link` (a symbolic link that leads out of what is sent, or that the
    receiver's file system cannot hold), `special` (neither file nor folder), `excluded`
    (`--exclude`, `--git`), `unreadable`, `changed` (it was changed or removed while it was listed
    or sent), `name` (a name that may not be sent) and, on the receiver, `exists` (`--overwrite
    never`). `link`, `special` and `excluded` do not change the exit status of `send`; the others
    end it with 9. What the receiver did not choose is in neither list."""

    files: int
    "how many files arrived"
    links: int
    "how many links were made; on the sender, how many were offered"
    bytes: int
    "bytes of files, the holes of sparse files included"
    seconds: float
    "from the acceptance to the last verified byte (on the sender: to the receipt)"
    skipped: tuple[LeftOut, ...]
    "what was left out: `path` and `reason`"
    renamed: Annotated[tuple[RenamedFile, ...] | None, "sender only"] = None
    "what was sent under another name because its own is not UTF-8: `path` and `name`"


class RelayListening(NamedTuple):
    """The relay listens."""

    url: str
    "its URL, with the pin, as `--relay` takes it"
    rooms: str
    "the driver that keeps its rooms"


class PluginListed(NamedTuple):
    """One installed plugin. A module with hooks only has the kind `plugin`; under `check`, a
    primitive of the core has the kind `core`. `show` adds the class variables of an allowed
    driver's contract under their names (`labels`, `preference`, `key_size`, ...)."""

    kind: str
    "the kind"
    name: str
    "the name of the driver"
    distribution: str
    "the distribution that provides it"
    version: str
    "and its version"
    state: str
    "`allowed`, `blocked`, `duplicate`, `shadowed`, `library missing`, `needs tallow...`, `invalid`"
    checked: str
    "whether it passed the kit here: `yes`, `no`, `stale` (it has changed since) or `built in`"
    module: Annotated[str | None, "show only"] = None
    "the module that is imported for it"
    summary: Annotated[str | None, "show only"] = None
    "the first line of its documentation"
    reason: Annotated[str | None, "show only"] = None
    "why it is not allowed, or why `check --all` passes it over"
    class_name: Annotated[str | None, "show only"] = None
    "the class of an allowed driver"
    hooks: Annotated[tuple[str, ...] | None, "show only"] = None
    "the [hooks](hooks.md) that its distribution implements"
    options: Annotated[tuple[Mapping[str, Any], ...] | None, "show only"] = None
    "its [options](cli.md#options-of-drivers): `name`, `value` and `origin` of each"
    variables: Mapping[str, Any] = MappingProxyType({})


class ProjectWritten(NamedTuple):
    """The project of a plugin was written."""

    distribution: str
    "what it will be called where it is installed"
    module: str
    "the module with its driver"
    path: str
    "the folder it was written to"


class PolicyShown(NamedTuple):
    """What policy admits, in the effective order."""

    settings: Mapping[str, Any]
    "each key of `[policy]` but the rules: `value`, and `origin`, where it comes from"
    rules: tuple[Mapping[str, Any], ...]
    "each with `when`, what it `narrows`, and its `origin`"
    rule: int
    "the number of the rule that applies on the path of `--over`, 0 if none does"
    limits: Mapping[str, Any]
    "what the profile and the settings set to a session: `words`, `guesses`, `hidden` and so on"
    drivers: Mapping[str, Any]
    "kind: a list of `name`, `admitted`, `distribution`, `labels` and `reason`, best first"
    offer: Mapping[str, Any]
    "kind: the names that a peer is offered, best first; `policy explain --offer` reads it"


class ChoiceExplained(NamedTuple):
    """What two sides would use of one kind."""

    kind: str
    "the kind"
    chosen: str | None
    "the driver; null if the two sides share none"
    reason: str
    "its places in the two offers"
    others: Mapping[str, Any]
    "every other driver: why it is not chosen"


class SpeedMeasured(NamedTuple):
    """The speed of one operation of one driver: its fastest run."""

    kind: str
    "a kind of driver, or `password` for Argon2id"
    name: str
    "the name of the driver"
    operation: str
    "what was done: `seal`, `open`, `hash`, `sign`, `log in`, `pack` and so on"
    seconds: float
    "how long the operation takes"
    bytes: int | None
    "on how many bytes; null where the size says nothing of the effort"


class CheckEnded(NamedTuple):
    """One check of the plugin before it is over."""

    kind: str
    "the kind"
    name: str
    "the name of the driver"
    check: str
    "the name of the check; `can_be_loaded` if there was nothing to check"
    outcome: str
    "`passed` or `failed`"
    message: str
    "one sentence that says what the driver does wrong; empty if it passed"
    seconds: float
    "how long it took"


class ChecksEnded(NamedTuple):
    """Everything that was to be checked has been; a failure is followed by `error`."""

    drivers: int
    "how many drivers were checked"
    checks: int
    "how many checks were run"
    failed: int
    "how many of them failed"
    passed_over: int
    "how many drivers `--all` left out, each with its `reason`"


class DemoDone(NamedTuple):
    """One transfer of `tallow demo` went well: first directly, then through the relay."""

    path: str
    "as in `peer`"
    files: int
    "how many files arrived"
    bytes: int
    "bytes of content"
    seconds: float
    "as in `done`"
    suite: SuiteAgreed
    "the suite: `kem`, `cipher`, `hash`, `authenticator`, `compressor`"


class CommandFailed(NamedTuple):
    """What ended the command."""

    name: str
    "a stable name: [Exit status](cli.md#exit-status) lists them"
    message: str
    "one sentence that names the cause and the next step; its wording may change"
    exit: int
    "the exit status that follows"


Event: TypeAlias = (
    "CodeReady | PeerProved | PathChanged | SuiteAgreed | SafetyShown | OfferMade | EntryListed"
    " | LeftOut | TransferResumed | ConnectionLost | ProgressMade | FileDone | TextReceived"
    " | TransferDone | RelayListening | PluginListed | ProjectWritten | PolicyShown"
    " | ChoiceExplained | SpeedMeasured | CheckEnded | ChecksEnded | DemoDone | CommandFailed"
)


class Reporter(Protocol):
    """Where a command says what happens. `step` is what a person can do; a program words it."""

    def emit(self, event: Event) -> None:
        """One of the events above."""

    def warn(self, text: str, step: NextStep | None = None) -> None:
        """Something that a person should know and that does not end the command."""

    def note(self, text: str, level: int = 1, step: NextStep | None = None) -> None:
        """A detail for `-v` (1), `-vv` (2) or `-vvv` (3); 0 is said without asking."""
