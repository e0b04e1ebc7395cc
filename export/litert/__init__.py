"""TFLite files: the graph, its conversion, quantization, metadata, and the reader for devices."""
