"""What the protocols tell of models, by messages of their own, by other programs' clients, and by TLS."""

import json
import ssl
import urllib.request

import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="the server's extra is not installed: pip install 'tfrecog[serving]'")

import grpc
from google.protobuf import json_format

from export.messages import inference_pb2, prediction_pb2
from export.server import client_protocols, grpc_calls
from export.server.tls import Tls
from tests.export import served_folders, servers
from tfrecog.cli.errors import UserError

PIXELS = np.arange(2 * 6 * 7 * 3, dtype=np.uint8).reshape(2, 6, 7, 3)
SCORES = PIXELS.reshape(2, -1, 3).sum(1) / PIXELS.reshape(2, -1).sum(1)[:, None]


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """A server of a classifier in version 3."""
    folder = tmp_path_factory.mktemp("served") / "colours"
    process = servers.Process(served_folders.write(folder, served_folders.Colours(), "classification", version=3))
    yield process.wait()
    process.send_signal(9)


def called(server, service, method, message, kind, credentials=None):
    """The answer of gRPC to a message."""
    made = grpc.secure_channel(server.grpc, credentials) if credentials else grpc.insecure_channel(server.grpc)
    with made as channel:
        call = channel.unary_unary(f"/{service}/{method}", lambda one: one.SerializeToString(), kind.FromString)
        return call(message, timeout=60)


def v2(server, method, **fields):
    request, kind = (getattr(inference_pb2, f"{method}{end}") for end in ("Request", "Response"))
    return called(server, grpc_calls.V2_SERVICE, method, request(**fields), kind)


def predicted(server, **spec):
    """The answer of PredictionService to pixels."""
    shape = {"dim": [{"size": side} for side in PIXELS.shape]}
    tensor = prediction_pb2.TensorProto(dtype="DT_UINT8", tensor_shape=shape, tensor_content=PIXELS.tobytes())
    request = prediction_pb2.PredictRequest(
        model_spec={"name": "colours", **spec}, inputs={"image": tensor}, output_filter=["scores"]
    )
    return called(server, grpc_calls.V1_SERVICE, "Predict", request, prediction_pb2.PredictResponse)


def got(server, path):
    status, _, body = server.ask("GET", path)
    return status, json.loads(body)


def test_prediction_service_answers_with_tensors_and_the_version(colours):
    for spec in ({}, {"version": {"value": 3}}, {"signature_name": "image_tensor"}):
        answer = predicted(colours, **spec)
        assert [*answer.outputs] == ["scores"] and answer.model_spec.version.value == 3
        scores = np.frombuffer(answer.outputs["scores"].tensor_content, np.float32).reshape(2, 3)
        np.testing.assert_allclose(scores, SCORES, atol=1e-5)


@pytest.mark.parametrize(
    ("spec", "code", "sentence"),
    [
        ({"version": {"value": 9}}, "NOT_FOUND", "in version 3, not in 9"),
        ({"version_label": "canary"}, "NOT_FOUND", "no label 'canary'; it has none"),
        ({"name": "dogs"}, "NOT_FOUND", "no model is named 'dogs'"),
        ({"signature_name": "x"}, "INVALID_ARGUMENT", "this server has serving_default and image_tensor"),
    ],
)
def test_prediction_service_refuses_in_the_words_of_rest(colours, spec, code, sentence):
    with pytest.raises(grpc.RpcError, match=sentence) as caught:
        predicted(colours, **spec)
    assert caught.value.code().name == code


def test_a_file_as_a_string_of_tensorflow_is_answered_and_many_fields_are_refused(colours):
    files = [served_folders.encoded(one) for one in PIXELS]
    tensor = prediction_pb2.TensorProto(dtype="DT_STRING", string_val=files)
    request = prediction_pb2.PredictRequest(model_spec={"name": "colours"}, inputs={"image_bytes": tensor})
    answer = called(colours, grpc_calls.V1_SERVICE, "Predict", request, prediction_pb2.PredictResponse)
    assert answer.outputs["classes"].string_val[0].decode() == served_folders.NAMES[SCORES[0].argmax()]
    request.inputs["image_bytes"].string_val.extend([b""] * 20_000)
    with pytest.raises(grpc.RpcError, match="more than 10,000 fields"):
        called(colours, grpc_calls.V1_SERVICE, "Predict", request, prediction_pb2.PredictResponse)


