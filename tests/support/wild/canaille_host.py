"""Canaille's SCIM server over users in memory, in a process of its own: `canaille_host.py USERS.json TOKEN WEAK`.

It runs under the Python of `.tools/wild`. Its first line is the port on loopback that it listens on. The first token is
a client's own, as OAuth 2.0 client credentials would give it; the other speaks for the first user, who has no rights.
Each user is a mapping of Canaille's own attributes.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import uuid
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend


class Quiet(WSGIRequestHandler):
    """Requests are not logged."""

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Say nothing."""


def _token(client: Any, token: str, subject: Any) -> Any:
    return models.Token(
        token_id=token,
        access_token=token,
        client=client,
        subject=subject,
        type="access_token",
        lifetime=86400,
        issue_date=dt.datetime.now(dt.UTC),
        audience=[client],
    )


def main() -> None:
    listening = WSGIServer(("127.0.0.1", 0), Quiet)
    app = create_app(
        config={
            "TESTING": True,
            "SECRET_KEY": str(uuid.uuid4()),
            "SERVER_NAME": f"127.0.0.1:{listening.server_port}",
            "PREFERRED_URL_SCHEME": "http",
            "CANAILLE": {"DATABASE": "memory"},
            "CANAILLE_OIDC": {},
            "CANAILLE_SCIM": {"ENABLE_SERVER": True},
        }
    )
    with app.app_context():
        users = [models.User(**each) for each in json.loads(Path(sys.argv[1]).read_text())]
        client = models.Client(client_id="sync", client_name="sync", client_secret=str(uuid.uuid4()))
        for each in (*users, client):
            Backend.instance.save(each)
        for token, subject in zip(sys.argv[2:], (None, users[0]), strict=True):
            Backend.instance.save(_token(client, token, subject))
    listening.set_app(app)
    sys.stdout.write(f"{listening.server_port}\n")
    sys.stdout.flush()
    listening.serve_forever()


main()
