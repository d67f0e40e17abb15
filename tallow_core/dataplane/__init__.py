"""Bulk bytes: buffers, sources, the pump that seals and opens, and where received files land."""
