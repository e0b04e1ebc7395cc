"""A TFLite file on the GPU: LiteRT's CompiledModel, whose delegate takes what it knows, and the CPU the rest."""

import numpy as np

from tfrecog.cli.errors import UserError

from ..artifact.canvas_model import first_line
from .reader import SIGNATURE, LiteModel


class GpuModel(LiteModel):
    """A model of this library in a TFLite file, in float32 on the GPU; UserError where there is none."""

    def _open(self):
        inputs, outputs = super()._open()
        self._runner = Compiled(self.path, self.threads, inputs, outputs)
        return inputs, outputs


class Compiled:
    """A function of named inputs to named outputs, as an interpreter's runner of a signature."""

    def __init__(self, path, threads, inputs, outputs):
        from ai_edge_litert import compiled_model, gpu_options, hardware_accelerator, options

        both = hardware_accelerator.HardwareAccelerator.GPU | hardware_accelerator.HardwareAccelerator.CPU
        chosen = options.Options(
            hardware_accelerators=both,
            cpu_options=options.CpuOptions(num_threads=threads),
            gpu_options=gpu_options.GpuOptions(enforce_f32=True),
        )
        try:
            self._model = compiled_model.CompiledModel.from_file(str(path), options=chosen)
        except RuntimeError as error:
            raise UserError(
                f"{path} cannot be loaded on a GPU ({first_line(error)}): LiteRT needs a driver of Vulkan on Linux, "
                "and a file in which no size depends on values, as export.tflite says"
            ) from error
        self._inputs = {name: self._model.create_input_buffer_by_name(SIGNATURE, name) for name in inputs}
        self._outputs = {name: self._model.create_output_buffer_by_name(SIGNATURE, name) for name in outputs}
        self._details = outputs

    def __call__(self, **values):
        for name, value in values.items():
            self._inputs[name].write(np.ascontiguousarray(value))
        self._model.run_by_name(SIGNATURE, self._inputs, self._outputs)
        found = {}
        for name, detail in self._details.items():
            shape = tuple(detail["shape"])
            found[name] = self._outputs[name].read(int(np.prod(shape)), detail["dtype"]).reshape(shape)
        return found
