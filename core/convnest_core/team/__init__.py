"""One computation in several processes: `Team` runs a program in all of them at once.

optimizer = ("convnest_core:SGD", {"learning_rate": 0.02, "momentum": 0.9})
with TeamTrainer({"name": "lenet"}, classes=10, shape=(28, 28, 1), seed=0, processes=2,
                 batch=128, optimizer=optimizer) as trainer:
    step = trainer.step(images, labels, samples=indices)
    logits = trainer(test_images)
"""

from convnest_core.errors import TeamError

from .member import Batch, Member
from .team import Team
from .trainer import Step, TeamTrainer

__all__ = ["Batch", "Member", "Step", "Team", "TeamError", "TeamTrainer"]
