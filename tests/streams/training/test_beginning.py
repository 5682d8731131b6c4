"""Which model a trainer goes on from, and that nothing takes another lineage's place by accident."""

from dataclasses import replace

import pytest

from models.cloud_model import CloudModel
from models.cloud_trainer import train_first
from models.sample import SampleBlock
from models.vocabulary import MODEL_BYTES
from streams.stop import Stop
from streams.training.beginning import Beginning, Begun
from streams.training.cloud_trainer import Learned
from tests.models.samples import tasteful_samples
from wire.errors import InputError

INITIAL, OTHER_INITIAL = tasteful_samples(300, seed=1), tasteful_samples(300, seed=2, start=1000)
LEARNED = Learned(3, {0: 5})
STRANGER = "00000000000000aa"


@pytest.fixture(scope="module")
def published() -> CloudModel:
    return replace(train_first([INITIAL], seed=0), version=4)


def begin(beginning: Beginning, published: CloudModel | None) -> Begun:
    return beginning.model((published, LEARNED) if published else None, MODEL_BYTES, Stop())


@pytest.mark.parametrize("initial", [None, INITIAL])
def test_it_goes_on_from_what_its_own_head_began(published: CloudModel, initial: SampleBlock | None) -> None:
    begun = begin(Beginning(initial, "", 0), published)
    assert begun == Begun(published, LEARNED, is_new=False)


@pytest.mark.parametrize(("initial", "seed"), [(OTHER_INITIAL, 0), (INITIAL, 1)], ids=["another log", "another seed"])
def test_another_lineage_takes_its_place_only_when_told_so(
    published: CloudModel, initial: SampleBlock, seed: int
) -> None:
    with pytest.raises(InputError, match=f"--replace {published.lineage}"):
        begin(Beginning(initial, "", seed), published)
    told = Beginning(initial, published.lineage, seed)
    begun = begin(told, published)
    assert begun.model.version == 1 and begun.model.replaces == (published.lineage,) and begun.is_new
    assert begun.model.lineage != published.lineage
    assert begin(told, begun.model).model is begun.model, "the same words after a restart go on from it"


def test_a_lineage_that_was_replaced_does_not_come_back(published: CloudModel) -> None:
    after = replace(published, lineage=STRANGER, replaces=(published.lineage,))
    with pytest.raises(InputError, match="give another --seed"):
        begin(Beginning(INITIAL, STRANGER, 0), after)


def test_what_is_published_can_take_the_place_of_what_devices_have(published: CloudModel) -> None:
    """A topic that was made anew: its model is of another lineage than what pools and devices use."""
    told = Beginning(None, STRANGER, 0)
    begun = begin(told, published)
    assert (begun.model.version, begun.model.replaces, begun.is_new) == (5, (STRANGER,), True)
    assert not begin(told, begun.model).is_new


@pytest.mark.parametrize("lineage", ["7", "my-model", "0" * 17])
def test_a_lineage_is_sixteen_digits(lineage: str) -> None:
    with pytest.raises(InputError, match="16 hexadecimal digits"):
        begin(Beginning(INITIAL, lineage, 0), None)


def test_the_published_lineage_does_not_replace_itself(published: CloudModel) -> None:
    with pytest.raises(InputError, match="--initial-log of another"):
        begin(Beginning(None, published.lineage, 0), published)
