"""Pulse-code modulation: codes, levels, laws and the rule of 6 dB a bit."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from musicgen_edu.model import pcm

LOUD = np.random.default_rng(0).uniform(-1, 1, 20000)


@pytest.mark.parametrize("law", pcm.LAWS)
@pytest.mark.parametrize("bits", [1, 2, 7, 16])
def test_every_code_comes_back_as_itself_and_values_rise_with_the_code(bits, law):
    codes = np.arange(2**bits)
    values = pcm.decode(codes, bits, law)
    assert values.dtype == np.float32
    assert (np.diff(values) > 0).all()
    assert np.allclose(values, -values[::-1], atol=1e-6)  # as many levels above zero as below
    assert np.array_equal(pcm.encode(values, bits, law), codes)


@pytest.mark.parametrize("bits", [1, 4, 9])
def test_no_linear_error_is_larger_than_half_a_cell(bits):
    error = pcm.decode(pcm.encode(LOUD, bits), bits) - LOUD
    assert np.abs(error).max() <= 1 / 2**bits + 1e-6
    assert np.abs(error).max() > 0.98 / 2**bits  # and some are nearly as large


def test_two_bits_by_hand():
    codes = pcm.encode(np.array([[-1.0, -0.6, -0.1], [0.1, 0.6, 1.0]]), 2)
    assert codes.dtype == np.int64
    assert codes.tolist() == [[0, 0, 1], [2, 3, 3]]
    assert pcm.decode(codes, 2).tolist() == [[-0.75, -0.75, -0.25], [0.25, 0.75, 0.75]]


def test_what_is_too_loud_gets_the_outermost_codes():
    assert pcm.encode(np.array([-7.0, 7.0]), 3).tolist() == [0, 7]
    assert pcm.encode(np.array([-7.0, 7.0]), 3, "mu-law").tolist() == [0, 7]


@pytest.mark.parametrize("bits", range(4, 15))
def test_a_bit_is_worth_six_decibels(bits):
    measured = pcm.snr(LOUD, pcm.decode(pcm.encode(LOUD, bits), bits))
    assert measured == pytest.approx(20 * np.log10(2) * bits, abs=0.25)


def test_mu_law_is_librosas_curve_and_is_undone():
    x = np.linspace(-1, 1, 999)
    assert np.allclose(pcm.compress(x), librosa.mu_compress(x, mu=255, quantize=False))
    assert np.allclose(pcm.expand(pcm.compress(x)), x)


def test_quiet_sounds_favour_mu_law_and_loud_ones_do_not():
    linear, mu_law = (
        [pcm.snr(g * LOUD, pcm.decode(pcm.encode(g * LOUD, 8, law), 8, law)) for g in (1, 0.01)] for law in pcm.LAWS
    )
    assert linear[0] > mu_law[0] + 5
    assert mu_law[1] > linear[1] + 15


def test_the_signal_to_noise_ratio_by_hand():
    assert pcm.snr(np.array([3.0, 4.0]), np.array([3.0, 4.5])) == pytest.approx(20.0)
    assert pcm.snr(np.ones(3), np.ones(3)) == float("inf")
    with pytest.raises(ValueError, match="silent"):
        pcm.snr(np.zeros(3), np.ones(3))
    with pytest.raises(ValueError, match="one shape"):
        pcm.snr(np.ones(3), np.ones(4))


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: pcm.encode(LOUD, 0), "from 1 to 16, not 0"),
        (lambda: pcm.encode(LOUD, 17), "from 1 to 16, not 17"),
        (lambda: pcm.encode(LOUD, 2.5), "whole number from 1 to 16, not 2.5"),
        (lambda: pcm.encode(LOUD, 8, "a-law"), "one of linear, mu-law, not 'a-law'"),
        (lambda: pcm.encode(np.array([np.nan]), 8), "NaN"),
        (lambda: pcm.decode(np.array([4]), 2), "between 0 and 3, not 4"),
        (lambda: pcm.decode(np.array([-1]), 2), "between 0 and 3, not -1"),
    ],
)
def test_bad_input_gets_one_sentence(call, told):
    with pytest.raises(ValueError, match=told) as caught:
        call()
    assert "\n" not in str(caught.value)
