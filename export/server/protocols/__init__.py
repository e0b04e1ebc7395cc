"""What the protocols tell of models, beside predictions: for REST as JSON, and for gRPC as fields of messages."""
