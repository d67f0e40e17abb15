"""Tallow from a program: what is public, and stays (docs/how-to/use-from-python.md).

Beside this module, `tallow_core.events` (what `on_event` gets) and `tallow_core.errors` (what is
raised) are public.
"""

from tallow_core.app.callbacks import AskNumber, OnEvent, OnNote, OnText
from tallow_core.app.incoming_offer import Accept, Answer, Decide, IncomingOffer, Refuse
from tallow_core.app.receive_call import receive
from tallow_core.app.send_call import send
from tallow_core.app.user_settings import user_settings
from tallow_core.config.schema import Settings
from tallow_core.protocol.transfer.manifest_entry import Entry, EntryKind
from tallow_core.protocol.transfer.selection import Selection

__all__ = [
    "Accept",
    "Answer",
    "AskNumber",
    "Decide",
    "Entry",
    "EntryKind",
    "IncomingOffer",
    "OnEvent",
    "OnNote",
    "OnText",
    "Refuse",
    "Selection",
    "Settings",
    "receive",
    "send",
    "user_settings",
]
