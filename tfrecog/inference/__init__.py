"""Trained models on images: batches in, detections, classes or label maps out, as files and pictures."""
