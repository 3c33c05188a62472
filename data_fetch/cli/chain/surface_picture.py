"""The volatility surface drawn: smiles over moneyness, and the term structure."""

from pathlib import Path

from data_fetch.analytics.surface import Surface

INCHES = (11, 4.6)
# Beyond that of the forward, strikes are too thin to look at.
SHOWN = (0.85, 1.15)


def draw(found: Surface, file: Path) -> None:
    """Write a PNG of *found* to *file*; no display is needed."""
    # Importing it writes a cache of fonts into the user's home.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    smiles, term = figure.subplots(1, 2, width_ratios=(2, 1))
    for smile in found.smiles:
        moneyness = [strike / smile.forward for strike in smile.strikes]
        points = [
            (place, iv * 100)
            for place, iv in zip(moneyness, smile.ivs, strict=True)
            if SHOWN[0] <= place <= SHOWN[1]
        ]
        if points:
            smiles.plot(*zip(*points, strict=True), marker=".", label=f"{smile.expiry:%d %b %Y}")
    smiles.set(
        title=f"{found.underlying}: implied volatility",
        xlabel="strike / forward",
        ylabel="percent",
    )
    smiles.legend(fontsize="small")
    known = [(one.years * 365, one.atm_iv * 100) for one in found.smiles if one.atm_iv is not None]
    if known:
        term.plot(*zip(*known, strict=True), marker="o")
    term.set(title="at the money", xlabel="days to expiry", ylabel="percent")
    for each in (smiles, term):
        each.grid(alpha=0.3)
    figure.savefig(file, format="png", dpi=110)