def test_signatures_are_those_of_tensorflow_serving_by_rest_and_grpc(colours):
    status, told = got(colours, "/v1/models/colours/versions/3/metadata")
    signatures = told["metadata"]["signature_def"]["signature_def"]
    assert status == 200 and told["model_spec"] == {"name": "colours", "signature_name": "", "version": "3"}
    given = signatures["serving_default"]["inputs"]["image_bytes"]
    assert given["dtype"] == "DT_STRING" and given["tensor_shape"]["dim"] == [{"size": "-1", "name": ""}]
    assert signatures["image_tensor"]["outputs"]["scores"]["tensor_shape"]["dim"][1]["size"] == "3"
    request = prediction_pb2.GetModelMetadataRequest(model_spec={"name": "colours"}, metadata_field=["signature_def"])
    kind = prediction_pb2.GetModelMetadataResponse
    packed = called(colours, grpc_calls.V1_SERVICE, "GetModelMetadata", request, kind).metadata["signature_def"]
    assert packed.type_url.endswith("/tensorflow.serving.SignatureDefMap")
    read = prediction_pb2.SignatureDefMap.FromString(packed.value)
    assert json_format.MessageToDict(read)["signatureDef"].keys() == signatures.keys()
    request.metadata_field[:] = ["x"]
    with pytest.raises(grpc.RpcError, match="this server has 'signature_def'"):
        called(colours, grpc_calls.V1_SERVICE, "GetModelMetadata", request, kind)


def test_the_state_of_a_version_is_told_by_rest_and_grpc(colours):
    assert got(colours, "/v1/models/colours/versions/9")[0] == got(colours, "/v1/models/colours/labels/x")[0] == 404
    request = prediction_pb2.GetModelStatusRequest(model_spec={"name": "colours"})
    kind = prediction_pb2.GetModelStatusResponse
    (told,) = called(colours, grpc_calls.STATUS_SERVICE, "GetModelStatus", request, kind).model_version_status
    assert (told.version, told.state) == (3, prediction_pb2.ModelVersionStatus.AVAILABLE)


def test_configuration_index_and_statistics_say_the_same_by_rest_and_grpc(colours):
    before = got(colours, "/v2/models/colours/versions/3/stats")[1]["model_stats"][0]
    colours.predict(PIXELS.tolist())
    _, told = got(colours, "/v2/models/colours/stats")
    (counted,) = told["model_stats"]
    assert counted["inference_count"] == before["inference_count"] + 2
    assert counted["inference_stats"]["success"]["count"] == before["inference_stats"]["success"]["count"] + 1
    assert sum(row["batch_size"] * row["compute_infer"]["count"] for row in counted["batch_stats"]) >= 2
    written = v2(colours, "ModelStatistics", name="colours", version="3").model_stats[0]
    assert written.inference_count == counted["inference_count"] and written.last_inference > 1e12
    assert written.inference_stats.compute_infer.ns == counted["inference_stats"]["compute_infer"]["ns"] > 0

    _, config = got(colours, "/v2/models/colours/config")
    assert config["input"][1] == {"name": "image", "data_type": "TYPE_UINT8", "dims": [-1, -1, 3]}
    read = v2(colours, "ModelConfig", name="colours").config
    assert json_format.MessageToDict(read, preserving_proto_field_name=True)["max_batch_size"] == 64
    assert (
        config["dynamic_batching"]["max_queue_delay_microseconds"] == read.dynamic_batching.max_queue_delay_microseconds
    )

    status, _, body = colours.ask("POST", "/v2/repository/index", '{"ready": true}')
    assert status == 200 and json.loads(body) == [{"name": "colours", "version": "3", "state": "READY"}]
    (row,) = v2(colours, "RepositoryIndex").models
    assert (row.name, row.version, row.state) == ("colours", "3", "READY")


