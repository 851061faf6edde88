"""``python -m mscflow``: the command line."""

from mscflow.cli import main

main()
