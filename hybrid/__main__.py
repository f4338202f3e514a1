"""`python -m hybrid` is the command `hybrid`."""

from hybrid.cli.start import start

start()
