"""The figures above a ladder, and how complete it is."""

from option_chains import CALL, PUT, chain_of, leg
from shown_chains import stored

from data_fetch.core.chains.chains import Chain
from data_fetch.dashboard.chain_line import completeness, figures_html, shown_figures


def with_puts(oi: float) -> Chain:
    return chain_of([leg(100, CALL, oi=200.0), leg(100, PUT, oi=oi)], spot=101.5)


def test_figures_have_their_changes_since_the_baseline() -> None:
    found = shown_figures(stored(with_puts(300.0)).summary, stored(with_puts(100.0)).summary)

    by_title = {each.title: (each.text, each.change) for each in found}
    assert by_title["PCR"] == ("1.50", "+1.00")
    assert by_title["Spot"] == ("101.50", "0.00")
    assert by_title["Max pain"] == ("100", "0")


def test_an_unknown_figure_is_a_dash_with_its_reason() -> None:
    [straddle] = [
        each
        for each in shown_figures(stored(with_puts(1.0)).summary, None)
        if each.title == "Straddle"
    ]

    assert (straddle.text, straddle.change) == ("–", None)
    assert "unknown, because" in straddle.hover
    assert "<dd>–" in figures_html([straddle])


def test_legs_without_a_price_are_counted_by_reason() -> None:
    found = completeness(stored(with_puts(1.0)).summary, 3)

    assert found == (
        "0 of 2 legs priced (2: it has neither a trade nor an order book); "
        "the source sent 3 unusable"
    )
