"""Emission: loop nests and plans printed as C."""
