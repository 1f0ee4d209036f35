"""How large the integers of an int8 network's weights may be on this CPU."""

from functools import cache

import numpy as np


@cache
def weight_bits() -> int:
    """8, or 7 on a CPU that adds two products of bytes in 16 bits, which the largest weights would overflow.

    These are x86 processors without VNNI (AVX2, and AVX-512 before Cascade Lake). ONNX Runtime and OpenVINO give other
    results there and say nothing (ONNX Runtime, "Quantize ONNX Models", reduce_range). So this function multiplies the
    largest integers to find out.
    """
    import onnx
    import onnxruntime

    length, weight, activation = 64, np.iinfo(np.int8).max, np.iinfo(np.uint8).max
    helper, types = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["activations", "weights"], ["products"])],
        "largest",
        [helper.make_tensor_value_info("activations", types.UINT8, [1, length])],
        [helper.make_tensor_value_info("products", types.INT32, [1, length])],
        [onnx.numpy_helper.from_array(np.full((length, length), weight, np.int8), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (products,) = session.run(None, {"activations": np.full((1, length), activation, np.uint8)})
    return 8 if products[0, 0] == length * int(weight) * int(activation) else 7
