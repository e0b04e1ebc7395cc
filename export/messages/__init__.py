"""Messages of the protocols of gRPC: the `.proto` files, and what protoc makes of them."""
# python -m grpc_tools.protoc -I. --python_out=. export/messages/*.proto
# with grpcio-tools 1.73, whose code runs on every protobuf from 6.31 on.
