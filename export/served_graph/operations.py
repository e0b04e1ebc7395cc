"""Which operations the program in a SavedModel may have: those that compute, and do not read or write files."""

import re
from pathlib import Path

from tfrecog.cli.errors import UserError

# Arithmetic, arrays, networks, images, lists, control flow and variables. Not here are, among many, ReadFile,
# WriteFile, PrintV2 (which writes to files), PyFunc, and the operations of datasets, tables, sockets and checkpoints.
ALLOWED = frozenset(
    re.findall(
        r"\w+",
        """
    Abs Acos Acosh Add AddN AddV2 All Angle Any ApproximateEqual ArgMax ArgMin Asin Asinh Assert AssignVariableOp
    Atan Atan2 Atanh AvgPool AvgPoolGrad BatchMatMul BatchMatMulV2 BatchMatMulV3 BatchToSpaceND BiasAdd Bincount
    BitwiseAnd BitwiseOr BitwiseXor BroadcastArgs BroadcastTo Bucketize CSRSparseMatrixComponents
    CSRSparseMatrixToDense CSRSparseMatrixToSparseTensor Case Cast Ceil CheckNumerics ClipByValue
    CombinedNonMaxSuppression Concat ConcatV2 Const Conv Conv2D Conv2DBackpropFilter Conv2DBackpropInput Conv3D Cos
    Cosh CropAndResize Cross Cumprod Cumsum DecodeAndCropJpeg DecodeBase64 DecodeBmp DecodeGif DecodeImage
    DecodeJpeg DecodePaddedRaw DecodePng DecodeRaw DenseBincount DenseToCSRSparseMatrix DepthToSpace
    DepthwiseConv2dNative DepthwiseConv2dNativeBackpropFilter DepthwiseConv2dNativeBackpropInput Dequantize Diag
    DiagPart Dilation2D DivNoNan DynamicPartition DynamicStitch Einsum Elu Empty EmptyTensorList EncodeBase64
    EncodeJpeg EncodePng EnsureShape Enter Equal Erf Erfc Exit Exp ExpandDims Expm1 ExtractGlimpse
    ExtractImagePatches ExtractJpegShape FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars
    FakeQuantWithMinMaxVarsPerChannel Fill Floor FloorDiv FloorMod FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3
    Gather GatherNd GatherV2 Greater GreaterEqual HSVToRGB Identity IdentityN If ImageProjectiveTransformV2
    ImageProjectiveTransformV3 InTopKV2 Inv InvertPermutation IsFinite IsInf IsNan L2Loss LRN LeakyRelu LeftShift
    Less LessEqual Lgamma LinSpace Log Log1p LogSoftmax LogicalAnd LogicalNot LogicalOr LoopCond LowerBound MatMul
    MatrixBandPart MatrixDiag MatrixDiagPart MatrixDiagPartV2 MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3
    MatrixSetDiagV3 Max MaxPool MaxPoolGrad MaxPoolGradWithArgmax MaxPoolV2 MaxPoolWithArgmax Maximum Mean Merge Min
    Minimum MirrorPad Mod Mul MulNoNan Neg NextIteration NoOp NonMaxSuppression NonMaxSuppressionV2
    NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5 NonMaxSuppressionWithOverlaps NotEqual OneHot
    OnesLike Pack Pad PadV2 ParallelConcat ParseExample ParseExampleV2 PartitionedCall Placeholder
    PlaceholderWithDefault Pow PreventGradient Prod QuantizeAndDequantizeV2 QuantizeAndDequantizeV3
    QuantizeAndDequantizeV4 QuantizeV2 RGBToHSV Range Rank ReadVariableOp RealDiv Reciprocal Relu Relu6 Reshape
    ResizeArea ResizeBicubic ResizeBilinear ResizeBilinearGrad ResizeNearestNeighbor ResizeNearestNeighborGrad
    ResourceGather ResourceGatherNd Reverse ReverseSequence ReverseV2 RightShift Rint Roll Round Rsqrt
    ScaleAndTranslate ScatterNd SearchSorted SegmentMax SegmentMean SegmentMin SegmentProd SegmentSum Select
    SelectV2 Selu Shape ShapeN Sigmoid Sign Sin Sinh Size Slice Snapshot Softmax Softplus Softsign SpaceToBatchND
    SpaceToDepth SparseMatrixAdd SparseMatrixMatMul SparseMatrixMul SparseMatrixNNZ SparseMatrixSoftmax
    SparseMatrixSparseMatMul SparseMatrixTranspose SparseMatrixZeros SparseReorder SparseReshape
    SparseTensorDenseMatMul SparseTensorToCSRSparseMatrix SparseToDense Split SplitV Sqrt Square SquaredDifference
    Squeeze StatefulPartitionedCall StatelessCase StatelessIf StatelessWhile StopGradient StridedSlice StringJoin
    StringLength Sub Substr Sum Switch Tan Tanh TensorListConcatV2 TensorListElementShape TensorListFromTensor
    TensorListGather TensorListGetItem TensorListLength TensorListPopBack TensorListPushBack TensorListReserve
    TensorListResize TensorListScatterIntoExistingList TensorListScatterV2 TensorListSetItem TensorListSplit
    TensorListStack TensorScatterAdd TensorScatterMax TensorScatterMin TensorScatterSub TensorScatterUpdate
    TensorStridedSliceUpdate Tile TopK TopKV2 Transpose TruncateDiv TruncateMod Unique UniqueV2 UniqueWithCounts
    UniqueWithCountsV2 Unpack UnravelIndex UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd
    UnsortedSegmentSum UpperBound VarHandleOp VarIsInitializedOp VariableShape Where While Xdivy Xlog1py Xlogy
    ZerosLike
    """,
    )
)
# Those of the two functions that write and read the variables, which loading does not call.
_SAVER = {"DisableCopyOnRead", "MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename", "StaticRegexFullMatch"}


