"""Which classes a data set has: of images, of pixels, of keypoints, and the tables of well-known data sets."""
