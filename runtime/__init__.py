"""The C headers that generated code includes, as a package so that importlib.resources finds them."""
