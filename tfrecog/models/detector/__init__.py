"""The R-CNN family: features, regions, pooling, trunk and branches (Girshick et al. 2014 to He et al. 2017)."""
