"""A running town hall in the form that `DAIS_FORM` names, its tokens, and WHIP and WHEP as any client would speak them."""

import asyncio
import base64
import hashlib
import hmac
import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

OPEN = Path(__file__).parents[1] / "browser/open.js"
KEY, SECRET = "test", "a secret for tests alone, of 32 bytes or more"
ROOM = "hall"


class Town:
    async def __aenter__(self):
        self.process = subprocess.Popen(["node", OPEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        says = await asyncio.to_thread(self.process.stdout.readline)
        assert says, "the town hall did not open"
        self.url = json.loads(says)["url"]
        return self

    async def __aexit__(self, *_):
        self.process.stdin.close()
        assert await asyncio.to_thread(self.process.wait, 20) == 0, "it ends well"

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
