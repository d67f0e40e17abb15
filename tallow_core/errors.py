"""The whole error tree.

Every class has a `code`, the stable name that `--json` reports, and an `exit_status`, the process's
exit code; both are documented in docs/reference/cli.md. The message of an error is one sentence
that names the cause, safe to show: text that a peer chose passes `tallow_core.text.printable`
first. It names the next step too, or `step` does where that is said with the options of a program.

A bug is no `TallowError`: it reaches the top of the program, which ends with `EXIT_BUG`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, NamedTuple, Self, TypeAlias

EXIT_DONE = 0
EXIT_BUG = 70
EXIT_INTERRUPTED = 130


Step: TypeAlias = Literal[
    "choose another output",
    "choose another transport",
    "choose a proxy",
    "go on there",
    "leave out the direct path",
    "leave out the profile",
    "list the drivers",
    "make a longer code",
    "name a relay",
    "name a way to be reached",
    "name a way to the sender",
    "receive at the address",
    "receive by the relay",
    "receive by the same relay",
    "receive on this machine",
    "search elsewhere",
    "send anew",
    "use standard output",
    "use the encrypted URL",
    "write the pin",
]


class NextStep(NamedTuple):
    """What a person can do about an error, a warning or a note. A program says it in the words of
    its own options, with the `facts`: for `tallow` they are in
    `tallow_core.cli.views.sentences`."""

    step: Step
    facts: Mapping[str, object]


class TallowError(Exception):
    """Anything that Tallow can explain to the person who ran it."""

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = EXIT_BUG
    next_step: NextStep | None = None

    def then(self, step: Step, **facts: object) -> Self:
        """The error, with the next step."""
        self.next_step = NextStep(step, facts)
        return self


class UsageError(TallowError):
    """The command line asks for something that does not exist or cannot be combined."""

    code = "usage"
    exit_status = 2


class ConfigError(TallowError):
    """The config file or the environment holds something that Tallow cannot use."""

    code = "config"
    exit_status = 3


class PolicyError(ConfigError):
    """Policy, here or on the other side, leaves no driver, path or suite to use."""

    code = "policy"


class PluginError(TallowError):
    """A plugin is missing, broken, blocked or breaks its contract."""

    code = "plugin"
    exit_status = 10


class CryptoError(TallowError):
    """A cryptographic operation was refused."""

    code = "crypto"
    exit_status = 8


class ForgedRecord(CryptoError):
    """A sealed record does not verify: it was changed, replayed or reordered on its way."""

    code = "forged"


class BadSignature(CryptoError):
    """A signature does not verify: the message, the key or the signature is not what was signed."""

    code = "bad-signature"


class AuthenticationError(CryptoError):
    """The other end did not prove that it knows the code, or a pin does not match."""

    code = "authentication"
    exit_status = 4


class ProtocolError(TallowError):
    """The session protocol was broken."""

    code = "protocol"
    exit_status = 8


class LocalProtocolError(ProtocolError):
    """Our own code misused a machine: a bug here, never the peer's fault."""

    code = "local-protocol"
    exit_status = EXIT_BUG


class RemoteProtocolError(ProtocolError):
    """The peer sent what the protocol does not allow.

    `alert` is the number from the table of alerts (docs/protocol/codec.md) to send before the
    path is closed, or None for silence.
    """

    code = "remote-protocol"

    def __init__(self, message: str, alert: int | None = None) -> None:
        super().__init__(message)
        self.alert = alert


class TransportError(TallowError):
    """A connection failed."""

    code = "transport"
    exit_status = 7


class UnreachableError(TransportError):
    """The peer or the relay was not found, refused the connection, or did not answer in time."""

    code = "unreachable"
    exit_status = 5


class BrokenOffError(TransportError):
    """The connection ended in the middle of a transfer."""

    code = "broken-off"


class TransferError(TallowError):
    """The transfer itself could not be done."""

    code = "transfer"
    exit_status = 8


class RefusedError(TransferError):
    """The other side, or the person asked at the prompt, said no."""

    code = "refused"
    exit_status = 6


class IntegrityError(TransferError):
    """What arrived is not what was sent."""

    code = "integrity"


class FileSystemError(TransferError):
    """A local file or folder cannot be read or written."""

    code = "file-system"
    exit_status = 9
