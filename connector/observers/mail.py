"""A notice as an e-mail (RFC 5322), over SMTP with STARTTLS (RFC 3207) or with TLS from the start (RFC 8314)."""

from __future__ import annotations

import smtplib
import socket
import ssl
from email.message import EmailMessage
from email.utils import formatdate
from typing import Final
from urllib.parse import urlsplit

from connector.errors import (
    DeniedError,
    IncompleteRead,
    UnreachableError,
    UntrustedError,
)
from connector.model import Secret, text_of
from connector.net import tls
from connector.net.time_limit import TimeLimit
from connector.observers.notices import Notice
from connector.settings.operations import Mail

SECONDS: Final = 10.0
IN_ALL: Final = 30.0
"""Seconds that one wait for the server, and that a whole attempt may take."""
_PORTS: Final = {"smtp": 587, "smtps": 465}


def send_mail(settings: Mail, password: Secret | None, notice: Notice) -> None:
    """One attempt. Raises UnreachableError where another may help, and other kinds of IncompleteRead where not."""
    limit = TimeLimit(IN_ALL)
    try:
        with limit:
            _send_message(settings, password, _make_message(settings, notice), limit)
    except (OSError, smtplib.SMTPException) as fault:
        error = _translate_fault(fault)
        if limit.has_passed:
            why = f"the server did not take the mail within {IN_ALL:g} s"
            error = IncompleteRead(why)
        error.where = settings.server
        raise error from None
    finally:
        limit.close()


def _translate_fault(fault: Exception) -> IncompleteRead:
    """A fault of the connection as an error of this program. Texts of the server may repeat what was sent."""
    match fault:
        case ssl.SSLCertVerificationError():
            return tls.describe_distrust(fault, "the certificate")
        case smtplib.SMTPNotSupportedError():
            return UntrustedError("the server offers no STARTTLS, or no way to log in")
        case smtplib.SMTPAuthenticationError():
            return DeniedError(
                "the server refused the log-in, or hung up at the log-in"
            )
        case smtplib.SMTPResponseException():
            why = f"the server answered with {fault.smtp_code}"
            is_final = fault.smtp_code >= 500
            return IncompleteRead(why) if is_final else UnreachableError(why)
        case smtplib.SMTPRecipientsRefused():
            return IncompleteRead("the server accepts mail for none of the addresses")
    why = getattr(fault, "strerror", None) or type(fault).__name__
    return UnreachableError(f"no mail could be sent: {why}")


class _MailServer(smtplib.SMTP):
    """A connection that can be cut. `tls_context`: what it speaks TLS by from the start, if it does."""

    def __init__(
        self,
        limit: TimeLimit,
        host: str,
        port: int,
        tls_context: ssl.SSLContext | None,
    ) -> None:
        self._limit = limit
        self._tls_context = tls_context
        super().__init__(host, port, timeout=SECONDS)

    def _get_socket(  # the library's name
        self, host: str, port: int, timeout: float
    ) -> socket.socket:
        connected = socket.create_connection((host, port), timeout)
        self._limit.watch_connection(connected)
        if self._tls_context is None:
            return connected
        return self._tls_context.wrap_socket(connected, server_hostname=host)


def _send_message(
    settings: Mail, password: Secret | None, message: EmailMessage, limit: TimeLimit
) -> None:
    parts = urlsplit(settings.server)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    context = tls.open_tls_context(settings.ca_file)
    at_once = context if parts.scheme == "smtps" else None
    with _MailServer(limit, host, port, at_once) as server:
        if at_once is None and not settings.allow_plaintext:
            server.starttls(context=context)
        if settings.user is not None and password is not None:
            try:
                server.login(settings.user, text_of(password))
            except smtplib.SMTPServerDisconnected:
                # some hang up on whoever they refuse
                raise smtplib.SMTPAuthenticationError(0, "") from None
        server.send_message(message)


def _make_message(settings: Mail, notice: Notice) -> EmailMessage:
    message = EmailMessage()
    message["From"] = settings.sender
    message["To"] = ", ".join(settings.to)
    message["Subject"] = notice.subject
    message["Date"] = formatdate()
    message["Message-ID"] = f"<{notice.id}@{settings.sender.rpartition('@')[2]}>"
    # RFC 3834: nobody's absence answers it
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(notice.text + "\n")
    return message
