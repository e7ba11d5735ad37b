"""The examples in docstrings say what the code does."""

import doctest
import importlib
import pkgutil

import pytest
import vars_eval

import vars_timm


def names(package) -> list[str]:
    found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    return [module.name for module in found if not module.name.endswith((".__main__", "vars_timm.run"))]


@pytest.mark.parametrize("package", [vars_timm, vars_eval], ids=lambda package: package.__name__)
def test_examples(package):
    results = {name: doctest.testmod(importlib.import_module(name)) for name in names(package)}
    assert not {name: result for name, result in results.items() if result.failed}
    if package is vars_eval:
        assert sum(result.attempted for result in results.values()) >= 5, "they were found"
