"""What an exported model may have: which form its masks, and which numbers its network."""

from typing import Literal

Masks = Literal["squares", "pasted", "runs"]
Quantize = Literal["none", "float16", "dynamic", "int8"]
