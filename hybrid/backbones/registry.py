"""The registry of backbones: everything that is known of one before it is built."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid.backbones.hub_record import HubImages
from hybrid.backbones.onnx_record import OnnxImages
from hybrid.backbones.tuned_folder import TUNED, find_tuned, tuned_name
from hybrid.backbones.tuned_record import TunedImages
from hybrid.errors import unknown_name

# Of a feature map; the nets that are trained from scratch have "dense" alone.
POOLINGS = ("avg", "max", "gem")
FITS = ("squash", "pad", "crop")
BESIDE = "+"  # between layers whose outputs, pooled, are put side by side

_KERAS_FILES = "https://storage.googleapis.com/tensorflow/keras-applications"
_KERAS_PAGES = "https://keras.io/api/applications"

ONNX = ".onnx"
HUB = "keras-hub:"


@dataclass(frozen=True)
class BackboneSpec:
    """A backbone: its network, preprocessing, pooling, cost and weights file.

    Parameters
    ----------
    name : str
        What the user types.
    application : str
        Name in ``keras.applications``; ``""`` for networks that are trained from scratch.
    arguments : tuple of (str, value)
        Passed to the application besides input shape, weights and pooling.
    input_size : tuple of (int, int)
        Height and width in pixels.
    preprocessing : {"tf", "caffe", "torch", "unit", "none"} or another text
        ``"tf"``: x / 127.5 - 1. ``"caffe"``: BGR minus the ImageNet mean. ``"unit"``: x / 255.
        ``"torch"``: x / 255 minus the ImageNet mean, divided by its standard deviation.
        ``"none"``: the network does it. As in the application's own ``preprocess_input``. Of an ONNX file or
        a preset another text, since `onnx` or `hub` say it.
    pooling : {"avg", "max", "gem", "dense"}
        From feature map to embedding. ``"avg"``, ``"max"``: global average or maximum. ``"gem"``:
        generalized mean, see `hybrid.backbones.networks.GeneralizedMean`. ``"dense"``: the last dense layer
        of a network that is trained from scratch.
    dimension : int
        Length D of an embedding.
    parameters : int
        Number of weights of the whole network without top, at the registry's input size.
    gflops : float
        1e9 operations for one poster, with the whole network at the registry's input size: 2 for each
        multiply-add of convolutions and dense layers.
    min_side : int
        Smallest height and width that the network can be built for.
    licence : str
        Of the ImageNet weights.
    source : str
        Where the weights come from; there the licence is stated.
    weights_url : str
        Where Keras downloads the ImageNet weights without top; ``""`` if there are none.
    weights_md5 : str
        Their MD5 as Keras states it, or the SHA-256 if it states that; ``""`` if it states none.
    layer : str, default="last"
        Name of the layer whose output is pooled; several, joined by ``+``, are put side by side.
    fit : {"squash", "pad", "crop"}, default="squash"
        How a poster is resized to the input size: stretched; whole, with borders; its centre.
    onnx, hub, tuned : OnnxImages, HubImages, TunedImages, optional
        Of a network of an ONNX file, whose layer is an output; of a preset of keras-hub; of a tuned one.

    Examples
    --------
    >>> spec = get_backbone("inception")
    >>> spec.application, spec.input_size, spec.dimension
    ('InceptionV3', (299, 299), 2048)
    """

    name: str
    application: str
    arguments: tuple[tuple[str, Any], ...]
    input_size: tuple[int, int]
    preprocessing: str
    pooling: str
    dimension: int
    parameters: int
    gflops: float
    min_side: int
    licence: str
    source: str
    weights_url: str
    weights_md5: str
    layer: str = "last"
    fit: str = "squash"
    onnx: OnnxImages | None = None
    hub: HubImages | None = None
    tuned: TunedImages | None = None

    @property
    def key(self) -> str:
        """Identifies the network; two with the same key differ at most in their weights."""
        parts = (self.name, self.application, self.arguments, self.input_size, self.preprocessing)
        return repr((*parts, self.layer, self.pooling))

    @property
    def has_own_weights(self) -> bool:
        """Whether the network comes with its weights: an ONNX file, a preset, a tuned backbone."""
        return any(place is not None for place in (self.onnx, self.hub, self.tuned))

    @property
    def own_file(self) -> Path | None:
        """The file of the weights that a network comes with, where it is known."""
        hub = None if self.hub is None else self.hub.weights_file
        own = hub if self.onnx is None else self.onnx.file
        return own if self.tuned is None else self.tuned.folder / TUNED

    @property
    def weights_file(self) -> str:
        """File name of the ImageNet weights."""
        return self.weights_url.rsplit("/", 1)[-1]

    @property
    def weights_hash(self) -> str:
        """``"md5"`` or ``"sha256"``: the kind of `weights_md5`, by its length, as in Keras."""
        return "sha256" if len(self.weights_md5) == 64 else "md5"


_SPECS = (
    BackboneSpec(
        name="scratch",
        application="",
        arguments=(),
        input_size=(224, 224),
        preprocessing="unit",
        pooling="dense",
        dimension=1024,
        parameters=20_022_432,
        gflops=0.38,
        min_side=46,
        licence="yours",
        source="hybrid fit-deep",
        weights_url="",
        weights_md5="",
    ),
    # "Building powerful image classification models using very little data", blog.keras.io, 2016.
    BackboneSpec(
        name="small",
        application="",
        arguments=(),
        input_size=(150, 150),
        preprocessing="unit",
        pooling="dense",
        dimension=64,
        parameters=1_212_448,
        gflops=0.18,
        min_side=22,
        licence="yours",
        source="hybrid fit-deep",
        weights_url="",
        weights_md5="",
    ),
    BackboneSpec(
        name="inception",
        application="InceptionV3",
        arguments=(),
        input_size=(299, 299),
        preprocessing="tf",
        pooling="avg",
        dimension=2048,
        parameters=21_802_784,
        gflops=11.42,
        min_side=75,
        licence="Apache-2.0",
        source=f"{_KERAS_PAGES}/inceptionv3/",
        weights_url=f"{_KERAS_FILES}/inception_v3/"
        "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
        weights_md5="bcbd6486424b2319ff4ef7d526e38f63",
    ),
    BackboneSpec(
        name="vgg16",
        application="VGG16",
        arguments=(),
        input_size=(224, 224),
        preprocessing="caffe",
        pooling="avg",
        dimension=512,
        parameters=14_714_688,
        gflops=30.69,
        min_side=32,
        licence="CC BY 4.0",
        source="https://www.robots.ox.ac.uk/~vgg/research/very_deep/",
        weights_url=f"{_KERAS_FILES}/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        weights_md5="6d6bbae143d832006294945121d1f1fc",
    ),
    BackboneSpec(
        name="mobilenet",
        application="MobileNet",
        arguments=(("alpha", 1.0),),
        input_size=(224, 224),
        preprocessing="tf",
        pooling="avg",
        dimension=1024,
        parameters=3_228_864,
        gflops=1.14,
        min_side=32,
        licence="Apache-2.0",
        source="https://github.com/tensorflow/models",
        weights_url=f"{_KERAS_FILES}/mobilenet/mobilenet_1_0_224_tf_no_top.h5",
        weights_md5="",
    ),
    BackboneSpec(
        name="mobilenet-075",
        application="MobileNet",
        arguments=(("alpha", 0.75),),
        input_size=(224, 224),
        preprocessing="tf",
        pooling="avg",
        dimension=768,
        parameters=1_832_976,
        gflops=0.65,
        min_side=32,
        licence="Apache-2.0",
        source="https://github.com/tensorflow/models",
        weights_url=f"{_KERAS_FILES}/mobilenet/mobilenet_7_5_224_tf_no_top.h5",
        weights_md5="",
    ),
    BackboneSpec(
        name="resnet50",
        application="ResNet50",
        arguments=(),
        input_size=(224, 224),
        preprocessing="caffe",
        pooling="avg",
        dimension=2048,
        parameters=23_587_712,
        gflops=7.71,
        min_side=32,
        licence="MIT",
        source="https://github.com/KaimingHe/deep-residual-networks",
        weights_url=f"{_KERAS_FILES}/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        weights_md5="4d473c1dd8becc155b73f8504c6f6626",
    ),
    BackboneSpec(
        name="efficientnetv2-b0",
        application="EfficientNetV2B0",
        arguments=(),
        input_size=(224, 224),
        preprocessing="none",
        pooling="avg",
        dimension=1280,
        parameters=5_919_312,
        gflops=1.43,
        min_side=32,
        licence="Apache-2.0",
        source="https://github.com/google/automl/tree/master/efficientnetv2",
        weights_url=f"{_KERAS_FILES}/efficientnet_v2/efficientnetv2-b0_notop.h5",
        weights_md5="893217f2bb855e2983157299931e43ff",
    ),
    BackboneSpec(
        name="mobilenet-v3",
        application="MobileNetV3Large",
        arguments=(("alpha", 1.0), ("minimalistic", False)),
        input_size=(224, 224),
        preprocessing="none",
        pooling="avg",
        dimension=960,
        parameters=2_996_352,
        gflops=0.43,
        min_side=32,
        licence="Apache-2.0",
        source="https://github.com/tensorflow/models",
        weights_url=f"{_KERAS_FILES}/mobilenet_v3/"
        "weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5",
        weights_md5="07fb09a5933dd0c8eaafa16978110389",
    ),
    BackboneSpec(
        name="resnet50-v2",
        application="ResNet50V2",
        arguments=(),
        input_size=(224, 224),
        preprocessing="tf",
        pooling="avg",
        dimension=2048,
        parameters=23_564_800,
        gflops=6.96,
        min_side=32,
        licence="BSD",
        source="https://github.com/facebook/fb.resnet.torch",
        weights_url=f"{_KERAS_FILES}/resnet/resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
        weights_md5="fac2f116257151a9d068a22e544a4917",
    ),
    BackboneSpec(
        name="efficientnetv2-s",
        application="EfficientNetV2S",
        arguments=(),
        input_size=(384, 384),
        preprocessing="none",
        pooling="avg",
        dimension=1280,
        parameters=20_331_360,
        gflops=16.73,
        min_side=32,
        licence="Apache-2.0",
        source="https://github.com/google/automl/tree/master/efficientnetv2",
        weights_url=f"{_KERAS_FILES}/efficientnet_v2/efficientnetv2-s_notop.h5",
        weights_md5="af0682fb74e8c54910f2d4393339c070",
    ),
    BackboneSpec(
        name="convnext-tiny",
        application="ConvNeXtTiny",
        arguments=(),
        input_size=(224, 224),
        preprocessing="none",
        pooling="avg",
        dimension=768,
        parameters=27_820_128,
        gflops=8.91,
        min_side=32,
        licence="MIT",
        source="https://github.com/facebookresearch/ConvNeXt",
        weights_url=f"{_KERAS_FILES}/convnext/convnext_tiny_notop.h5",
        weights_md5="d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
    ),
    BackboneSpec(
        name="densenet121",
        application="DenseNet121",
        arguments=(),
        input_size=(224, 224),
        preprocessing="torch",
        pooling="avg",
        dimension=1024,
        parameters=7_037_504,
        gflops=5.67,
        min_side=32,
        licence="BSD 3-clause",
        source="https://github.com/liuzhuang13/DenseNet",
        weights_url=f"{_KERAS_FILES}/densenet/"
        "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5",
        weights_md5="30ee3e1110167f948a6b9946edeeb738",
    ),
    BackboneSpec(
        name="xception",
        application="Xception",
        arguments=(),
        input_size=(299, 299),
        preprocessing="tf",
        pooling="avg",
        dimension=2048,
        parameters=20_861_480,
        gflops=16.71,
        min_side=71,
        licence="MIT",
        source=f"{_KERAS_PAGES}/xception/",
        weights_url=f"{_KERAS_FILES}/xception/xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
        weights_md5="b0042744bf5b25fce3cb969f33bebb97",
    ),
)
BACKBONES: dict[str, BackboneSpec] = {spec.name: spec for spec in _SPECS}


def get_backbone(name: str) -> BackboneSpec:
    """Look up a backbone by name.

    Parameters
    ----------
    name : str
        Of the registry; the path of a file that ends in ``.onnx``; ``"keras-hub:"`` and the name of a
        preset, or its folder; or name or folder of a tuned backbone. `configure` reads the others.

    Returns
    -------
    BackboneSpec

    Raises
    ------
    SettingError
        If it is unknown; the message suggests close matches.

    Examples
    --------
    >>> get_backbone("vgg16").dimension
    512
    """
    if name.startswith(HUB):
        return _unread(HUB + Path(name[len(HUB) :]).name, hub=HubImages.named(name[len(HUB) :]))
    if name.endswith(ONNX):
        return _unread(Path(name).name, onnx=OnnxImages(Path(name)))
    if name in BACKBONES:
        return BACKBONES[name]
    if folder := find_tuned(name):
        return _unread(tuned_name(folder), tuned=TunedImages(folder.absolute()))
    raise unknown_name("backbone", name, BACKBONES)


def _unread(name: str, **where: Any) -> BackboneSpec:
    """A backbone that is not read yet: its name, and where it is."""
    kind, nothing = next(iter(where)), ("none", 0, 0, 0.0, 1, "unknown", "", "", "")
    return BackboneSpec(name, "", (), (0, 0), kind, *nothing, **where)
