"""A model measured on a split: the metrics of its task, with tables, curves and the worst images."""
