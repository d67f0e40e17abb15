"""Tests of the room relay."""
