"""Which engine computes, and how exactly: the table of engines."""

from dataclasses import dataclass

from image_retraining.cache.frozen_modules import FrozenModule
from image_retraining.cache.vectors import IN_HALVES
from image_retraining.features.engines.engine import FLOAT32, Engine, EngineKind
from image_retraining.features.engines.openvino import OpenVinoKind
from image_retraining.features.engines.tensorflow import TensorFlowKind
from image_retraining.foundation.errors import EngineError
from image_retraining.foundation.log_lines import notice

AUTO = "auto"
# The first that suits the machine is taken if nobody chose another; the last suits every machine
# and takes every module.
KINDS: tuple[EngineKind, ...] = (OpenVinoKind(), TensorFlowKind())
ENGINES = {kind.name: kind for kind in KINDS}


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """Which engine is to compute, and how exactly; cheap, where making the engine takes a second.

    Attributes:
        name: of an engine.
        precision: "float32" or "bfloat16".
        may_stand_in: the last engine may compute instead what this one does not take.
        in_halves: what is computed is kept in the cache alone, as float16.
    """

    name: str = KINDS[-1].name
    precision: str = FLOAT32
    may_stand_in: bool = False
    in_halves: bool = False

    @property
    def recipe_precision(self) -> str:
        """The precision as a recipe has it: vectors in bfloat16 differ between the engines."""
        is_same = self.precision == FLOAT32
        computed = self.precision if is_same else f"{self.precision} {self.name}"
        return computed + IN_HALVES * self.in_halves

    def make(self, frozen: FrozenModule) -> Engine:
        """Returns the engine, ready to compute.

        Raises:
            EngineError: it does not take the module, and no other may stand in.
        """
        try:
            return ENGINES[self.name].make(frozen, self.precision)
        except EngineError as error:
            if not self.may_stand_in or self.precision != FLOAT32:
                raise
            notice("%s TensorFlow computes instead.", error)
            return KINDS[-1].make(frozen, self.precision)


def choose_engine(wanted: str, precision: str) -> EngineChoice:
    """Returns which engine computes, after checking that the machine can.

    Args:
        wanted: an engine, or "auto" for the first that suits the machine.
        precision: "float32" or "bfloat16".

    Raises:
        EngineError: the machine cannot.
    """
    name = wanted if wanted != AUTO else next(kind.name for kind in KINDS if kind.suits())
    ENGINES[name].check(precision)
    return EngineChoice(name, precision, may_stand_in=wanted == AUTO)