def test_a_version_that_is_not_there_is_not_found_by_grpc(colours):
    for method in ("ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics"):
        with pytest.raises(grpc.RpcError, match="in version 3, not in 99") as caught:
            v2(colours, method, name="colours", version="99")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_the_best_classes_are_told_as_triton_tells_them(colours):
    tensor = {"name": "image", "datatype": "UINT8", "shape": [*PIXELS.shape], "data": PIXELS.ravel().tolist()}
    body = {"inputs": [tensor], "outputs": [{"name": "scores", "parameters": {"classification": 2}}]}
    (output,) = json.loads(colours.ask("POST", "/v2/models/colours/infer", json.dumps(body))[2])["outputs"]
    assert output["shape"] == [2, 2] and output["datatype"] == "BYTES"
    score, index, name = output["data"][0].split(":")
    assert int(index) == SCORES[0].argmax() and name == served_folders.NAMES[int(index)]
    assert float(score) == pytest.approx(SCORES[0].max(), abs=1e-5)
    body["outputs"] = [{"name": "class_scores", "parameters": {"classification": 2}}]
    status, _, answer = colours.ask("POST", "/v2/models/colours/infer", json.dumps(body))
    assert status == 400 and b"the classes of 'class_scores' cannot be told" in answer


def test_an_answer_names_the_version_that_gave_it(colours):
    _, headers, _ = colours.ask("POST", "/v1/models/colours:predict", json.dumps({"instances": [PIXELS[0].tolist()]}))
    assert headers["tfrecog-model-version"] == "3"


def health(server, service, kind=prediction_pb2.HealthCheckResponse):
    request = prediction_pb2.HealthCheckRequest(service=service)
    return called(server, grpc_calls.HEALTH_SERVICE, "Check", request, kind)


def test_health_is_told_of_the_server_its_services_and_models(colours):
    for service in ("", grpc_calls.V2_SERVICE, "colours"):
        assert health(colours, service).status == prediction_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError, match="no service or model is named 'x'") as caught:
        health(colours, "x")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    with grpc.insecure_channel(colours.grpc) as channel:
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=60)
        assert next(iter(watch)) == b"\x08\x01"
        watch.cancel()


def test_every_path_of_the_description_is_answered(colours):
    _, told = got(colours, "/openapi.json")
    assert told["components"]["parameters"]["name"]["schema"]["enum"] == ["colours"]
    assert told["paths"]["/v2/models/{name}"]["get"]["parameters"] == [{"$ref": "#/components/parameters/name"}]
    for path, methods in told["paths"].items():
        here = path.format(name="colours", version="3", label="x")
        status, _, body = colours.ask(*(["GET", here] if "get" in methods else ["POST", here, "{}"]))
        expected = 404 if "label" in path else 200 if "get" in methods or here.endswith("index") else 400
        assert status == expected, (path, body)


@pytest.mark.parametrize("path", ["/v1/models/{name}:predict", "/v2/models/{name}/infer"])
def test_the_examples_of_the_description_are_answered_as_it_says(colours, path):
    _, told = got(colours, "/openapi.json")
    described = told["paths"][path]["post"]
    examples = described["requestBody"]["content"]["application/json"]["examples"]
    for name, example in examples.items():
        asked = "POST", path.format(name="colours"), json.dumps(example["value"])
        status, headers, body = colours.ask(*asked)
        assert status == 200, (name, body)
        assert headers["content-type"] in described["responses"]["200"]["content"], name


def test_the_server_is_described_with_and_without_a_slash(colours):
    assert got(colours, "/v2/") == got(colours, "/v2")  # as the Open Inference Protocol has it, and as KServe does


def _numbers(message):
    return {field.name: (field.number, field.type, field.is_repeated) for field in message.fields}


