from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from engines import ConfigError
from operators.deepfake.gazeforensics import model
from operators.deepfake.gazeforensics.model import SMALL, Bins, GazeForensics, GazeNet, ResNet, Sizes, Teacher

TINY = Sizes(frames=4, leaky=4, heads=2, per_head=8, comp=(16, 8), last=(16, 8))


def trunk() -> ResNet:
    return ResNet((8, 8, 16, 16), (1, 1, 1, 1))


def tiny(seed: int = 0) -> GazeForensics:
    torch.manual_seed(seed)
    return GazeForensics(trunk(), sizes=TINY)


def clips(n: int = 2, t: int = 4, size: int = 48, seed: int = 0) -> Tensor:
    return torch.rand((n, t, 3, size, size), generator=torch.Generator().manual_seed(seed))


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def reached(parameter: Tensor) -> bool:
    return parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)


def test_the_paper_s_network_has_its_parameters_and_shapes() -> None:
    net = GazeForensics(ResNet())

    logits, g = net(clips(1, 14, 64))

    parts = [net.trunk, net.gaze_fc, net.attention, net.comp, net.last]
    assert [count(part) for part in parts] == [11_176_512, 279_072, 1_050_624, 168_352, 156_226]
    assert count(net.q) + count(net.k) + count(net.v) == 1_625_088
    assert count(net) == 14_455_874
    assert logits.shape == (1, 2)
    assert g.shape == (1, 14, 512)


def test_the_gaze_loss_reaches_the_trunk_and_the_rows_of_g_alone() -> None:
    net = tiny()
    _, g = net(clips())

    torch.autograd.backward(nn.functional.mse_loss(g, torch.zeros_like(g)))

    rows = net.gaze_fc.weight.grad
    assert rows is not None
    assert all(reached(p) for p in net.trunk.parameters() if p.dim() == 4)
    assert (rows[:16].abs().sum(1) > 0).all()
    assert (rows[16:] == 0).all()
    rest = (net.q, net.k, net.v, net.attention, net.comp, net.last)
    assert not any(reached(p) for part in rest for p in part.parameters())


def test_the_class_loss_reaches_everything() -> None:
    net = tiny()
    logits, _ = net(clips(4))

    torch.autograd.backward(model.classification(logits, torch.tensor([0, 1, 0, 1])))

    rows = net.gaze_fc.weight.grad
    assert rows is not None
    assert (rows.abs().sum(1) > 0).all()
    # A bias of the keys shifts all scores of a query alike, which the softmax does not see.
    slopes = {name: 0.0 if p.grad is None else float(p.grad.abs().max()) for name, p in net.named_parameters()}
    assert {name for name, slope in slopes.items() if slope < 1e-5} == {"attention.k.bias", "k.2.bias"}


def test_a_teacher_is_never_changed() -> None:
    net = tiny()
    teacher = Teacher(GazeNet(trunk())).train()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    optimiser = torch.optim.AdamW([*net.parameters(), *teacher.parameters()], lr=0.1)

    logits, g = net(clips())
    torch.autograd.backward(model.clip_loss(logits, torch.tensor([0, 1]), g, teacher(clips()), 4.0))
    optimiser.step()

    assert not any(module.training for module in teacher.modules())
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert all(p.grad is None for p in teacher.parameters())


def test_a_student_that_begins_as_its_teacher_agrees_with_it() -> None:
    net = tiny()
    teacher = Teacher(GazeNet(net.trunk))
    with torch.no_grad():
        net.gaze_fc.weight[:16] = torch.eye(16)
        net.gaze_fc.bias.zero_()

    _, g = net.eval()(clips())

    assert nn.functional.mse_loss(g, teacher(clips())).item() < 1e-6


@pytest.mark.parametrize(("epoch", "mu"), [(0, 4.0), (1, 3.327), (12, 0.439), (25, 0.04)])
def test_the_gaze_weight_decays_to_a_hundredth(epoch: int, mu: float) -> None:
    assert model.gaze_weight(epoch, 25) == pytest.approx(mu, abs=5e-4)


def test_the_class_loss_is_minus_log_p() -> None:
    logits = torch.log(torch.tensor([[0.8, 0.2]]))

    assert model.classification(logits, torch.tensor([model.FAKE])).item() == pytest.approx(-math.log(0.8))


