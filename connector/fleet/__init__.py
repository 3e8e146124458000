"""Jobs on Temporal, a durable engine. Nothing outside of this package imports its SDK, which is the extra `fleet`.

Raises UsageError where that is not installed.
"""

from importlib import import_module

from connector.errors import UsageError

try:
    import_module("temporalio")
except ModuleNotFoundError:
    how = "a fleet needs Temporal's SDK. Install the extra with `pip install 'cec-connector[fleet]'`"
    raise UsageError(how) from None
