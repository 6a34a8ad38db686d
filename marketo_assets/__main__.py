"""`python -m marketo_assets` is the command line."""

from marketo_assets.cli import main

main()
