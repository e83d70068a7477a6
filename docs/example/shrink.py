from typing import ClassVar

from pydantic import Field

from suite.plugins.protocol import Agent, Plugin, PluginSettings


class ShrinkSettings(PluginSettings):
    interval: int = Field(gt=0, description="learn calls between two shrinkings")
    factor: float = Field(gt=0, le=1, description="what the weights are multiplied by")


class Shrink(Plugin):
    """Shrinks all weights from time to time (Ash and Adams 2020, without their noise)."""

    VERSION = 1
    kind = "shrink"
    Settings = ShrinkSettings
    acting: ClassVar = {"interval": 4, "factor": 0.9}
    neutral: ClassVar = {"interval": 4, "factor": 1.0}

    def __init__(self, settings: ShrinkSettings) -> None:
        super().__init__(settings)
        self.settings = settings

    def after_update(self, agent: Agent) -> None:
        if agent.updates % self.settings.interval == 0:
            for group in agent.groups.values():
                group.parameters.flat.mul_(self.settings.factor)
