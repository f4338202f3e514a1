"""What can be named with `--backbone`: one frozen record each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hybrid.errors import unknown_name

_KERAS_FILES = "https://storage.googleapis.com/tensorflow/keras-applications"


@dataclass(frozen=True)
class BackboneSpec:
    """Everything that is to be known of a backbone before it is built.

    Parameters
    ----------
    name : str
        What the user types.
    application : str
        Name in ``keras.applications``; ``""`` for the net that is trained from scratch.
    arguments : tuple of (str, value)
        Passed to the application besides input shape, weights and pooling.
    input_size : (height, width)
        Pixels.
    preprocessing : str
        ``"tf"``: x / 127.5 - 1. ``"caffe"``: BGR minus the ImageNet mean. ``"unit"``: x / 255.
        ``"none"``: the network does it. As in the application's own ``preprocess_input``.
    pooling : str
        ``"avg"``: global average pooling of the last feature map. ``"dense"``: last dense layer.
    dimension : int
        Length D of an embedding.
    parameters : int
        Number of weights.
    licence : str
        Of the ImageNet weights.
    weights_url : str
        Where Keras downloads the ImageNet weights without top; ``""`` where there are none.
    weights_md5 : str
        Their MD5 as Keras states it; ``""`` where Keras states none.
    """

    name: str
    application: str
    arguments: tuple[tuple[str, Any], ...]
    input_size: tuple[int, int]
    preprocessing: str
    pooling: str
    dimension: int
    parameters: int
    licence: str
    weights_url: str
    weights_md5: str

    @property
    def key(self) -> str:
        """What tells this network from all others, its weights aside."""
        parts = (
            self.application,
            self.arguments,
            self.input_size,
            self.preprocessing,
            self.pooling,
        )
        return repr((self.name, *parts))

    @property
    def weights_file(self) -> str:
        """File name of the ImageNet weights."""
        return self.weights_url.rsplit("/", 1)[-1]


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
        licence="yours",
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
        licence="Apache-2.0",
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
        licence="CC BY 4.0",
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
        licence="Apache-2.0",
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
        licence="Apache-2.0",
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
        licence="MIT",
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
        licence="Apache-2.0",
        weights_url=f"{_KERAS_FILES}/efficientnet_v2/efficientnetv2-b0_notop.h5",
        weights_md5="893217f2bb855e2983157299931e43ff",
    ),
)
BACKBONES: dict[str, BackboneSpec] = {spec.name: spec for spec in _SPECS}


def get_backbone(name: str) -> BackboneSpec:
    """Look a backbone up by name.

    Raises
    ------
    SettingError
        If it is unknown; the message lists close matches.
    """
    if name not in BACKBONES:
        raise unknown_name("backbone", name, BACKBONES)
    return BACKBONES[name]
