"""From the text of a program to a module that Python can call.

Enters: generated C, its header and the declarations of both for cffi. Leaves: a loaded native
module, and files on disk. Always holds: nothing here knows of graphs; `compilers` finds a C
compiler and its flags, `cache` keeps what was built, `build` joins the two, `diagnosis` explains
a compiler's refusal, `package` writes sources for use without Python.
"""
