"""Writers of annotations as tools read them: COCO JSON, YOLO's label files, LabelMe's JSON."""
