"""Tests of the plugin framework, against distributions that they write themselves."""
