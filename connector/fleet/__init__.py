"""Jobs on Temporal, a durable engine. Nothing outside of this package imports its SDK, which is the extra `fleet`.

Raises UsageError where that is not installed.
"""

from connector.errors import UsageError

try:
    import temporalio  # noqa: F401  # whether it is there is all that matters
except ModuleNotFoundError:
    how = "a fleet needs Temporal's SDK. Install the extra with `pip install 'cec-connector[fleet]'`"
    raise UsageError(how) from None
