"""EfficientNet-Lite0: the network and its weights are those of the original in PyTorch."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from imgclf_lib import efficientnet_lite
from imgclf_lib.backend import load_keras
from imgclf_lib.efficientnet_lite import (
    CENTRE,
    SPREAD,
    build_efficientnet_lite0,
    imagenet_file,
    load_torch_weights,
)
from imgclf_lib.errors import InputError

keras = load_keras()
# Scores of `pattern()` from efficientnet-lite-pytorch 0.1.0 on PyTorch 2.13.0, processor, float32.
RECORDED = {0: 0.5112, 100: -1.0501, 250: -0.5292, 506: 12.4242, 723: 6.6363, 999: -0.2037}


@pytest.fixture(scope="module")
def network():
    model = build_efficientnet_lite0((224, 224, 3), include_top=True)
    load_torch_weights(model, imagenet_file())
    return model


def pattern() -> np.ndarray:
    """An image that any language can make: ``float32`` of shape ``(224, 224, 3)``, 0 to 255."""
    down, across, channel = np.indices((224, 224, 3))
    values = down * (2 + channel) + across * 3 + (down * across) // 16 * channel
    return (values % 256).astype("float32")


def scores(network, *images: np.ndarray) -> np.ndarray:
    return network.predict((np.stack(images) - CENTRE) / SPREAD, verbose=0)


def test_scores_are_those_recorded_from_pytorch(network):
    [found] = scores(network, pattern())
    assert found.argmax() == 506
    for place, score in RECORDED.items():
        assert found[place] == pytest.approx(score, abs=1e-3)
    assert found.mean() == pytest.approx(-0.10479, abs=1e-4)


@pytest.mark.parametrize("side", [224, 96])
def test_scores_are_those_of_the_original(network, side):
    torch = pytest.importorskip("torch")
    original = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=str(imagenet_file()), image_size=side
    )
    images = np.random.default_rng(0).integers(0, 256, (4, side, side, 3)).astype("float32")
    images[0] = pattern()[:side, :side]
    ready = torch.from_numpy(((images - CENTRE) / SPREAD).transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        wanted = original.eval()(ready).numpy()
        features = original.extract_features(ready).numpy().transpose(0, 2, 3, 1)
    if side != 224:
        network = build_efficientnet_lite0((side, side, 3), include_top=True)
        load_torch_weights(network, imagenet_file())
    np.testing.assert_allclose(scores(network, *images), wanted, atol=1e-3)
    body = keras.Model(network.input, network.get_layer("average").input)
    np.testing.assert_allclose(scores(body, *images), features, atol=1e-3)


def test_photographs_are_recognised(network):
    """A flower is a daisy (985), the roofs of the Summer Palace are a palace (698)."""
    photos = []
    for photo in load_sample_images().images:
        side = min(photo.shape[:2])
        top, left = ((length - side) // 2 for length in photo.shape[:2])
        square = Image.fromarray(photo[top : top + side, left : left + side])
        photos.append(np.asarray(square.resize((224, 224), Image.Resampling.BICUBIC)))
    assert scores(network, *photos).argmax(1).tolist() == [698, 985]


def test_shapes_and_parameters():
    body = build_efficientnet_lite0((224, 224, 3))
    assert body.output.shape == (None, 7, 7, 1280)
    assert (
        body.count_params() == 4_694_024 - 1281 * 1000
    )  # the top: a weight for each feature, and a bias


def test_another_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "changed" / "models").mkdir(parents=True)
    (tmp_path / "changed" / "__init__.py").touch()
    changed = tmp_path / "changed" / efficientnet_lite.FILE
    shutil.copy(imagenet_file(), changed)
    content = bytearray(changed.read_bytes())
    content[5_000_000] ^= 1
    changed.write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(efficientnet_lite, "PACKAGE", "changed")
    with pytest.raises(InputError, match="SHA-256 checksum differs"):
        imagenet_file()
    changed.unlink()
    with pytest.raises(InputError, match=r"pip install -e '\.\[transfer\]'"):
        imagenet_file()
    monkeypatch.setattr(efficientnet_lite, "PACKAGE", "no_such_package")
    with pytest.raises(InputError, match="are not installed"):
        imagenet_file()


def test_other_tensors_are_refused(network, tmp_path, monkeypatch):
    tensors = efficientnet_lite.read_torch_file(imagenet_file())
    monkeypatch.setattr(efficientnet_lite, "read_torch_file", lambda path: tensors)
    tensors["_fc.bias"] = np.zeros(10, "float32")
    with pytest.raises(InputError, match="in another shape"):
        load_torch_weights(network, Path("other.pth"))
    del tensors["_bn0.weight"]
    with pytest.raises(InputError, match=r"no tensor '_bn0\.weight'"):
        load_torch_weights(network, Path("other.pth"))
