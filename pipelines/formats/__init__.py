"""The files people bring: COCO JSON, VOC XML, label images, tars, IDX, and what each of their parts means."""
