"""TLS in front of a server that speaks none, as a process: `python -m tests.support.tls_proxy PORT PEM [CA]`.

PEM holds the certificate and its key; with CA, clients have to show a certificate of it. It prints the port it takes.
"""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROJECT = Path(__file__).parents[2]


@contextmanager
def tls_proxy(port: int, pem: Path, ca: Path | None = None) -> Iterator[str]:
    """Such a process; its address."""
    command = [sys.executable, "-m", "tests.support.tls_proxy", str(port), str(pem), *([str(ca)] if ca else [])]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


async def _passed(reader: StreamReader, writer: StreamWriter) -> None:
    with suppress(OSError):
        while octets := await reader.read(65536):
            writer.write(octets)
            await writer.drain()
    writer.close()


async def _serve(port: int, context: ssl.SSLContext) -> None:
    async def taken(reader: StreamReader, writer: StreamWriter) -> None:
        behind = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_passed(reader, behind[1]), _passed(behind[0], writer))

    server = await asyncio.start_server(taken, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201  # whoever started it reads that
    await server.serve_forever()


def main(port: str, pem: str, ca: str | None = None) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    context.set_alpn_protocols(["h2"])
    if ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(ca)
    asyncio.run(_serve(int(port), context))


if __name__ == "__main__":
    main(*sys.argv[1:])
