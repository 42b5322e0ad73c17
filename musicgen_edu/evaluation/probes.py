"""Probes: what a clip sounds like in numbers, and small classifiers that read a piece's attributes off them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from torch import Tensor

from ..model.audio import chromagram, load_librosa


def clip_features(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """What a small classifier hears of a clip [N]: spectrum, its movement, the rhythm of its onsets, its notes.

    Mean, deviation, mean upward movement, 10th and 50th percentile of 64 log-mel bands, autocorrelation of the onset
    strength up to 1.3 s, mean chroma of the whole clip, of what is below 500 Hz and of the first 1.5 s: [420].
    """
    librosa = load_librosa()
    mel = librosa.feature.melspectrogram(y=audio, sr=sample_rate, n_fft=1024, hop_length=320, n_mels=64)
    log_mel = np.log(mel + 1e-4)  # [64, frames], 20 ms a frame at 16 kHz
    rise = np.maximum(np.diff(log_mel, axis=1), 0)
    onsets = rise.mean(0) - rise.mean()
    lags = librosa.autocorrelate(onsets, max_size=67)[3:] / max(float(onsets @ onsets), 1e-9)  # [64]
    bass = librosa.resample(audio, orig_sr=sample_rate, target_sr=1000)
    chroma = chromagram(audio, sample_rate).mean(1)
    low = librosa.feature.chroma_stft(y=bass, sr=1000, n_fft=1024, hop_length=256, tuning=0.0).mean(1)
    starts = chromagram(audio[: sample_rate * 3 // 2], sample_rate).mean(1)  # the first chord is the tonic's
    spread = np.percentile(log_mel, (10, 50), axis=1).ravel()
    return np.concatenate([log_mel.mean(1), log_mel.std(1), rise.mean(1), lags, chroma, low, starts, spread])


def features_of(audio: Iterable[Tensor | np.ndarray], sample_rate: int) -> np.ndarray:
    """`clip_features` of each of n clips [N]: [n, 420]."""
    return np.stack([clip_features(np.asarray(clip), sample_rate) for clip in audio])


class AttributeProbe:
    """Small classifiers that read a piece's attributes off its sound: timbre, tempo, tonic, mode, drums.

    Key is read as one of six and then taken apart into tonic and mode: what makes a third major depends on the tonic.
    """

    TASKS = ("timbre", "tempo", "key", "drums")

    def fit(self, features: np.ndarray, attributes: list[dict]) -> AttributeProbe:
        """Learn from features [n, F] and n dictionaries of attributes."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self.models = {}
        for task in self.TASKS:
            labels = [self._label(a, task) for a in attributes]
            self.models[task] = make_pipeline(StandardScaler(), LogisticRegression(C=0.03, max_iter=300))
            self.models[task].fit(features, labels)
        return self

    @staticmethod
    def _label(attributes: dict, task: str) -> str:
        return f"{attributes['tonic']} {attributes['mode']}" if task == "key" else str(attributes[task])

    def predict(self, features: np.ndarray) -> list[dict]:
        """Attributes of n clips from their features [n, F]."""
        found = {task: self.models[task].predict(features) for task in self.TASKS}
        return [
            {
                "timbre": found["timbre"][i],
                "tempo": found["tempo"][i],
                "tonic": found["key"][i].split()[0],
                "mode": found["key"][i].split()[1],
                "drums": found["drums"][i] == "True",
            }
            for i in range(len(features))
        ]
