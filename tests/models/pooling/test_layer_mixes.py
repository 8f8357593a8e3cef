"""Layer mixes of 16-bit states; what every mix must do is in the contract suite."""

import pytest
import torch

from models.pooling.layer_mixes import LAYER_MIXES, build_layer_mix
from models.settings import PoolingPart


@pytest.mark.parametrize("kind", LAYER_MIXES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_16_bit_layers_give_the_mix_of_32_bit_ones(kind: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    mix = build_layer_mix(PoolingPart(kind), layers=5, width=8)
    for parameter in mix.parameters():
        torch.nn.init.normal_(parameter)
    half = [torch.randn(2, 3, 8).to(dtype).requires_grad_() for _ in range(5)]
    wide = [layer.detach().float().requires_grad_() for layer in half]
    mixed, expected = mix(half), mix(wide)
    torch.testing.assert_close(mixed.float(), expected, atol=1e-5, rtol=1e-5)
    mixed.float().square().sum().backward()
    own = [parameter.grad.clone() for parameter in mix.parameters() if parameter.grad is not None]
    mix.zero_grad()
    expected.square().sum().backward()
    for found, parameter in zip(own, mix.parameters(), strict=True):
        torch.testing.assert_close(found, parameter.grad, atol=1e-4, rtol=1e-3)
    for one, other in zip(half, wide, strict=True):
        if other.grad is not None:
            assert one.grad is not None
            torch.testing.assert_close(one.grad.float(), other.grad, atol=2e-2, rtol=2e-2)


def test_no_32_bit_copy_of_a_16_bit_layer_is_kept() -> None:
    """Of 13 layers in bf16, autograd kept 13 copies in float32."""
    mix = build_layer_mix(PoolingPart("weighted"), layers=13, width=8)
    kept: list[torch.Tensor] = []
    layers = [torch.randn(2, 3, 8).bfloat16().requires_grad_() for _ in range(13)]

    def keep(saved: torch.Tensor) -> torch.Tensor:
        kept.append(saved)
        return saved

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
        mix(layers)
    assert len(kept) >= 13
    assert not [saved for saved in kept if saved.shape == (2, 3, 8) and saved.dtype == torch.float32]
