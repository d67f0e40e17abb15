"""Tests of the room paths."""
