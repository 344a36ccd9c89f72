"""How each language model is addressed: the text around instructions and a question, and where its answers end."""

from collections.abc import Mapping
from dataclasses import dataclass

PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"
"""A picture in a question to Qwen."""
THINK, THOUGHT = "<think>", "</think>"


@dataclass(frozen=True)
class Chat:
    """``instructions`` and ``question`` have ``{}`` for their text; ``answer``: where the model begins. ``default``:
    the instructions if none are given. ``ends``: special tokens that end an answer. ``thinks``: whether the model
    writes its thoughts first, unless it finds them empty; ``opens_thoughts``: it finds their first mark before it."""

    question: str
    answer: str
    ends: tuple[str, ...]
    instructions: str = ""
    default: str = ""
    thinks: bool = False
    opens_thoughts: bool = False

    def prompt(self, text: str, *, system: str, thinking: bool) -> str:
        """The whole prompt."""
        chosen = system or self.default
        before = self.instructions.replace("{}", chosen) if chosen else ""
        silence = f"{THINK}\n\n{THOUGHT}\n\n" if self.thinks and not thinking else ""
        opened = f"{THINK}\n" if self.opens_thoughts and thinking else ""
        return before + self.question.replace("{}", text) + self.answer + silence + opened


def _qwen(*, default: str = "", thinks: bool = False, opens_thoughts: bool = False) -> Chat:
    return Chat(
        instructions="<|im_start|>system\n{}<|im_end|>\n",
        question="<|im_start|>user\n{}<|im_end|>\n",
        answer="<|im_start|>assistant\n",
        ends=("<|im_end|>", "<|endoftext|>"),
        default=default,
        thinks=thinks,
        opens_thoughts=opens_thoughts,
    )


@dataclass(frozen=True)
class _GemmaChat(Chat):
    """Instructions and question share a message."""

    def prompt(self, text: str, *, system: str, thinking: bool) -> str:
        whole = f"{system}\n\n{text}" if system else text
        return self.question.replace("{}", whole) + self.answer


GEMMA = _GemmaChat(
    question="<start_of_turn>user\n{}<end_of_turn>\n", answer="<start_of_turn>model\n", ends=("<end_of_turn>",)
)

CHATS: Mapping[str, Chat] = {
    "qwen3": _qwen(thinks=True),
    "qwen3_vl": _qwen(),
    "qwen35": _qwen(thinks=True, opens_thoughts=True),
    "qwen25_vl": _qwen(default="You are a helpful assistant."),
    "gemma2": GEMMA,
    "gemma3": GEMMA,
    "llama3": Chat(
        instructions="<|start_header_id|>system<|end_header_id|>\n\n{}<|eot_id|>",
        question="<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>",
        answer="<|start_header_id|>assistant<|end_header_id|>\n\n",
        ends=("<|eot_id|>", "<|end_of_text|>"),
    ),
    "mistral3": Chat(
        instructions="[SYSTEM_PROMPT]{}[/SYSTEM_PROMPT]", question="[INST]{}[/INST]", answer="", ends=("</s>",)
    ),
}
"""By the kind of the text encoder's file."""


def without_thoughts(text: str) -> tuple[str, str]:
    """The answer, and the thoughts before it; the second is empty without any."""
    if not text.lstrip().startswith(THINK):
        return text, ""
    thoughts, _, answer = text.lstrip().removeprefix(THINK).partition(THOUGHT)
    return answer.strip(), thoughts.strip()