def test_the_order_of_frames_counts_because_they_are_flattened() -> None:
    net = tiny().eval()
    emb = torch.randn((2, 4, 20), generator=torch.Generator().manual_seed(0))
    shuffled = emb[:, [2, 0, 3, 1]]

    differs = (net.compare(emb)[0] - net.compare(shuffled)[0]).abs().max()
    with torch.no_grad():
        first = net.last[0]
        assert isinstance(first, nn.Linear)
        first.weight.copy_(first.weight[:, :8].repeat(1, 4))
    same = (net.compare(emb)[0] - net.compare(shuffled)[0]).abs().max()

    assert differs > 1e-4
    assert same < 1e-5


def test_a_frozen_trunk_stays_as_it_is() -> None:
    torch.manual_seed(0)
    net = GazeForensics(trunk(), sizes=TINY, leaky_trunk=trunk(), mode="freeze").train()
    before = {name: value.clone() for name, value in net.trunk.state_dict().items()}

    logits, _ = net(clips(4))
    torch.autograd.backward(model.classification(logits, torch.tensor([0, 1, 0, 1])))

    assert all(torch.equal(before[name], value) for name, value in net.trunk.state_dict().items())
    assert all(p.grad is None for p in net.trunk.parameters())
    assert net.leaky_trunk is not None
    assert all(reached(p) for p in net.leaky_trunk.parameters() if p.dim() == 4)


@pytest.mark.parametrize("leaky", [0, 4])
def test_two_halves_are_one_model(leaky: int) -> None:
    torch.manual_seed(0)
    net = GazeForensics(trunk(), sizes=Sizes(4, leaky, 2, 8, (16, 8), (16, 8))).eval()
    x = clips(3)

    emb = model.FrameEngine(net)(x.flatten(0, 1))["emb"].view(3, 4, -1)
    found = model.ClipEngine(net)(emb)

    assert torch.allclose(found["logits"], net(x)[0], atol=1e-5)
    assert torch.allclose(found["fake_prob"][:, 0], torch.softmax(net(x)[0], 1)[:, model.FAKE], atol=1e-5)
    assert torch.allclose(found["attn"].sum(-1), torch.ones(3, 2, 4))


def test_bins_expect_the_angle_they_are_sure_of() -> None:
    bins = Bins()
    degrees = torch.tensor([-12.0, 0.0, 40.0])
    sure = 100.0 * nn.functional.one_hot(bins.of(degrees), bins.count)

    assert torch.allclose(bins.expected(sure), degrees)
    assert model.l2cs_loss(sure, degrees, bins).item() == pytest.approx(0, abs=1e-3)


def test_the_small_model_is_small() -> None:
    net = GazeForensics(model.build_trunk("mobilenet"), sizes=SMALL).eval()

    assert count(net) < 0.9e6
    assert net(clips(1, 8, 64))[0].shape == (1, 2)


@pytest.mark.parametrize(
    ("degrees", "number"),
    [(-180, 0), (-176.1, 0), (-176, 1), (0, 45), (3.9, 45), (4, 46), (176, 89), (179.9, 89), (-500, 0), (500, 89)],
)
def test_bins_of_angles(degrees: float, number: int) -> None:
    assert Bins().of(torch.tensor([degrees])).item() == number


def test_who_knows_nothing_expects_the_middle_and_pays_for_it() -> None:
    """Over 4 bins of 10 degrees from -20 the mean of their beginnings is -5; the truth, 5 degrees, is 10 away."""
    bins = Bins(count=4, step=10.0, low=-20.0)
    blind, truth = torch.zeros(1, 4), torch.tensor([5.0])

    assert bins.expected(blind).item() == pytest.approx(-5)
    assert model.l2cs_loss(blind, truth, bins, weight=0).item() == pytest.approx(math.log(4))
    assert model.l2cs_loss(blind, truth, bins, weight=0.5).item() == pytest.approx(math.log(4) + 50)


def test_two_angles_of_a_gaze_network() -> None:
    net = GazeNet(trunk(), Bins(count=4, step=10.0, low=-20.0))
    for head, number in ((net.pitch, 0), (net.yaw, 3)):
        nn.init.zeros_(head.weight)
        with torch.no_grad():
            head.bias.copy_(100.0 * nn.functional.one_hot(torch.tensor(number), 4))

    assert torch.allclose(net.angles(clips(3, 1)[:, 0]), torch.tensor([[-20.0, 10.0]]).expand(3, 2))


