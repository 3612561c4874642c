"""A running `dais up` on free ports, its tokens, and WHIP and WHEP as any client would speak them."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import random
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

PROGRAM = os.environ.get("DAIS_BIN", Path(__file__).parents[2] / "target/release/dais")
KEY, SECRET = "test", "a secret for tests alone, of 32 bytes or more"
ROOM = "hall"


class Town:
    def __init__(self):
        http, admin, media, link = free_ports()
        self.url = f"http://127.0.0.1:{http}"
        self.admin = f"http://127.0.0.1:{admin}"
        ports = {"--listen": http, "--admin": admin, "--media": media, "--link": link}
        arguments = [text for name, port in ports.items() for text in (name, f"127.0.0.1:{port}")]
        self.process = subprocess.Popen(
            [PROGRAM, "up", *arguments, "--shards", "3", "--log", "warn", "--api-key", KEY, "--api-secret", SECRET],
            stdout=subprocess.DEVNULL,
        )

    async def __aenter__(self):
        await eventually("the program is ready", lambda: asyncio.to_thread(self.is_ready))
        return self

    async def __aexit__(self, *_):
        self.process.terminate()
        assert await asyncio.to_thread(self.process.wait, 20) == 0, "it ends well"

    def is_ready(self):
        assert self.process.poll() is None, "the program ended"
        try:
            return request("GET", f"{self.admin}/ready")[0] == 200
        except OSError:
            return False

    def token(self, role, identity=None):
        claims = {"iss": KEY, "room": ROOM, "role": role, "exp": int(time.time()) + 3600}
        claims |= {"sub": identity} if identity else {}
        text = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}"
        return f"{text}.{base64url(hmac.digest(SECRET.encode(), text.encode(), hashlib.sha256))}"

    async def negotiate(self, endpoint, token, connection):
        """Offers over WHIP or WHEP and takes the answer; returns what leaves again."""
        from aiortc import RTCSessionDescription

        await connection.setLocalDescription(await connection.createOffer())
        url, sdp = f"{self.url}/{endpoint}/{ROOM}", connection.localDescription.sdp
        status, headers, answer = await asyncio.to_thread(request, "POST", url, token, sdp)
        assert status == 201, answer
        await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        location = urllib.parse.urljoin(url, headers["Location"])

        async def leave():
            status, _, says = await asyncio.to_thread(request, "DELETE", location, token)
            assert status < 300, says
            await connection.close()

        return leave


def part(value):
    return base64url(json.dumps(value).encode())


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def request(method, url, token=None, sdp=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    headers |= {"Content-Type": "application/sdp"} if sdp else {}
    asked = urllib.request.Request(url, sdp and sdp.encode(), headers, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


async def eventually(what, ask, seconds=20):
    until = time.monotonic() + seconds
    while not await ask():
        assert time.monotonic() < until, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.05)


def free_ports():
    """Four blocks of eight, below those that the system hands out by itself."""
    found = set()
    while len(found) < 4:
        first = 20_000 + 8 * random.randrange(1500)
        if all(is_free(kind, port) for port in range(first, first + 8) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)):
            found.add(first)
    return found


def is_free(kind, port):
    with socket.socket(socket.AF_INET, kind) as bound:
        try:
            bound.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
