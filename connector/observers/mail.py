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


def send(settings: Mail, password: Secret | None, told: Notice) -> None:
    """One attempt. Raises UnreachableError where another may help, and other kinds of IncompleteRead where not."""
    try:
        _send(settings, password, _message(settings, told))
    except ssl.SSLCertVerificationError as fault:
        raise UntrustedError(
            f"the certificate is not trusted: {fault.verify_message}",
            where=settings.server,
        ) from None
    except smtplib.SMTPNotSupportedError:
        why = "the server offers no STARTTLS, or no way to log in"
        raise UntrustedError(why, where=settings.server) from None
    except smtplib.SMTPResponseException as fault:
        kind = IncompleteRead if fault.smtp_code >= 500 else UnreachableError
        raise kind(
            f"the server answered with {fault.smtp_code}", where=settings.server
        ) from None
    except smtplib.SMTPRecipientsRefused:
        raise IncompleteRead(
            "the server accepts mail for none of the addresses", where=settings.server
        ) from None
    except (OSError, smtplib.SMTPException) as fault:
        why = getattr(fault, "strerror", None) or type(fault).__name__
        raise UnreachableError(
            f"no mail could be sent: {why}", where=settings.server
        ) from None


class _Server(smtplib.SMTP):
    """A connection that can be cut. `tls`: what it speaks TLS by from the start, if it does."""

    def __init__(
        self, limit: TimeLimit, host: str, port: int, tls: ssl.SSLContext | None
    ) -> None:
        self._limit = limit
        self._tls = tls
        self._name = host
        super().__init__(host, port, timeout=SECONDS)

    def _get_socket(
        self, host: str, port: int, timeout: float
    ) -> socket.socket:  # the library's name
        connected = socket.create_connection((host, port), timeout)
        self._limit.watch(connected)
        return (
            self._tls.wrap_socket(connected, server_hostname=self._name)
            if self._tls
            else connected
        )


def _send(settings: Mail, password: Secret | None, message: EmailMessage) -> None:
    parts = urlsplit(settings.server)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    context = tls.context(settings.ca_file)
    limit = TimeLimit(IN_ALL)
    try:
        with (
            limit,
            _Server(
                limit, host, port, context if parts.scheme == "smtps" else None
            ) as server,
        ):
            if parts.scheme == "smtp" and not settings.allow_plaintext:
                server.starttls(context=context)
            if settings.user is not None and password is not None:
                _log_in(server, settings, settings.user, password)
            server.send_message(message)
    except (OSError, smtplib.SMTPException, DeniedError):
        if limit.has_passed:
            why = f"the server did not take the mail within {IN_ALL:g} s"
            raise IncompleteRead(why, where=settings.server) from None
        raise
    finally:
        limit.close()


def _log_in(server: smtplib.SMTP, settings: Mail, user: str, password: Secret) -> None:
    try:
        server.login(user, text_of(password))
    except smtplib.SMTPServerDisconnected:  # some hang up on whoever they refuse
        raise DeniedError(
            "the server closed the connection at the log-in", where=settings.server
        ) from None
    except smtplib.SMTPAuthenticationError:  # its text may repeat what was sent
        raise DeniedError(
            "the server refused the log-in", where=settings.server
        ) from None


def _message(settings: Mail, told: Notice) -> EmailMessage:
    message = EmailMessage()
    message["From"] = settings.sender
    message["To"] = ", ".join(settings.to)
    message["Subject"] = told.subject
    message["Date"] = formatdate()
    message["Message-ID"] = f"<{told.id}@{settings.sender.rpartition('@')[2]}>"
    # RFC 3834: nobody's absence answers it
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(told.text + "\n")
    return message
