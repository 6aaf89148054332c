"""The least BitTorrent tracker that lets clients find each other: each address, to everyone.

For rivals that cannot be told their peers. It forgets all when it is closed. As a program, for
hosts of a network, it serves until it is ended: python3 tracker.py ADDRESS PORT.
"""

from __future__ import annotations

import socket
import struct
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Tracker:
    """Serves announcements on an address; a context manager. `url` goes into the torrent."""

    def __init__(self, address: str = "127.0.0.1", port: int = 0):
        self._peers: dict[str, int] = {}
        peers = self._peers

        class Handler(BaseHTTPRequestHandler):
            """One announcement: it notes who asks, and names the others."""

            def do_GET(self) -> None:  # The name is http.server's.
                asked = parse_qs(urlsplit(self.path).query, encoding="latin-1")
                host = self.client_address[0]
                peers[host] = int(asked["port"][0])
                others = [each for each in list(peers.items()) if each[0] != host]
                compact = b"".join(socket.inet_aton(h) + struct.pack(">H", p) for h, p in others)
                body = b"d8:intervali2e12:min intervali1e5:peers%d:%se" % (len(compact), compact)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing of each announcement."""

        self._server = ThreadingHTTPServer((address, port), Handler)
        self.url = f"http://{address}:{self._server.server_port}/announce"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Tracker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def forget(self) -> None:
        """A new run begins: nobody is there yet."""
        self._peers.clear()


if __name__ == "__main__":
    with Tracker(sys.argv[1], int(sys.argv[2])):
        print("serving", flush=True)
        threading.Event().wait()
