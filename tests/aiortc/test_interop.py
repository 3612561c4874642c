"""aiortc as speaker over WHIP and as listener over WHEP: tones go in, the same tones come out."""

import asyncio
import unittest

import numpy
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError
from town import Town, eventually

RATE = 48_000
LOW, HIGH = 440, 1000


class Whistle(AudioStreamTrack):
    """A tone without a pause, paced by the track it is derived from."""

    def __init__(self, hz):
        super().__init__()
        self.hz = hz

    async def recv(self):
        frame = await super().recv()
        at = frame.pts + numpy.arange(frame.samples)
        wave = (8000 * numpy.sin(2 * numpy.pi * self.hz * at / frame.sample_rate)).astype(numpy.int16)
        frame.planes[0].update(wave.tobytes())
        return frame


class Ear:
    """How often each tone has been the strongest in 100 ms of a track."""

    def __init__(self, connection):
        self.heard = {LOW: 0, HIGH: 0}
        self.noise = 0
        self.tasks = [asyncio.ensure_future(self.listen(one.receiver.track)) for one in connection.getTransceivers()]

    async def listen(self, track: MediaStreamTrack):
        samples = numpy.zeros(0)
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            channels = len(frame.layout.channels)
            samples = numpy.append(samples, frame.to_ndarray().reshape(-1, channels)[:, 0])
            while len(samples) >= RATE // 10:
                self.hear(samples[: RATE // 10])
                samples = samples[RATE // 10 :]

    def hear(self, samples):
        spectrum = numpy.abs(numpy.fft.rfft(samples)) / len(samples)
        strongest = int(spectrum.argmax()) * 10
        if spectrum.max() < 100:
            return
        if strongest in self.heard:
            self.heard[strongest] += 1
        else:
            self.noise += 1


async def speak(town, identity, hz):
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver(Whistle(hz), "sendonly")
    return await town.negotiate("whip", town.token("speaker", identity), connection)


async def listen(town, lines):
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    for _ in range(lines):
        connection.addTransceiver("audio", "recvonly")
    leave = await town.negotiate("whep", town.token("listener"), connection)
    return Ear(connection), leave


async def hears(ear, hz):
    before = ear.heard[hz]

    async def another_second():
        return ear.heard[hz] >= before + 10

    await eventually(f"{hz} Hz is heard: {ear.heard}", another_second)


class Interop(unittest.IsolatedAsyncioTestCase):
    async def test_listeners_of_one_line_and_of_three_hear_a_speaker(self):
        async with Town() as town:
            leave_low = await speak(town, "anna", LOW)
            one, leave_one = await listen(town, 1)
            three, leave_three = await listen(town, 3)
            await hears(one, LOW)
            await hears(three, LOW)

            leave_high = await speak(town, "ben", HIGH)
            await hears(three, HIGH)
            await hears(three, LOW)

            await leave_low()
            await hears(one, HIGH)
            # Of two signaling nodes that take turns, these two hear the end of what began at the other.
            for leave in (leave_three, leave_one, leave_high):
                await leave()


if __name__ == "__main__":
    unittest.main()
