"""`python -m hybrid` is the command `hybrid`."""

from hybrid.cli.main import main

main()
