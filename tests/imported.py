"""Imports a module, and prints the names of all that are loaded then: what MODULE loads.

python -m tests.imported MODULE
"""

import importlib
import sys

if __name__ == "__main__":
    importlib.import_module(sys.argv[1])
    print(*sys.modules)
