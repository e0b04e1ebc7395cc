"""The numbers of the field: COCO and Pascal VOC average precision, accuracy, mean IoU."""
