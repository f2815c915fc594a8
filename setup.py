"""Packages: everything under gradc/, and runtime/ as the package `gradc.runtime`.

The C headers live beside the package, where they are compiled and tested on their own. Mapping
their folder here makes `importlib.resources.files("gradc.runtime")` find them in a wheel and in an
editable install alike. All other metadata is in pyproject.toml.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["gradc", "gradc.*"]), "gradc.runtime"],
    package_dir={"gradc": "gradc", "gradc.runtime": "runtime"},
    package_data={"gradc": ["py.typed"], "gradc.runtime": ["*.h"]},
)
