"""The record of Silero VAD against a model of its kind, written from its forward, that is run and traced."""

import numpy as np
import pytest

from neuromfa_lite import PAPER, analyze, load_network
from neuromfa_lite.network.feeders import feeders

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

pytestmark = pytest.mark.torch


class Vad(nn.Module):
    """Sizes are smaller than those of the real one, which has 129, 128, 64, 64, 128 and 128."""

    def __init__(self, waves=9, first=8, middle=6, memory=7):
        super().__init__()
        self.waves = waves
        self.stft_conv = nn.Conv1d(1, 2 * waves, 16, stride=8, bias=False)
        self.conv1 = nn.Conv1d(waves, first, 3, padding=1)
        self.conv2 = nn.Conv1d(first, middle, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(middle, middle, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(middle, memory, 3, padding=1)
        self.lstm_cell = nn.LSTMCell(memory, memory)
        self.final_conv = nn.Conv1d(memory, 1, 1)

    def forward(self, sound):
        state, said = None, []
        for piece in sound.split(40, dim=1):
            x = self.stft_conv(nn.functional.pad(piece[:, None], (0, 4), "reflect"))
            x = (x[:, : self.waves] ** 2 + x[:, self.waves :] ** 2).sqrt()
            for convolution in (self.conv1, self.conv2, self.conv3, self.conv4):
                x = convolution(x).relu()
            state = self.lstm_cell(x.mean(-1), state)
            said.append(self.final_conv(state[0].relu()[..., None]).sigmoid())
        return torch.cat(said, -1)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Vad()


def test_the_record_is_what_a_trace_finds(model):
    record = load_network(model, config={"model_type": "silero_vad"})
    traced = load_network(model, inputs=torch.randn(2, 120))
    mine, found = (feeders(network.layers, network.blocks) for network in (record, traced))
    assert mine.keys() == found.keys() - {"stft_conv.weight"}
    for reader, of in mine.items():
        assert of.keys() == found[reader].keys() - {"stft_conv.weight"}
        for writer, rows in of.items():
            np.testing.assert_array_equal(rows, found[reader][writer])
    assert [why for name, _, why in record.left_out if name == "stft_conv.weight"] == [
        "waves of a Fourier transform: computed, not trained"
    ]


def test_it_is_measured(model):
    network = load_network(model, config={"model_type": "silero_vad"})
    assert analyze(network, PAPER.replace(wiring=None, minimum_connections=1)).neurons_used == 9 + 8 + 6 + 6 + 7 + 7
