"""Boxes, masks, keypoints and label maps drawn on images; curves and tables as figures."""
