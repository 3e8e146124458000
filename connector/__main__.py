"""`python -m connector` is `cec-connector`."""

from connector.cli.main import main

main()