OTHERS = {  # of which not all have to be installed; kserve and tritonclient exclude each other in a process
    "kserve.protocol.grpc.grpc_predict_v2_pb2": inference_pb2,
    "tensorflow.core.framework.tensor_pb2": prediction_pb2,
    "tensorflow.core.framework.tensor_shape_pb2": prediction_pb2,
    "tensorflow.core.protobuf.meta_graph_pb2": prediction_pb2,
    "tensorflow_serving.apis.model_pb2": prediction_pb2,
    "tensorflow_serving.apis.predict_pb2": prediction_pb2,
    "tensorflow_serving.apis.get_model_metadata_pb2": prediction_pb2,
    "tensorflow_serving.apis.get_model_status_pb2": prediction_pb2,
    "tensorflow_serving.apis.prediction_log_pb2": prediction_pb2,
    "grpc_health.v1.health_pb2": prediction_pb2,
}


@pytest.mark.parametrize("name", OTHERS)
def test_our_messages_have_the_numbers_and_types_of_others(name):
    theirs, ours = pytest.importorskip(name, exc_type=ImportError).DESCRIPTOR, OTHERS[name].DESCRIPTOR
    common = {*ours.message_types_by_name.keys()} & {*theirs.message_types_by_name.keys()}
    assert common
    for message in common:
        own, other = (one.message_types_by_name[message] for one in (ours, theirs))
        pairs = [(own, other), *((part, other.nested_types_by_name[part.name]) for part in own.nested_types)]
        for mine, their in pairs:
            wrong = _numbers(mine).items() - _numbers(their).items()
            # A code is a number in the same bytes as the enumeration of TensorFlow's.
            assert {field for field, _ in wrong} <= {"error_code"}, (message, wrong)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A folder of certificates: of an authority, a server, a client, and a stranger."""
    trustme = pytest.importorskip("trustme", reason="trustme is not installed")
    folder = tmp_path_factory.mktemp("tls")
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued = {"server": authority.issue_cert("localhost", "127.0.0.1"), "client": authority.issue_cert("a@b.example")}
    issued["stranger"] = other.issue_cert("a@b.example")
    for name, one in issued.items():
        one.private_key_pem.write_to_path(folder / f"{name}.key")
        one.private_key_and_cert_chain_pem.write_to_path(folder / f"{name}.pem")
    return folder


def test_by_tls_a_client_with_a_certificate_is_answered_and_no_other(certificates, tmp_path):
    folder = served_folders.write(tmp_path / "colours", served_folders.Colours(), "classification")
    files = {f"tls_{flag}": str(certificates / name) for flag, name in
             (("cert", "server.pem"), ("key", "server.key"), ("client_ca", "ca.pem"))}  # fmt: skip
    picture = served_folders.encoded(PIXELS[0])

    def tls(name):
        return client_protocols.ClientTls(str(certificates / "ca.pem"), name and str(certificates / f"{name}.pem"))

    def story(server):
        url = server.url.replace("http:", "https:")
        answers = [
            client_protocols.by_v1(url, "colours", picture, 60, tls("client")),
            client_protocols.by_v2(url, "colours", picture, 60, tls("client")),
            client_protocols.by_grpc(server.grpc, "colours", picture, 60, tls("client")),
        ]
        for answer in answers:
            np.testing.assert_allclose(answer["scores"], SCORES[0], atol=1e-5)
        for name in ("", "stranger"):
            with pytest.raises(client_protocols.RequestFailed):
                client_protocols.by_v1(url, "colours", picture, 60, tls(name))
            with pytest.raises(client_protocols.RequestFailed, match="UNAVAILABLE"):
                client_protocols.by_grpc(server.grpc, "colours", picture, 5, tls(name))
        with pytest.raises(OSError):
            urllib.request.urlopen(server.url, timeout=60)

    assert "https://127.0.0.1" in servers.beside(folder, story, **files)


def test_files_of_tls_that_do_not_fit_are_named(certificates):
    cert, key, ca = (str(certificates / name) for name in ("server.pem", "client.key", "ca.pem"))
    with pytest.raises(UserError, match=r"--tls_cert=.*server.pem and --tls_key=.*client.key are no certificate and"):
        Tls(cert, key).context()
    with pytest.raises(UserError, match="--tls_client_ca=nowhere: there is no such file"):
        Tls(cert, str(certificates / "server.key"), "nowhere").context()
    context = Tls(cert, str(certificates / "server.key"), ca).context()
    assert context.verify_mode is ssl.CERT_REQUIRED
