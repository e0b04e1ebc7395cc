"""The person of COCO's keypoint annotations: joints, bones and how exactly people mark them."""

KEYPOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip

# Joints that change places in a mirror. Left is the person's own left.
FLIP_PAIRS = ((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16))

# Pairs of joints, as COCO's person category lists them (there from 1): legs, trunk, arms, head.
SKELETON = (
    (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10),
    (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
)  # fmt: skip

# Standard deviation of COCO's annotators, as a share of the square root of a person's area
# (cocodataset.org, keypoint evaluation; pycocotools' kpt_oks_sigmas).
SIGMAS = (
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089,
    0.089,
)  # fmt: skip

# Where nobody has measured how exactly keypoints can be marked. COCO's are 0.025 (eyes) to 0.107 (hips). OKS is 0.75 at
# a distance of 2 sigma sqrt(-2 ln 0.75) = 1.52 sigma of sqrt(area): 7.6 pixels for an object of 100 x 100.
DEFAULT_SIGMA = 0.05


def default_sigmas(keypoints) -> tuple[float, ...]:
    """COCO's sigmas if the names are those of COCO's person, else DEFAULT_SIGMA for each."""
    return SIGMAS if tuple(keypoints) == KEYPOINTS else (DEFAULT_SIGMA,) * len(keypoints)
