"""What differs between Keras' backends: compiling, gradients, GPUs, memory errors.

The only module that imports TensorFlow, JAX or PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

# uint8 posters → embeddings on the device; they may still be computing when it returns.
Forward = Callable[[Any], Any]
Gradient = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def backend_has_gpu() -> bool:
    """Whether Keras' backend computes on a GPU.

    Examples
    --------
    >>> backend_has_gpu() in (True, False)
    True
    """
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
    """Compile the inference of a network.

    Parameters
    ----------
    network : keras.Model
        Posters of shape (n, height, width, 3), dtype uint8 → embeddings (n, D).

    Returns
    -------
    forward : callable
        Posters → embeddings, a tensor on the device.
    static_shapes : bool
        Whether each new n costs a compilation.

    Examples
    --------
    >>> import numpy as np
    >>> from hybrid.backbones import get_backbone, resolve_weights
    >>> from hybrid.backbones.load import load_network
    >>> spec = get_backbone("small")
    >>> forward, _ = compile_forward(load_network(spec, resolve_weights(spec, "random")))
    >>> tuple(forward(np.zeros((2, 150, 150, 3), dtype=np.uint8)).shape)
    (2, 64)
    """
    backend = keras.backend.backend()
    makers = {"tensorflow": _for_tensorflow, "jax": _for_jax, "torch": _for_torch}
    return makers[backend](network)


def compile_text_forward(network: keras.Model) -> tuple[Callable[[Any, Any], Any], bool]:
    """Compile the inference of a text encoder.

    Parameters
    ----------
    network : keras.Model
        Tokens (n, width) and lengths (n,), int32 → embeddings (n, D).

    Returns
    -------
    forward : callable
        Tokens and lengths → embeddings, a tensor on the device.
    static_shapes : bool
        Whether each new shape costs a compilation.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow

        gpu = backend_has_gpu()
        shapes = (None, None), (None,)
        forward = tensorflow.function(
            lambda ids, lengths: network([ids, lengths], training=False),
            input_signature=[tensorflow.TensorSpec(shape, "int32") for shape in shapes],
            jit_compile=gpu,
        )
        return lambda ids, lengths: forward(*map(tensorflow.constant, (ids, lengths))), gpu
    if backend == "jax":
        import jax

        trained = [variable.value for variable in network.trainable_variables]
        fixed = [variable.value for variable in network.non_trainable_variables]
        compiled = jax.jit(
            lambda trained, fixed, *inputs: network.stateless_call(
                trained, fixed, list(inputs), training=False
            )[0]
        )
        return lambda ids, lengths: compiled(trained, fixed, ids, lengths), True
    import torch

    def run(ids: Any, lengths: Any) -> Any:
        with torch.inference_mode():
            return network([ids, lengths], training=False)

    return run, False


def compile_gradient(function: Callable[[Any], Any]) -> Gradient:
    """Compile the gradient of a scalar function.

    Parameters
    ----------
    function : callable
        One tensor → a scalar, computed by `keras.ops` and Keras layers alone.

    Returns
    -------
    callable
        A float32 array → the gradient there, a float32 array of the same shape.

    Examples
    --------
    >>> import numpy as np
    >>> gradient = compile_gradient(lambda x: keras.ops.sum(x * x))
    >>> gradient(np.array([1.0, -2.0], dtype=np.float32)).tolist()
    [2.0, -4.0]
    """
    backend = keras.backend.backend()
    makers = {"tensorflow": _tensorflow_gradient, "jax": _jax_gradient, "torch": _torch_gradient}
    return makers[backend](function)


def adam_step(
    variable: Any,
    momentum: Any,
    velocity: Any,
    gradient: Any,
    rate: Any,
    betas: Sequence[tuple[float, Any]],
    epsilon: float,
) -> None:
    """One step of Adam by TensorFlow's own operation; its formula is that of `keras.optimizers.Adam`.

    Parameters
    ----------
    variable, momentum, velocity : keras.Variable or tensorflow.Variable
        Changed in place.
    gradient, rate : tensor
    betas : sequence of two (float, tensor)
        Both decay rates, and these to the power of the step, from 1.
    epsilon : float
    """
    import tensorflow

    (beta1, power1), (beta2, power2) = betas
    handles = [
        (each.value if isinstance(each, keras.Variable) else each).handle
        for each in (variable, momentum, velocity)
    ]
    tensorflow.raw_ops.ResourceApplyAdam(
        **dict(zip(("var", "m", "v"), handles, strict=True)),
        beta1_power=power1,
        beta2_power=power2,
        lr=rate,
        beta1=beta1,
        beta2=beta2,
        epsilon=epsilon,
        grad=gradient,
    )


def lean_gelu(x: Any) -> Any:
    """The exact GELU on TensorFlow, which keeps one tensor for its gradient, not five.

    Parameters
    ----------
    x : tensor of floats

    Returns
    -------
    tensor
    """
    import tensorflow

    @tensorflow.custom_gradient
    def compute(x: Any) -> Any:
        below = 0.5 * tensorflow.math.erfc(x * -math.sqrt(0.5))  # the normal distribution's
        density = tensorflow.exp(-0.5 * tensorflow.square(x)) * (1 / math.sqrt(2 * math.pi))
        slope = below + x * density
        return x * below, lambda gradient: gradient * slope

    return compute(x)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of a backend means that the memory of the device is exhausted.

    TensorFlow raises ResourceExhaustedError, JAX an XlaRuntimeError whose message begins with
    RESOURCE_EXHAUSTED, PyTorch an OutOfMemoryError.

    Examples
    --------
    >>> is_out_of_memory(RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate"))
    True
    >>> is_out_of_memory(ValueError("shapes do not match"))
    False
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"ResourceExhaustedError", "OutOfMemoryError"}) or (
        "RESOURCE_EXHAUSTED" in str(error)
    )


def _for_tensorflow(network: keras.Model) -> tuple[Forward, bool]:
    import tensorflow

    gpu = backend_has_gpu()
    # On the processor oneDNN's kernels are faster than XLA's; on a GPU XLA fuses more.
    forward = tensorflow.function(
        lambda posters: network(posters, training=False),
        input_signature=[tensorflow.TensorSpec((None, *network.input_shape[1:]), "uint8")],
        jit_compile=gpu,
    )
    return lambda posters: forward(tensorflow.constant(posters)), gpu


def _for_jax(network: keras.Model) -> tuple[Forward, bool]:
    import jax

    trained = [variable.value for variable in network.trainable_variables]
    fixed = [variable.value for variable in network.non_trainable_variables]

    @jax.jit
    def forward(trained: Any, fixed: Any, posters: Any) -> Any:
        return network.stateless_call(trained, fixed, posters, training=False)[0]

    return lambda posters: forward(trained, fixed, posters), True


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
