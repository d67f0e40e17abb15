"""Offer, selection, content and resumption (docs/protocol/transfer.md)."""
