"""The papers' mathematics as pure functions: boxes, anchors, matching, NMS, RoIAlign, RoIPool, masks, keypoints."""
