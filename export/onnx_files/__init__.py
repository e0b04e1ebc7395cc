"""ONNX files: the conversion of a TFLite file, what a file may hold, and the reader for ONNX Runtime."""
