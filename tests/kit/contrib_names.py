"""The distributions of contrib/ that are tested beside an installed Tallow."""

from __future__ import annotations

CIPHER = "tallow-cipher-xchacha20-poly1305"
TRANSPORT = "tallow-transport-unix"
WEB_SOCKET = "tallow-transport-ws"
