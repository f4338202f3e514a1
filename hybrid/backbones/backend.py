"""One compiled forward function on each of Keras' backends; only here is a backend's own package named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

# uint8 posters → embeddings on the device; where the backend allows, before they are computed.
Forward = Callable[[Any], Any]
Gradient = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def backend_has_gpu() -> bool:
    """Whether the backend that Keras runs on sees a GPU."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow

        return bool(tensorflow.config.list_physical_devices("GPU"))
    if backend == "jax":
        import jax

        return any(device.platform == "gpu" for device in jax.devices())
    if backend == "torch":
        import torch

        return bool(torch.cuda.is_available())
    return False


def compile_forward(network: keras.Model) -> tuple[Forward, bool]:
    """Compile the forward pass.

    Returns
    -------
    forward : callable
        uint8 posters of shape (n, height, width, 3) → embeddings of shape (n, D), on the device.
    fixed : bool
        Whether each new n costs a compilation.
    """
    backend = keras.backend.backend()
    makers = {"tensorflow": _for_tensorflow, "jax": _for_jax, "torch": _for_torch}
    return makers[backend](network)


def compile_gradient(function: Callable[[Any], Any]) -> Gradient:
    """Compile the gradient of a function.

    Parameters
    ----------
    function : callable
        One tensor → one number, by `keras.ops` and layers alone.

    Returns
    -------
    callable
        A float32 array → the gradient there, of its shape.
    """
    backend = keras.backend.backend()
    makers = {"tensorflow": _tensorflow_gradient, "jax": _jax_gradient, "torch": _torch_gradient}
    return makers[backend](function)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a backend's error says that the device's memory is exhausted.

    TensorFlow raises ResourceExhaustedError, JAX an XlaRuntimeError that begins with RESOURCE_EXHAUSTED,
    PyTorch an OutOfMemoryError.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"ResourceExhaustedError", "OutOfMemoryError"}) or (
        "RESOURCE_EXHAUSTED" in str(error)
    )


def _for_tensorflow(network: keras.Model) -> tuple[Forward, bool]:
    import tensorflow

    gpu = backend_has_gpu()
    # On the processor oneDNN's own kernels are faster than what XLA makes; on a GPU XLA fuses more.
    forward = tensorflow.function(
        lambda posters: network(posters, training=False),
        input_signature=[tensorflow.TensorSpec((None, *network.input_shape[1:]), "uint8")],
        jit_compile=gpu,
    )
    return lambda posters: forward(tensorflow.constant(posters)), gpu


def _for_jax(network: keras.Model) -> tuple[Forward, bool]:
    import jax

    learnt = [variable.value for variable in network.trainable_variables]
    fixed = [variable.value for variable in network.non_trainable_variables]

    @jax.jit
    def forward(learnt: Any, fixed: Any, posters: Any) -> Any:
        return network.stateless_call(learnt, fixed, posters, training=False)[0]

    return lambda posters: forward(learnt, fixed, posters), True


def _for_torch(network: keras.Model) -> tuple[Forward, bool]:
    import torch

    def forward(posters: Any) -> Any:
        with torch.inference_mode():
            return network(posters, training=False)

    return forward, False


def _tensorflow_gradient(function: Callable[[Any], Any]) -> Gradient:
    import tensorflow

    @tensorflow.function
    def gradient(x: Any) -> Any:
        with tensorflow.GradientTape() as tape:
            tape.watch(x)
            value = function(x)
        return tape.gradient(value, x)

    return lambda x: np.asarray(gradient(tensorflow.constant(x)))


def _jax_gradient(function: Callable[[Any], Any]) -> Gradient:
    import jax

    gradient = jax.jit(jax.grad(function))
    return lambda x: np.asarray(gradient(x))


def _torch_gradient(function: Callable[[Any], Any]) -> Gradient:
    import torch

    def gradient(x: NDArray[np.float32]) -> NDArray[np.float32]:
        leaf = keras.ops.convert_to_tensor(x).detach().requires_grad_(True)
        (found,) = torch.autograd.grad(function(leaf), leaf)
        return np.asarray(keras.ops.convert_to_numpy(found))

    return gradient
