"""What sources, directories and observers share of the network: HTTP, TLS, secret stores, retries, counters."""

import sys

# httpx imports its own command line where click and rich are installed, and goes on without it on an ImportError.
# None makes that import fail (Python Language Reference, 5.3.1). It would load rich and pygments, which no run needs.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # typeshed knows modules alone
