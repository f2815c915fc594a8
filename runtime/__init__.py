"""The C headers that generated code includes; a package so that importlib.resources finds them."""
