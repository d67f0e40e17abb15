"""State machines of the protocol, without input and output: bytes go in, bytes and events come out.

Inside: codec, handshake, lanes, transfer, relay; each is a page of docs/protocol. Imports leaves,
`spi` and earlier rooms; never a clock, a socket, a process, the operating system or randomness.
"""
