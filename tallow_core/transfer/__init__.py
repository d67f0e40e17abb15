"""Sending and receiving, side by side: payloads and sinks, offers, resumption, reconnection.

Imports leaves and rooms up to `rendezvous`.
"""
