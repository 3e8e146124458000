"""Whether the container is well: `serve` is asked, and a single run is well as long as it runs.

`serve` answers at the address that its own command line names, or at its usual one.
"""

import sys
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

USUAL = "127.0.0.1:9467"


def main() -> int:
    """0: well; 1: not."""
    command = Path("/proc/1/cmdline").read_bytes().decode(errors="replace").split("\0")
    if "serve" not in command:
        return 0
    address = USUAL
    for word, following in zip(command, [*command[1:], ""], strict=True):
        if word == "--listen":
            address = following
        elif word.startswith("--listen="):
            address = word.removeprefix("--listen=")
    host, _, port = address.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104  # what listens everywhere, here
    try:
        with build_opener(ProxyHandler({})).open(
            f"http://{host}:{port}/healthz", timeout=4
        ) as answer:
            return 0 if answer.status == 200 else 1
    except OSError as fault:
        print(fault, file=sys.stderr)  # noqa: T201  # the engine keeps what a health check prints
        return 1


if __name__ == "__main__":
    sys.exit(main())
