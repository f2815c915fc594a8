"""Lowering: from fused groups of graph nodes to loop nests."""
