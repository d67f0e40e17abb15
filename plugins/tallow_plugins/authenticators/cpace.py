"""CPace, a balanced PAKE: CPACE-X25519-SHA512 of draft-irtf-cfrg-cpace, in its initiator-responder
setting.

The guest is the initiator (A of the draft), whose share travels first; the host is the responder
(B). PRS is the password, CI the channel, sid the session id; the associated data are the roles'
names.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from cpace import CPace as Run
from cpace import CPaceError, CPaceRole

from tallow_core.errors import AuthenticationError, CryptoError
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.authenticator import Authenticator, CodeAuthenticator
from tallow_core.types import ReadBuffer, Role

_ROLES = {Role.GUEST: CPaceRole.INITIATOR, Role.HOST: CPaceRole.RESPONDER}
_ASSOCIATED = {Role.GUEST: b"guest", Role.HOST: b"host"}
_FIELD = 2**255 - 19


class Cpace(CodeAuthenticator):
    """One run of CPace. `finish` returns the draft's ISK, 64 bytes.

    The draft's own confirmation tags are not used: they would cover neither the offers nor the KEM.
    The library maps the password to the curve in time that is not constant. Only an attacker that
    measures this very process could use that.
    """

    name: ClassVar[str] = "cpace"
    preference: ClassVar[int] = 10
    share_size: ClassVar[int] = 32

    def __init__(self, role: Role, password: ReadBuffer, session_id: bytes, channel: bytes) -> None:
        own, self._peer_data = _ASSOCIATED[role], _ASSOCIATED[role.peer]
        try:
            run = Run.start(
                role=_ROLES[role], prs=bytes(password), sid=session_id, ci=channel, ad=own
            )
        except CPaceError as error:
            raise CryptoError("CPace cannot begin with this code; take another one") from error
        self._run: Run | None = run
        self._share = run.public_share

    @property
    def share(self) -> bytes:
        """See `CodeAuthenticator.share`."""
        return self._share

    def finish(self, peer_share: ReadBuffer) -> bytearray:
        """See `CodeAuthenticator.finish`. A second call is a `CryptoError`."""
        run, self._run = self._run, None
        if run is None:
            raise CryptoError("this run of CPace is over; begin a fresh one")
        theirs = bytes(peer_share)
        if _coordinate(theirs) == _coordinate(self._share):
            raise AuthenticationError(
                "the other side sent our own key share back; someone may be in between: try again"
                " with a new code"
            )
        try:
            run.derive(theirs, self._peer_data)
        except CPaceError as error:
            raise AuthenticationError(
                "the other side sent a key share that no honest program sends; someone may be in"
                " between: try again with a new code"
            ) from error
        return bytearray(run.isk)


def _coordinate(share: bytes) -> int:
    # X25519 ignores the top bit of a share and reduces the rest modulo the field's prime (RFC
    # 7748 section 5). So one point has several encodings. The reduced number finds our own share
    # in all of them.
    return (int.from_bytes(share, "little") & (2**255 - 1)) % _FIELD


@hookimpl
def tallow_offer_authenticator() -> Iterable[type[Authenticator]]:
    """Offer CPace."""
    return [Cpace]
