"""EfficientNet-Lite0 is that of PyTorch; its weights are read without it, and nothing is run."""

import pickle
import shutil
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from imgclf_lib.backend import load_keras
from imgclf_lib.errors import InputError
from imgclf_lib.network import efficientnet_lite
from imgclf_lib.network.efficientnet_lite import (
    CENTRE,
    MAGIC,
    PROTOCOL,
    SPREAD,
    build_efficientnet_lite0,
    imagenet_file,
    load_torch_weights,
    read_torch_file,
)

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


FACTS = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {"int": 4}}
EMPTY = b"ccollections\nOrderedDict\n)R"


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def whole(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def several(*values: bytes) -> bytes:
    return b"(" + b"".join(values) + b"t"


def tensor(count, shape, strides, offset=0, key="0", kind="FloatStorage") -> bytes:
    """The opcodes with which ``torch.save`` describes a tensor."""
    storage = several(
        text("storage"), f"ctorch\n{kind}\n".encode(), text(key), text("cpu"), whole(count), b"N"
    )
    view = (several(*map(whole, shape)), several(*map(whole, strides)))
    arguments = several(storage + b"Q", whole(offset), *view, b"\x89", EMPTY)
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R"


def torch_file(path, tensors: dict[str, bytes], numbers: dict[str, np.ndarray], facts=FACTS):
    """Write a file as ``torch.save`` wrote it before version 1.6."""
    content = b"".join(text(name) + each for name, each in tensors.items())
    parts = [pickle.dumps(each, 2) for each in (MAGIC, PROTOCOL, facts)]
    parts += [b"\x80\x02" + EMPTY + b"(" + content + b"u.", pickle.dumps(list(numbers), 2)]
    for each in numbers.values():
        parts += [struct.pack("<q", each.size), each.tobytes()]
    path.write_bytes(b"".join(parts))
    return path


SIX = {"0": np.arange(6, dtype="float32")}


def test_tensors_are_read(tmp_path):
    path = torch_file(
        tmp_path / "weights.pth",
        {
            "plain": tensor(6, (2, 3), (3, 1)),
            "turned": tensor(6, (3, 2), (1, 3)),
            "part": tensor(6, (2,), (2,), 1),
            "one": tensor(1, (), (), 0, "1", "LongStorage"),
        },
        {**SIX, "1": np.array([7], "int64")},
    )
    found = read_torch_file(path)
    assert list(found) == ["plain", "turned", "part", "one"]
    np.testing.assert_array_equal(found["plain"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(found["turned"], [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(found["part"], [1, 3])
    assert found["one"] == 7
    assert found["plain"].flags.writeable


def test_what_torch_writes_is_read(tmp_path):
    torch = pytest.importorskip("torch")
    state = {
        "float": torch.randn(4, 3, 3, 3),
        "last": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "half": torch.randn(5).half(),
        "long": torch.tensor(9),
    }
    path = tmp_path / "weights.pth"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    found = read_torch_file(path)
    for name, each in state.items():
        np.testing.assert_array_equal(found[name], each.numpy())
    torch.save(state, path)
    with pytest.raises(InputError, match="newer format"):
        read_torch_file(path)


@pytest.mark.parametrize(
    "opcodes",
    [
        b"cposix\nsystem\n" + several(text("touch ran")) + b"R",
        b"cbuiltins\neval\n" + several(text("open('ran', 'w')")) + b"R",
        b"cimgclf_lib.network.efficientnet_lite\nread_torch_file\n" + several(text("x")) + b"R",
        b"ctorch\nload\n" + several(text("x")) + b"R",
        b"ctorch._utils\n_rebuild_parameter\n",
        b"\x8c\x02os\x8c\x06system\x93" + several(text("touch ran")) + b"R",
        b"\x8c\x0bcollections\x8c\x14OrderedDict.__init__\x93",
        several(text("module"), text("0")) + b"Q",
        text("a plain text"),
        b"N",
        b"ctorch._utils\n_rebuild_tensor_v2\n" + several(b"N", b"N", b"N", b"N") + b"R",
    ],
    ids=range(11),
)
def test_nothing_but_tensors_is_accepted_and_nothing_is_run(opcodes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = torch_file(tmp_path / "weights.pth", {"bad": opcodes}, SIX)
    with pytest.raises(InputError, match="not a file of PyTorch weights"):
        read_torch_file(path)
    assert [each.name for each in tmp_path.iterdir()] == ["weights.pth"]


@pytest.mark.parametrize(
    "made",
    [
        tensor(6, (2, 4), (3, 1)),
        tensor(6, (7,), (1,)),
        tensor(6, (1_000_000, 1_000_000), (0, 0)),
        tensor(6, (2,), (-1,), 5),
        tensor(6, (-2,), (1,)),
        tensor(6, (1,), (1,), 6),
        tensor(6, (1,), (1,), -1),
        tensor(6, (1, 1), (1,)),
        tensor(-6, (1,), (1,)),
        tensor(6, (1,), (1,), 0, "9"),
    ],
    ids=range(10),
)
def test_no_tensor_reaches_beyond_its_numbers(made, tmp_path):
    with pytest.raises(InputError, match="not a file of PyTorch weights"):
        read_torch_file(torch_file(tmp_path / "weights.pth", {"bad": made}, SIX))


def test_damaged_files_are_refused(tmp_path):
    whole_file = torch_file(tmp_path / "whole.pth", {"a": tensor(6, (6,), (1,))}, SIX).read_bytes()
    damaged = tmp_path / "damaged.pth"
    for length in range(0, len(whole_file), 7):
        damaged.write_bytes(whole_file[:length])
        with pytest.raises(InputError, match="not a file of PyTorch weights"):
            read_torch_file(damaged)
    for content in (b"PK\x03\x04", b"\x89HDF", bytes(range(256))):
        damaged.write_bytes(content)
        with pytest.raises(InputError, match="Allowed: a state dictionary"):
            read_torch_file(damaged)
    with pytest.raises(InputError, match="little-endian"):
        read_torch_file(torch_file(damaged, {}, SIX, {**FACTS, "little_endian": False}))
    with pytest.raises(InputError, match="counts"):
        read_torch_file(torch_file(damaged, {"a": tensor(5, (5,), (1,))}, SIX))
    for missing in (tmp_path / "nowhere.pth", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            read_torch_file(missing)


@pytest.mark.parametrize(
    "start",
    [
        b"\x80\x02Nr\xff\xff\xff\x07.",  # remember it as number 134,217,727
        b"\x80\x02Nq\x01q\x09.",
        b"\x80\x02Np99999999\n.",
        b"\x80\x04\x95\xff\xff\xff\xff\x00\x00\x00\x00N.",  # a frame of 4 GB
    ],
    ids=["four bytes", "one byte", "digits", "frame"],
)
def test_a_few_bytes_cannot_ask_for_the_memory(start, tmp_path):
    (tmp_path / "weights.pth").write_bytes(start)
    tracemalloc.start()
    with pytest.raises(InputError, match=r"one by one|frames"):
        read_torch_file(tmp_path / "weights.pth")
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_tensors_that_share_their_numbers_cannot_ask_for_the_memory(tmp_path):
    row = {"0": np.zeros(100_000, "float32")}
    many = {f"t{number}": tensor(100_000, (100_000,), (1,)) for number in range(50)}
    with pytest.raises(InputError, match="share their numbers"):
        read_torch_file(torch_file(tmp_path / "weights.pth", many, row))
