"""What runs when, and where every array lies: order, offsets, memory, the steps of a function."""
