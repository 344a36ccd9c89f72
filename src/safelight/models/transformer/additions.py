"""What control networks and hooks do to the tokens of a picture, after each block of a transformer."""

import torch

from safelight.models.network_hooks import Control, NetworkHooks, TokenBlock


class Additions:
    """Those of one forward pass. Mutable: hooks may keep what they computed from block to block."""

    def __init__(self, x: torch.Tensor, control: Control | None, hooks: NetworkHooks | None) -> None:
        """``x``: the latent that enters the network."""
        self._residuals = control.tokens if control is not None else {}
        self._hooks = [start(x) for start in hooks.tokens] if hooks is not None else []
        self._text = hooks.text if hooks is not None else ()
        self._entering = [start(x) for start in hooks.entering] if hooks is not None else []

    def __bool__(self) -> bool:
        return bool(self._residuals or self._hooks)

    def __contains__(self, block: tuple[str, int]) -> bool:
        """Whether a control network adds something after this block."""
        return block in self._residuals

    def before(self, text: torch.Tensor) -> torch.Tensor:
        """The text's tokens before the first block."""
        for hook in self._text:
            text = hook(text)
        return text

    def entering(self, tokens: torch.Tensor, layer: str) -> torch.Tensor:
        """The tokens that enter a linear layer of this name."""
        for hook in self._entering:
            tokens = hook(tokens, layer)
        return tokens

    def after(self, tokens: torch.Tensor, block: TokenBlock) -> torch.Tensor:
        """The picture's tokens after a block. Residuals are for the first of them: references have none."""
        for hook in self._hooks:
            tokens = hook(tokens, block)
        return self.added(tokens, (block.kind, block.index))

    def added(self, tokens: torch.Tensor, block: tuple[str, int]) -> torch.Tensor:
        """Only the residuals of control networks, where hooks have no place."""
        residual = self._residuals.get(block)
        if residual is None:
            return tokens
        count = residual.shape[1]
        return torch.cat((tokens[:, :count] + residual.to(tokens), tokens[:, count:]), dim=1)
