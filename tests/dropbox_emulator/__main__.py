"""python -m tests.dropbox_emulator --dir DIR"""

import argparse
import json
import os
import ssl
import sys
from pathlib import Path

import trio
import trustme

from . import control
from .server import Server
from .service import Service

ADDRESS = "127.0.0.1"


async def main(directory: Path) -> None:
    """Serve until standard input ends."""
    directory.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    ca_file = directory / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(ADDRESS).configure_cert(context)
    server = Server(Service(directory / "service0"), context)
    told: dict[str, object] = {"ca_file": str(ca_file), "account": server.service.first.id}
    async with trio.open_nursery() as nursery:
        for host in ("api", "content", "notify"):
            (listener,) = await trio.open_tcp_listeners(0, host=ADDRESS)
            told[host] = listener.socket.getsockname()[1]
            nursery.start_soon(server.serve, host, listener)
        (listener,) = await trio.open_tcp_listeners(0, host=ADDRESS)
        told["control"] = listener.socket.getsockname()[1]
        nursery.start_soon(control.serve, control.Commands(server, directory), listener)
        print(json.dumps(told), flush=True)
        await trio.to_thread.run_sync(_until_input_ends, abandon_on_cancel=True)
        nursery.cancel_scope.cancel()


def _until_input_ends() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass


parser = argparse.ArgumentParser(prog="python -m tests.dropbox_emulator", description="a strict Dropbox, on loopback")
parser.add_argument("--dir", required=True, type=Path, help="where it keeps its CA and its bytes")
trio.run(main, parser.parse_args().dir)
