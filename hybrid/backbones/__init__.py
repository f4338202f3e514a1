"""Backbones: image encoders without their classifier, by name; from posters to embeddings."""

from hybrid.backbones.configure import configure as configure
from hybrid.backbones.registry import BACKBONES as BACKBONES
from hybrid.backbones.registry import BackboneSpec as BackboneSpec
from hybrid.backbones.registry import get_backbone as get_backbone
from hybrid.backbones.weights import Weights as Weights
from hybrid.backbones.weights import resolve_weights as resolve_weights
