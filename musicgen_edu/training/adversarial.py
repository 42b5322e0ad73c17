"""Training a codec against a discriminator: who learns when, and what the codec is told."""

from __future__ import annotations

import torch
from torch import Tensor

from .balancer import Balancer
from .discriminator import (
    MultiScaleSTFTDiscriminator,
    adversarial_loss,
    discriminator_loss,
    feature_matching_loss,
)
from .settings import AdversarialTraining


class Adversary:
    """The discriminator with its optimizer, and the balancer that all losses of the codec pass through.

    Args:
        settings: sizes and weights.
        audio_channels: C of the codec.
        device: where the codec is.
        bfloat16: whether its convolutions compute in that format.
    """

    def __init__(
        self, settings: AdversarialTraining, audio_channels: int, device: torch.device, bfloat16: bool = False
    ):
        self.settings, self.bfloat16 = settings, bfloat16
        self.discriminator = MultiScaleSTFTDiscriminator(settings.windows, settings.channels, audio_channels).to(device)
        self.optimizer = torch.optim.Adam(self.discriminator.parameters(), lr=settings.learning_rate, betas=(0.5, 0.9))
        self.balancer = Balancer(settings.shares)

    def judge(self, audio: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """Logits and feature maps of audio [B, C, N], in float32 whatever they were computed in."""
        with torch.autocast(audio.device.type, torch.bfloat16, enabled=self.bfloat16):
            logits, maps = self.discriminator(audio)
        return [one.float() for one in logits], [[one.float() for one in scale] for scale in maps]

    def learn(self, audio: Tensor, reconstruction: Tensor) -> Tensor:
        """One step of the discriminator on recordings and reconstructions [B, C, N]; returns its loss."""
        loss = discriminator_loss(self.judge(audio)[0], self.judge(reconstruction.detach())[0])
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def losses(self, audio: Tensor, reconstruction: Tensor) -> dict[str, Tensor]:
        """What the codec is told: to be taken for a recording, and to look like this one in every layer."""
        with torch.no_grad():
            _, real = self.judge(audio)
        logits, fake = self.judge(reconstruction)
        return {"adversarial": adversarial_loss(logits), "features": feature_matching_loss(real, fake)}

    def backward(
        self, step: int, losses: dict[str, Tensor], audio: Tensor, reconstruction: Tensor
    ) -> dict[str, Tensor]:
        """Let the discriminator learn, add its losses to the codec's, and send all of them back balanced.

        Args:
            step: of the run.
            losses: "waveform" and "mel", computed from `reconstruction`; others are left alone.
            audio, reconstruction: [B, C, N].

        Returns:
            the losses that were added.
        """
        added: dict[str, Tensor] = {}
        if step >= self.settings.start:
            if torch.rand(()) < self.settings.learns:
                added["discriminator"] = self.learn(audio, reconstruction)
            added |= self.losses(audio, reconstruction)
        balanced = {name: loss for name, loss in (losses | added).items() if name in self.balancer.weights}
        self.balancer.backward(balanced, reconstruction)
        return added

    def state_dict(self) -> dict:
        """Everything that changes in a run."""
        return {
            "discriminator": self.discriminator.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "balancer": self.balancer.state_dict(),
        }

    def load_state_dict(self, state: dict) -> None:
        """Go on from what `state_dict` gave."""
        self.discriminator.load_state_dict(state["discriminator"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.balancer.load_state_dict(state["balancer"])
