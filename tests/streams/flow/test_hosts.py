import pytest

from streams.flow.hosts import Address, parse_hosts
from wire.errors import InputError


def test_every_process_of_all_hosts_has_one_number_and_one_address() -> None:
    both = [parse_hosts("a:9000,b:9100", own, 3) for own in (0, 1)]
    assert [list(hosts.numbers) for hosts in both] == [[0, 1, 2], [3, 4, 5]]
    assert both[0].workers_at == both[1].workers_at
    assert " ".join(map(str, both[0].workers_at)) == "a:9001 a:9002 a:9003 b:9101 b:9102 b:9103"


def test_an_ipv6_address_stands_in_brackets() -> None:
    (address,) = parse_hosts("[fd00::1]:9000", 0, 1).addresses
    assert address == Address("fd00::1", 9000) and str(address) == "[fd00::1]:9000"


@pytest.mark.parametrize(
    ("words", "own", "says"),
    [
        ("a:9000,b:9000", 2, "--hosts names 2, and --host is 2: it says which of them this is, 0 to 1"),
        ("a:9000,b:9000", -1, "--host is -1"),
        ("a:9000,b:9000", None, "there is no --host"),
        ("a:9000,a:9000", 0, "names a:9000 twice"),
        ("a:9000,a:9002", 0, "whose ports overlap: each takes 3"),
        ("a:9000,b", 0, "has 'b': give each host as HOST:PORT"),
        ("a:9000,", 0, "has '': give each host as HOST:PORT"),
        ("a:9000,:1", 0, "has ':1'"),
        ("a:9000,b:x", 0, "has 'b:x'"),
        ("a:0,b:9000", 0, "give one of 1 to 65533"),
        ("a:65534,b:9000", 0, "a host takes 3 ports"),
    ],
)
def test_what_makes_no_hosts_is_told(words: str, own: int | None, says: str) -> None:
    with pytest.raises(InputError) as told:
        parse_hosts(words, own, processes=2)
    assert says in str(told.value) and "\n" not in str(told.value)


def test_hosts_on_one_machine_lie_apart() -> None:
    assert parse_hosts("a:9000,a:9003", 1, processes=2).workers == 4
