"""Offer, selection, content, resumption (docs/protocol/transfer.md).

Imports leaves, `spi`, and the other folders of the protocol.
"""
