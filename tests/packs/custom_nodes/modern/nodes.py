"""One small node for each thing that a V3 node may do."""

import asyncio

import torch
from comfy_api.latest import ComfyAPI, ComfyAPISync, io, ui
from comfy_execution.graph_utils import GraphBuilder
from comfy_execution.utils import get_executing_context


def schema(node_id, inputs=(), outputs=(), **options):
    return io.Schema(node_id=node_id, category="tests/modern", inputs=list(inputs), outputs=list(outputs), **options)


class ModernNumber(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            "ModernNumber",
            [io.Int.Input("value", display_name="A value", default=1, display_mode=io.NumberDisplay.slider)],
            [io.Int.Output(display_name="number")],
            description="A number.",
        )

    @classmethod
    def execute(cls, value):
        return io.NodeOutput(value)


class ModernShow(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema("ModernShow", [io.AnyType.Input("value")], is_output_node=True, hidden=[io.Hidden.unique_id])

    @classmethod
    def execute(cls, value):
        assert cls.hidden.prompt[cls.hidden.unique_id]["class_type"] == "ModernShow"
        assert get_executing_context().node_id == cls.hidden.unique_id
        return io.NodeOutput(ui=ui.PreviewText(str(value)))


class ModernSwitch(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        template = io.MatchType.Template("switched")
        return schema(
            "ModernSwitch",
            [
                io.Boolean.Input("on"),
                io.MatchType.Input("no", template=template, lazy=True),
                io.MatchType.Input("yes", template=template, lazy=True),
            ],
            [io.MatchType.Output(template=template, display_name="switched")],
        )

    @classmethod
    def check_lazy_status(cls, on, no=None, yes=None):
        return ["yes" if on else "no"]

    @classmethod
    def execute(cls, on, no=None, yes=None):
        return io.NodeOutput(yes if on else no)


class ModernRange(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema("ModernRange", [io.Int.Input("end")], [io.Int.Output(is_output_list=True)])

    @classmethod
    def execute(cls, end):
        return io.NodeOutput(list(range(end)))


class ModernSum(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema("ModernSum", [io.Int.Input("values")], [io.Int.Output()], is_input_list=True)

    @classmethod
    def execute(cls, values):
        return io.NodeOutput(sum(values))


class ModernCountdown(io.ComfyNode):
    """Becomes smaller by expansion, and counts its rounds."""

    @classmethod
    def define_schema(cls):
        return schema(
            "ModernCountdown",
            [io.Int.Input("left"), io.Int.Input("rounds", default=0)],
            [io.Int.Output()],
            enable_expand=True,
        )

    @classmethod
    def execute(cls, left, rounds):
        if left <= 0:
            return io.NodeOutput(rounds)
        graph = GraphBuilder()
        again = graph.node("ModernCountdown", left=left - 1, rounds=rounds + 1)
        return io.NodeOutput(again.out(0), expand=graph.finalize())


class ModernBlock(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema("ModernBlock", [io.Int.Input("value")], [io.Int.Output()])

    @classmethod
    def execute(cls, value):
        return io.NodeOutput(block_execution=f"{value} is not allowed")


class ModernWait(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema("ModernWait", [io.Int.Input("value"), io.Float.Input("seconds")], [io.Int.Output()])

    @classmethod
    async def execute(cls, value, seconds):
        print(f"begin {value}")
        await asyncio.sleep(seconds)
        await ComfyAPI().execution.set_progress(1, 1)
        print(f"end {value}")
        return io.NodeOutput(value)


class ModernTens(io.ComfyNode):
    """The same for all numbers of ten."""

    @classmethod
    def define_schema(cls):
        return schema("ModernTens", [io.Int.Input("value")], [io.Int.Output()])

    @classmethod
    def fingerprint_inputs(cls, value):
        return value // 10

    @classmethod
    def execute(cls, value):
        print("tens ran")
        return io.NodeOutput(value)


class ModernJudge(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema("ModernJudge", [io.Combo.Input("mode", options=["a", "b"])], [io.String.Output()])

    @classmethod
    async def validate_inputs(cls, mode):
        return True if mode in ("a", "b", "secret") else f"{mode} is no mode"

    @classmethod
    def execute(cls, mode):
        return io.NodeOutput(mode)


class ModernSteps(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema("ModernSteps", [io.Int.Input("steps")], [io.Int.Output()])

    @classmethod
    def execute(cls, steps):
        for step in range(steps):
            ComfyAPISync().execution.set_progress(step + 1, steps, preview_image=torch.zeros(4, 4, 3))
        return io.NodeOutput(steps)


class ModernSave(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return schema(
            "ModernSave",
            [io.Image.Input("images"), io.String.Input("prefix", default="modern/saved")],
            [io.Image.Output()],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, images, prefix):
        return io.NodeOutput(images, ui=ui.ImageSaveHelper.get_save_images_ui(images, prefix, cls=cls))


class ModernGrow(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        template = io.Autogrow.TemplatePrefix(input=io.Int.Input("n"), prefix="n", min=1, max=5)
        return schema("ModernGrow", [io.Autogrow.Input("numbers", template=template)], [io.String.Output()])

    @classmethod
    def execute(cls, numbers):
        return io.NodeOutput(",".join(f"{name}={value}" for name, value in numbers.items()))


class ModernChoice(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        options = [
            io.DynamicCombo.Option("size", [io.Int.Input("width"), io.Int.Input("height", optional=True)]),
            io.DynamicCombo.Option("none", []),
        ]
        return schema("ModernChoice", [io.DynamicCombo.Input("how", options=options)], [io.String.Output()])

    @classmethod
    def execute(cls, how):
        return io.NodeOutput(str(sorted(how.items())))


class ModernFail(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        inputs = [io.MultiType.Input(io.Int.Input("value", default=3), types=[io.Float, io.Image])]
        return schema("ModernFail", inputs, [io.Int.Output()])

    @classmethod
    def execute(cls, value):
        raise LookupError(f"{value} was not found")


NODES = [
    *(ModernNumber, ModernShow, ModernSwitch, ModernRange, ModernSum, ModernCountdown, ModernBlock, ModernWait),
    *(ModernTens, ModernJudge, ModernSteps, ModernSave, ModernGrow, ModernChoice, ModernFail),
]