@pytest.mark.parametrize(
    ("mu", "cost"), [(0.0, math.log(2)), (4.0, math.log(2) + 4 * 0.25), (0.04, math.log(2) + 0.01)]
)
def test_the_loss_of_clips_by_hand(mu: float, cost: float) -> None:
    """Blind, and every number of g half away from its target."""
    g, target = torch.full((2, 3, 5), 1.5), torch.ones(2, 3, 5)

    assert model.clip_loss(torch.zeros(2, 2), torch.tensor([0, 1]), g, target, mu).item() == pytest.approx(cost)


def test_attention_without_questions_is_the_mean_over_time() -> None:
    v = torch.randn((2, 5, 8), generator=torch.Generator().manual_seed(0))

    mixed, weights = model.attend(torch.zeros_like(v), torch.zeros_like(v), v, nn.Identity(), 2)

    assert torch.allclose(weights, torch.full((2, 2, 5, 5), 0.2))
    assert torch.allclose(mixed, v.mean(1, keepdim=True).expand_as(v), atol=1e-6)


def test_each_head_asks_about_its_own_part() -> None:
    """The first of two asks for the second frame, the other knows nothing; scores are divided by the root of 4."""
    q, k = torch.zeros(1, 2, 8), torch.zeros(1, 2, 8)
    q[..., 0] = 1.0
    k[0, 1, 0] = 2 * math.log(3)

    _, weights = model.attend(q, k, torch.zeros(1, 2, 8), nn.Identity(), 2)

    assert torch.allclose(weights[0, 0], torch.tensor([0.25, 0.75]).expand(2, 2))
    assert torch.allclose(weights[0, 1], torch.full((2, 2), 0.5))


def test_folded_layers_are_one_and_do_the_same() -> None:
    layers, after = model.mlp(6, 5, 4), model.linear(4, 3)
    with torch.no_grad():
        for layer in (*layers, after):
            if isinstance(layer, nn.Linear):
                layer.bias.uniform_(-1, 1)
    x = torch.randn((7, 6), generator=torch.Generator().manual_seed(0))

    folded = model.fold(layers, after)

    assert len(folded) == len(layers) == 3
    assert torch.allclose(folded(x), after(layers(x)), atol=1e-6)


def test_layers_begin_without_a_bias_and_end_without_a_relu() -> None:
    layers = model.mlp(4, 3, 2)

    assert [type(layer) for layer in layers] == [nn.Linear, nn.ReLU, nn.Linear]
    assert all(not layer.bias.any() for layer in layers if isinstance(layer, nn.Linear))


def test_leaky_numbers_come_from_a_trunk_of_their_own_and_g_does_not() -> None:
    torch.manual_seed(0)
    net = GazeForensics(trunk(), sizes=TINY, leaky_trunk=trunk()).eval()
    frames = clips(3, 1)[:, 0]
    before = net.encode(frames)
    assert isinstance(net.leaky_trunk, ResNet)

    with torch.no_grad():
        net.leaky_trunk.conv1.weight.mul_(2).add_(0.1)
    after = net.encode(frames)

    assert torch.equal(before[:, :16], after[:, :16]) and not torch.equal(before[:, 16:], after[:, 16:])


@pytest.mark.parametrize(("name", "width"), [("resnet18", 512), ("resnet10", 128), ("mobilenet", 128)])
def test_trunks_by_name(name: str, width: int) -> None:
    made = model.build_trunk(name).eval()

    assert made.width == width and made(clips(2, 1, 64)[:, 0]).shape == (2, width)


def test_a_trunk_that_is_not_known() -> None:
    with pytest.raises(ConfigError, match="expected resnet18, resnet10 or mobilenet, got 'vgg'"):
        model.build_trunk("vgg")


def test_an_example_fits_both_engines() -> None:
    net = tiny().eval()

    frame, clip = model.example(net, 32)

    assert model.FrameEngine(net)(**frame)["emb"].shape == (2, 20)
    assert model.ClipEngine(net)(**clip)["fake_prob"].shape == (2, 1)
