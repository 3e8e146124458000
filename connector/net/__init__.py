"""What sources, directories and observers share of the network: HTTP, TLS, secret stores, retries, counters."""

import sys

sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # httpx does without; it loads rich and pygments
