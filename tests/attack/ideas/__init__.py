"""One file an idea. Each has `attack(g)`: one statement, or a list of statements that run in one
session, made of the parts of a Grammar. The file's name is the category of the report."""

import importlib
import os
import pkgutil

HERE = os.path.dirname(os.path.abspath(__file__))
BY_HAND = os.path.join(os.path.dirname(HERE), "by_hand")


def ideas():
    """{category: module}, in order of their names."""
    names = sorted(module.name for module in pkgutil.iter_modules([HERE]))
    return {name: importlib.import_module(f"ideas.{name}") for name in names}


def by_hand():
    """[(category, script)] of the handwritten statements: by_hand/CATEGORY.sql has one script a line,
    its statements between ` ;; `."""
    found = []
    for name in sorted(os.listdir(BY_HAND)):
        with open(os.path.join(BY_HAND, name), encoding="utf-8") as lines:
            for line in lines:
                line = line.strip()
                if line and not line.startswith("--"):
                    found.append((name.removesuffix(".sql"), line.split(" ;; ")))
    return found
