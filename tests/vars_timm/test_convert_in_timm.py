"""What timm does with its models works on converted ones."""

import copy
import io
import json
from inspect import signature

import pytest
import torch
from converting import MIXERS, attention_of, converted, create, every_mixer, every_model, images
from timm.models import group_parameters
from timm.models.vision_transformer import VisionTransformer
from timm.optim import create_optimizer_v2
from timm.utils import ModelEmaV3
from torch.testing import assert_close

import vars_timm


@every_mixer
@every_model
def test_features_and_intermediates(mixer, name):
    model, x = converted(mixer, name), images()
    features, intermediates = model.forward_intermediates(x)
    assert_close(features, model.forward_features(x))
    assert [tuple(tap.shape) for tap in intermediates] == [(2, 32, 4, 4)] * 2
    model.reset_classifier(7)
    assert model(x).shape == (2, 7)
    model.prune_intermediate_layers([0])
    assert_close(model.forward_intermediates(x, intermediates_only=True)[0], intermediates[0])


@every_mixer
def test_recomputation_changes_nothing(mixer):
    """Neither outputs nor gradients, nor L; only BatchNorm's running statistics see each batch twice, as in torch."""
    model = converted(mixer).train()
    again, x = copy.deepcopy(model), images()
    again.set_grad_checkpointing()
    for _ in range(2):
        for each in (model, again):
            each(x).square().sum().backward()
    for (name, one), other in zip(model.named_buffers(), again.buffers(), strict=True):
        if ".bn." not in name:
            assert_close(one, other, msg=name)
    for (name, one), other in zip(model.named_parameters(), again.parameters(), strict=True):
        assert_close(one.grad, other.grad, msg=name)


def test_bound_of_vars_s_is_refreshed_once_a_training_step():
    model = converted("vars_s")
    x, others = images(), [copy.deepcopy(model), _pickled(model)]
    model(x)
    assert steps(model) == [0, 0]
    model.train()
    model(x)
    model.forward_features(x)
    model.forward_intermediates(x)
    assert steps(model) == [3, 3]
    for other in others:
        assert steps(other) == [0, 0]
        other.train()(x)
        assert steps(other) == [1, 1]
    assert steps(model) == [3, 3]


def steps(model):
    """How often the L of each VARS-S mixer was to be refreshed."""
    return [int(buffer) for name, buffer in model.named_buffers() if name.endswith(".step")]


def _pickled(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@every_mixer
@every_model
def test_input_size_can_change(mixer, name):
    """The copies of a model change their own size, to the same weights as a state dict would need."""
    model, x = converted(mixer, name), images(side=48)
    for other in (copy.deepcopy(model), _pickled(model)):
        other.set_input_size((48, 48))
        target = converted(mixer, name, img_size=48)
        target.load_state_dict(other.state_dict())
        assert_close(target(x), other(x))
        assert attention_of(other).mixer.grid == (6, 6)
    assert attention_of(model).mixer.grid == (4, 4)
    assert model(images()).shape == (2, 5)


def test_static_parts_follow_the_input_size():
    model = converted("vars_s")
    model.set_input_size((16, 48))
    weights = dict(attention_of(model).named_parameters())
    kernel, kernel2 = (next(w for name, w in weights.items() if name.endswith(end)) for end in (".kernel", ".kernel2"))
    assert (kernel.shape, kernel2.shape) == ((32, 5, 1, 2, 4, 2), (32, 1, 1, 2, 4, 2))
    before = {name: bound.clone() for name, bound in model.named_buffers() if name.endswith(".L")}
    for module in model.modules():
        if hasattr(module, "update_L"):
            module.update_L(1.0)
    assert len(before) == 2
    assert_close(before, {name: bound for name, bound in model.named_buffers() if name in before})

    model = converted("vars_sd")
    assert attention_of(model).mixer.kernel.shape[-2] == 16
    model.set_input_size(patch_size=(4, 4))
    assert attention_of(model).mixer.kernel.shape[-2] == 64
    assert attention_of(model).mixer.kernel.requires_grad


@every_mixer
def test_checkpoint_is_loaded_into_a_model_converted_alike(mixer):
    model = vars_timm.convert(create(), mixer, **MIXERS[mixer])
    arguments = json.loads(json.dumps(model.conversion.arguments))
    rebuilt = vars_timm.convert(create(), **arguments)
    rebuilt.load_state_dict(model.state_dict())
    x = images()
    assert torch.equal(rebuilt(x), model(x))
    assert rebuilt.conversion == model.conversion


@every_mixer
def test_timm_groups_averages_and_optimises(mixer):
    model, x = converted(mixer), images()
    groups = group_parameters(model, model.group_matcher(coarse=False))
    in_first_block = [name for names in groups.values() for name in names if name.startswith("blocks.0.attn.mixer")]
    expected = [name for name, _ in model.named_parameters() if name.startswith("blocks.0.attn.mixer")]
    assert sorted(in_first_block) == sorted(expected)
    assert len([names for names in groups.values() if any("blocks.0." in name for name in names)]) == 1
    average = ModelEmaV3(model, decay=0.0)
    optimiser = create_optimizer_v2(model.train(), opt="adamw", lr=1e-3, layer_decay=0.7)
    model(x).square().sum().backward()
    optimiser.step()
    average.update(model)
    assert_close(average.module(x), model.eval()(x))


@every_mixer
def test_model_without_values_is_converted(mixer):
    model = vars_timm.convert(create().to("meta"), mixer, **MIXERS[mixer])
    assert {tensor.device.type for tensor in model.state_dict().values()} == {"meta"}


@pytest.mark.skipif("needs_reset" not in signature(VisionTransformer.init_weights).parameters, reason="timm is older")
@every_mixer
def test_weights_can_be_drawn_anew(mixer):
    model = converted(mixer)
    learned = [parameter for name, parameter in model.named_parameters() if "learned_" in name]
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.fill_(7)
    model.init_weights()
    for parameter in learned:
        assert_close(parameter.detach(), torch.eye(len(parameter)) if parameter.ndim == 2 else torch.ones(1))
    for name, tensor in model.state_dict().items():
        if name.endswith(("rand_matrix", "kernel", "mixer.proj.weight")):
            assert tensor.std() > 0, name
    assert model(images()).isfinite().all()
