"""Tests of the room leaves."""
