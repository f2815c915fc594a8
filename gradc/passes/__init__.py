"""Passes: functions from a graph to a graph, or to a side table about it."""
