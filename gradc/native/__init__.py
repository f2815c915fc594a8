"""Between Python and the C: what a call checks, converts, locks and gives back.

Enters: the interface of a program and its native module. Leaves: `State`, the memory of the struct,
and `NativeEntry`, a function in C with its arena, which `compile_call` makes a Python function of.
Always holds: C is only entered with arrays of the exact dtype and shape, and by one thread at a
time for each state.
"""
