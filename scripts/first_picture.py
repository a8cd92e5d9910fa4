"""Draw docs/first_picture.png, the picture at the top of README.md, from the bundled runs.

python scripts/first_picture.py
"""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

import neuromfa_lite as nmfa
from neuromfa_lite.plots import curves as plots

PICTURE = Path(__file__).parent.parent / "docs" / "first_picture.png"


def draw():
    with mpl.rc_context(plots.STYLE):
        figure, (spectra, emergence, ability) = plt.subplots(1, 3, figsize=(13, 3.9), layout="constrained")
        run = nmfa.load_run("induction")
        shown = []
        for step, color in ((0, plots.GREY), (128, plots.SKY), (724, plots.BLUE)):
            network = nmfa.load_network(run.checkpoint(step))
            shown.append(nmfa.analyze(network.sample(32, seed=0)))
            spectra.plot(shown[-1].alpha, shown[-1].f, "o-", ms=3, color=color)
            spectra.axvspan(*shown[-1].band("alpha0"), ymax=0.93, color=color, alpha=0.4, lw=0)
            spectra.text(shown[-1].alpha0, 0.02, f"step {step}", color=color, ha="center", va="bottom")
        spectra.set(xlabel=r"singularity strength $\alpha$", ylabel=r"$f(\alpha)$", ylim=(None, 0.08))
        spectra.set_title("the spectrum of the weights moves")
        worst = min(spectrum.r2 for spectrum in shown)
        said = f"fits: $r^2 \\geq$ {worst:.2f}; shaded: bands of $\\alpha_0$"
        spectra.text(0.02, 0.03, said, transform=spectra.transAxes, fontsize=10)
        for name, color in (("induction", plots.BLUE), ("induction-control", plots.ORANGE)):
            history = nmfa.follow(nmfa.load_run(name))
            plots.plot_trajectory(history, ax=emergence, color=color)
            plots.plot_ability(history, ax=ability, color=color)
        emergence.set_title("the degree of emergence sees it, in both twins")
        ability.set_title("only one of them learned to copy")
    return figure


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    draw().savefig(PICTURE, dpi=110)
    print(PICTURE.name)