def check(version: str | Path) -> None:
    """UserError if the SavedModel in a folder is none, or its program has an operation that is not ALLOWED."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString((Path(version) / "saved_model.pb").read_bytes())
    except (OSError, DecodeError) as error:
        raise UserError(f"{version} cannot be loaded as a SavedModel ({error}); export it again") from error
    if len(saved.meta_graphs) != 1 or not saved.meta_graphs[0].HasField("object_graph_def"):
        raise UserError(f"{version} is a SavedModel of TensorFlow 1, or has several graphs; export it again")
    if stranger := _first_other(saved.meta_graphs[0]):
        raise UserError(
            f"{version} was not loaded: its program has {stranger}, which models of this library do not need and which "
            "may read or write files or run code. Export the model again, or ask whoever made it"
        )


def _first_other(graph) -> str:
    """The first operation of a MetaGraphDef that is not allowed, and where it is; empty if all are."""
    functions = {function.signature.name: function for function in graph.graph_def.library.function}
    nodes = {node.name: node for node in graph.graph_def.node}
    ends = (graph.saver_def.save_tensor_name.partition(":")[0], graph.saver_def.restore_op_name)
    savers = {name for end in ends if end in nodes for name in _called(nodes[end])}
    for node in graph.graph_def.node:
        if _is_other(node, ALLOWED) or (node.name not in ends and savers.intersection(_called(node))):
            return f"the operation {_shown(node, savers)}"
    for name, function in functions.items():
        allowed = ALLOWED | _SAVER if name in savers else ALLOWED | functions.keys() - savers
        for node in function.node_def:
            if _is_other(node, allowed) or savers.intersection(_called(node)):
                return f"the operation {_shown(node, savers)} in the function {name}"
    # Whoever could call them by another way than the saver could write any file.
    callable_ones = {*graph.object_graph_def.concrete_functions}
    callable_ones |= {name for name, function in functions.items() if "api_implements" in function.attr}
    return next((f"the function {name} that can be called" for name in sorted(savers & callable_ones)), "")


def _is_other(node, allowed) -> bool:
    """Whether a node is none of the operations that are allowed."""
    # With another number of channels TensorFlow 2.21 writes beyond its memory for a WebP file of several frames.
    return node.op not in allowed or (node.op == "DecodeImage" and node.attr["channels"].i != 3)


def _called(node) -> set[str]:
    """Names of the functions that a node has in its attributes."""
    lists = [[value.func, *value.list.func] for value in node.attr.values()]
    return {function.name for each in lists for function in each if function.name}


def _shown(node, savers) -> str:
    called = savers.intersection(_called(node))
    return f"{node.op} of {min(called)}" if called else node.op
