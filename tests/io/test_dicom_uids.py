from __future__ import annotations

from medfuse.io.dicom_uids import IMPLEMENTATION_UID, Uids

CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"


def test_a_seed_always_gives_the_same():
    one, same, other = Uids.of([b"a", b"b"]), Uids.of([b"a", b"b"]), Uids.of([b"ab"])
    assert one.new("fused", 1) == same.new("fused", 1) != one.new("fused", 2)
    assert one.new("fused", 1) != other.new("fused", 1)
    assert one.replaced("1.2.3") == same.replaced("1.2.3") != other.replaced("1.2.3")


def test_random_ones_differ_from_run_to_run_only():
    run = Uids.random()
    assert run.new("fused", 1) == run.new("fused", 1)
    assert run.new("fused", 1) != Uids.random().new("fused", 1)


def test_they_are_valid():
    for uid in (IMPLEMENTATION_UID, Uids.random().new("x"), Uids.random().replaced("1.2.3")):
        assert len(uid) <= 64
        root, _, number = uid.rpartition(".")
        assert root == "2.25"
        assert number == str(int(number))


def test_those_of_the_standard_are_not_replaced():
    assert Uids.random().replaced(CT_CLASS) == CT_CLASS
