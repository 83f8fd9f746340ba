from __future__ import annotations

from convnest.stack.backoff import Backoff


def _middle(low: float, high: float) -> float:
    return (low + high) / 2


def test_delays_double_up_to_the_longest() -> None:
    backoff = Backoff(first_s=0.2, longest_s=1.0, uniform=_middle)
    assert [backoff.delay_s(0.1) for _ in range(5)] == [0.2, 0.4, 0.8, 1.0, 1.0]


def test_a_part_that_lived_a_while_starts_over() -> None:
    backoff = Backoff(first_s=0.2, settled_after_s=30.0, uniform=_middle)
    assert [backoff.delay_s(1.0), backoff.delay_s(1.0)] == [0.2, 0.4]
    assert backoff.delay_s(30.0) == 0.2
    assert backoff.delay_s(1.0) == 0.4


def test_jitter_spreads_a_delay_by_a_quarter() -> None:
    shortest = Backoff(first_s=1.0, uniform=lambda low, _: low).delay_s(0.0)
    longest = Backoff(first_s=1.0, uniform=lambda _, high: high).delay_s(0.0)
    assert (shortest, longest) == (0.75, 1.25)


def test_ten_thousand_deaths_do_not_overflow() -> None:
    backoff = Backoff(first_s=0.2, longest_s=1.0, uniform=_middle)
    assert {backoff.delay_s(0.0) for _ in range(10_000)} == {0.2, 0.4, 0.8, 1.0}
