"""``python -m eocube``: the command line."""

from .cli import main

main(prog_name="eocube")
