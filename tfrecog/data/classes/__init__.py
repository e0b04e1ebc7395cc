"""The classes and keypoints of published data sets, as their files and weights number them."""
