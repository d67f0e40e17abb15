"""Two machines with networks of their own and a relay between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.kit.lab import Lab, Place, Tallow, tree
from tests.kit.namespaces import Network

SENDER, RECEIVER = "10.9.0.1", "10.9.0.2"


SENDER6, RECEIVER6 = "fd09::1", "fd09::2"


@dataclass
class Stage:
    """The three hosts."""

    lab: Lab
    network: Network
    sender: str
    receiver: str
    url: str
    ann: Place
    bob: Place
    relay: str

    def direct(self, *families: int) -> None:
        """Give the third wire its addresses."""
        for family in families or (4,):
            for host, address in zip((self.sender, self.receiver), ADDRESSES[family], strict=True):
                self.network.address(host, "direct", f"{address}/{24 if family == 4 else 64}")

    def send(self, *words: str, **how: Any) -> Tallow:
        """Start the sender."""
        return self.lab.send(
            self.ann, *words, "--relay", self.url, program=self.network.program(self.sender), **how
        )

    def receive(self, sender: Tallow, *words: str, **how: Any) -> Tallow:
        """Start the receiver."""
        program = self.network.program(self.receiver)
        return self.lab.receive(
            self.bob,
            sender.code,
            "--relay",
            self.url,
            "--wait",
            "60",
            *words,
            program=program,
            **how,
        )


ADDRESSES = {4: (SENDER, RECEIVER), 6: (SENDER6, RECEIVER6)}


def done(stage: Stage, sender: Tallow, receiver: Tallow) -> None:
    """Both end well, and what arrived is what was sent."""
    receiver.ends(0)
    sender.ends(0)
    assert tree(stage.bob.inbox) == tree(stage.ann.work)


def paths(process: Tallow) -> list[str]:
    """The paths that a process has told of, in order."""
    return [event["path"] for event in process.events if event["event"] in ("peer", "path")]
