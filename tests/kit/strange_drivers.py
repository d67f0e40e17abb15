"""Drivers that break their contract, for the conformance kit to find."""

from __future__ import annotations

from textwrap import dedent

from tests.kit.site import Site

STRANGE = '''
"""A cipher that somebody else made."""

from tallow_core.registry.hookspecs import hookimpl
from tallow_plugins.ciphers.chacha20_poly1305 import ChaCha20Poly1305


class Strange(ChaCha20Poly1305):
    name = "strange"


@hookimpl
def tallow_offer_cipher():
    return [Strange]
'''
"""Passes: the kit has no vectors for its name."""


LEAVES_PLAINTEXT = STRANGE + dedent(
    """
    def forgetful(self, nonce, aad, ciphertext, out):
        from tallow_core.errors import ForgedRecord
        try:
            return ChaCha20Poly1305.open_into(self, nonce, aad, ciphertext, out)
        except ForgedRecord:
            out[:1] = b"P"
            raise


    Strange.open_into = forgetful
    """
)


def add(
    site: Site, source: str, *, distribution: str = "tallow-strange", name: str = "strange"
) -> Site:
    site.add(
        distribution, "tallow.cipher", name, f"{distribution.replace('-', '_')}_module", source
    )
    return site
