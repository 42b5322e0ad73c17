"""Sound that a browser plays while it is being made: one WAV file, sent as it grows.

A player that is given a new file begins anew, and a row of short players is not seamless. So the notebook's kernel
serves the file itself, on the loopback address: the browser asks once, is told the whole length, gets the samples as
they come, and keeps its place. No script is needed. It works where browser and kernel run on the same computer.

Chromium begins to play when it has about 256 KB. So the file is wide on purpose: float32, and mono on two channels,
which is 2 s of music at 16 kHz or 1 s at 32 kHz; 16-bit mono would be 8 s or 4 s.
"""

from __future__ import annotations

import re
import secrets
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from torch import Tensor

FEED_SECONDS = 30  # how long a listener waits for the next piece


def wav_header(channels: int, sample_rate: int, samples: int) -> bytes:
    """The 58 bytes before the samples of a WAV file of float32 whose length is known beforehand."""
    frame, size = 4 * channels, 4 * channels * samples
    form = struct.pack("<4sIHHIIHHH", b"fmt ", 18, 3, channels, sample_rate, sample_rate * frame, frame, 32, 0)
    chunks = form + struct.pack("<4sII", b"fact", 4, samples) + struct.pack("<4sI", b"data", size)
    return struct.pack("<4sI4s", b"RIFF", 4 + len(chunks) + size, b"WAVE") + chunks


class LiveSound:
    """One clip that grows, as a stereo file.

    Args:
        sample_rate, samples: of the whole clip.
    """

    def __init__(self, sample_rate: int, samples: int):
        header = wav_header(2, sample_rate, samples)
        self.length, self._bytes, self.ended = len(header) + 8 * samples, bytearray(header), False
        self._more = threading.Condition()

    def feed(self, sound: Tensor) -> None:
        """Add a chunk [C, n], C 1 or 2."""
        stereo = sound.detach().cpu().expand(2, -1).numpy().T.astype("<f4")  # [n, 2]
        with self._more:
            self._bytes += stereo.tobytes()
            self._more.notify_all()

    def end(self) -> None:
        """Nothing more will come; a clip that was stopped is filled up with silence, for its length was promised."""
        with self._more:
            self._bytes += bytes(self.length - len(self._bytes))
            self.ended = True
            self._more.notify_all()

    def read(self, start: int) -> bytes:
        """What there is from a byte on, as soon as there is something; nothing at the end."""
        with self._more:
            self._more.wait_for(lambda: len(self._bytes) > start or self.ended, FEED_SECONDS)
            return bytes(self._bytes[start:])


class _Answer(BaseHTTPRequestHandler):
    """GET of a sound by its secret name, whole or from a byte on."""

    def do_GET(self) -> None:
        sound = self.server.sounds.get(self.path)
        if sound is None:
            self.send_error(404)
            return
        start, stop = self._range(sound.length)
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Type", "audio/wav")
        self.send_header("Content-Length", str(stop - start))
        self.send_header("Accept-Ranges", "bytes")
        if "Range" in self.headers:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{sound.length}")
        self.end_headers()
        try:
            while start < stop and (piece := sound.read(start)):
                self.wfile.write(piece[: stop - start])
                start += len(piece)
        except OSError:
            pass  # the listener has gone away

    def _range(self, length: int) -> tuple[int, int]:
        """The first byte that is wanted, and the one after the last."""
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            return 0, length
        start = min(int(asked[1]), length - 1)
        return start, min(int(asked[2]) + 1, length) if asked[2] else length

    def log_message(self, *arguments: object) -> None:
        """Keep quiet."""


class LiveServer:
    """Serves the newest sounds to players on this computer, until the kernel ends.

    Args:
        kept: how many sounds are kept.
    """

    def __init__(self, kept: int = 2):
        self.kept = kept
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
        self._server.daemon_threads = True
        self._server.sounds = {}
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def add(self, sound: LiveSound) -> str:
        """The address of a sound, which nobody can guess; the oldest one goes."""
        sounds, path = dict(self._server.sounds), f"/{secrets.token_urlsafe(16)}.wav"
        sounds[path] = sound
        self._server.sounds = dict(list(sounds.items())[-self.kept :])
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
