"""Draw the figures of docs/method.md and docs/fused.md: ``python docs/figures.py`` renews docs/figures."""

from html import escape
from pathlib import Path

FOLDER = Path(__file__).parent / "figures"

# The card has its own background, so that a figure is legible on a light and on a dark page.
STYLE = """
text { font: 16px system-ui, sans-serif; fill: #222; text-anchor: middle; dominant-baseline: central; }
text.small { font-size: 14px; fill: #555; }
rect { stroke: #777; stroke-width: 1.5; fill: #eee; }
rect.card { fill: #fff; stroke: none; }
rect.s { fill: #cfe0fb; stroke: #2f62b5; }
rect.f { fill: #fde0c2; stroke: #b5651d; }
rect.both { fill: #e4d9f2; stroke: #6d4aa0; }
path { stroke: #555; stroke-width: 1.5; fill: none; marker-end: url(#tip); }
#tip path { fill: #555; stroke: none; marker-end: none; }
@media (prefers-color-scheme: dark) {
  text { fill: #eee; } text.small { fill: #bbb; }
  rect { stroke: #999; fill: #3a3f4b; } rect.card { fill: #23262f; }
  rect.s { fill: #24406f; stroke: #8db4f5; } rect.f { fill: #6b4017; stroke: #f0b070; }
  rect.both { fill: #4b3a68; stroke: #c3a8ea; } path { stroke: #bbb; } #tip path { fill: #bbb; }
}
"""


class Drawing:
    """A figure of ``width`` by ``height`` units; positions are the middles of what is drawn."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
            f' role="img"><title>{escape(title)}</title><style>{STYLE}</style>',
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"'
            ' orient="auto"><path d="M0 0 8 4 0 8z"/></marker></defs>',
            f'<rect class="card" width="{width}" height="{height}" rx="10"/>',
        ]

    def box(self, x: float, y: float, width: float, height: float, kind: str = "op", label: str = "") -> None:
        self.parts.append(
            f'<rect class="{kind}" x="{x - width / 2:g}" y="{y - height / 2:g}" width="{width:g}" height="{height:g}"'
            ' rx="3"/>'
        )
        if label:
            self.text(x, y, label)

    def text(self, x: float, y: float, words: str, *, small: bool = False) -> None:
        style = ' class="small"' if small else ""
        self.parts.append(f'<text{style} x="{x:g}" y="{y:g}">{escape(words)}</text>')

    def arrow(self, *points: tuple[float, float]) -> None:
        self.parts.append(f'<path d="M{" ".join(f"{x:g} {y:g}" for x, y in points)}"/>')

    def svg(self) -> str:
        return "\n".join([*self.parts, "</svg>"]) + "\n"


def stage1() -> Drawing:
    """Stage 1: a tensor is divided into S and F."""
    d = Drawing(560, 240, "Stage 1: one tensor becomes a pair")
    d.box(50, 120, 56, 84, label="x")
    d.box(250, 70, 70, 36, label="f_s")
    d.box(165, 170, 90, 36, label="MCSConv")
    d.box(268, 170, 60, 36, label="f_f")
    d.box(372, 170, 90, 36, label="resize β")
    d.box(500, 70, 44, 84, "s", "S")
    d.box(500, 170, 44, 42, "f", "F")
    d.arrow((78, 100), (110, 70), (213, 70))
    d.arrow((285, 70), (476, 70))
    d.arrow((78, 140), (100, 170), (118, 170))
    for left, right in ((210, 236), (298, 325), (417, 476)):
        d.arrow((left, 170), (right, 170))
    d.text(482, 16, "(1 − α)·c channels", small=True)
    d.text(500, 210, "α·c channels", small=True)
    return d


def stage2() -> Drawing:
    """Stage 2: four convolutions, two of which exchange between S and F."""
    d = Drawing(560, 320, "Stage 2: a pair becomes a pair, with an exchange")
    d.box(50, 80, 44, 84, "s", "S")
    d.box(50, 250, 44, 42, "f", "F")
    rows = (
        (60, "f_ss", "", True),
        (120, "f_sf", "reduce", True),
        (205, "f_fs", "enlarge", False),
        (265, "f_ff", "", False),
    )
    for y, name, resize, from_s in rows:
        d.box(180, y, 70, 36, label=name)
        d.arrow((72, 80 if from_s else 250), (143, y))
        if resize:
            d.box(300, y, 86, 36, label=resize)
            d.arrow((215, y), (255, y))
    for y in (80, 250):
        d.box(430, y, 34, 34, label="+")
        d.arrow((447, y), (486, y))
    d.arrow((215, 60), (390, 60), (412, 74))
    d.arrow((343, 205), (372, 205), (421, 99))
    d.arrow((215, 265), (390, 265), (412, 256))
    d.arrow((343, 120), (372, 120), (421, 231))
    d.box(510, 80, 44, 84, "s", "S′")
    d.box(510, 250, 44, 42, "f", "F′")
    d.text(180, 30, "at the size of S", small=True)
    d.text(180, 296, "at the size of F", small=True)
    return d


def stage3() -> Drawing:
    """Stage 3: S and F become one tensor."""
    d = Drawing(560, 220, "Stage 3: a pair becomes one tensor")
    d.box(50, 75, 44, 84, "s", "S")
    d.box(50, 170, 44, 42, "f", "F")
    d.box(170, 75, 70, 36, label="f′_ss")
    d.box(170, 170, 70, 36, label="f′_fs")
    d.box(290, 170, 86, 36, label="enlarge")
    d.box(400, 105, 34, 34, label="+")
    d.box(500, 105, 56, 84, label="y")
    d.arrow((72, 75), (133, 75))
    d.arrow((72, 170), (133, 170))
    d.arrow((205, 170), (245, 170))
    d.arrow((205, 75), (355, 75), (381, 97))
    d.arrow((333, 170), (360, 170), (385, 126))
    d.arrow((417, 105), (470, 105))
    d.text(500, 166, "all channels", small=True)
    return d


def network() -> Drawing:
    """The way of a picture through a ResNet."""
    d = Drawing(560, 300, "Which convolutions of a ResNet become which stage")
    rows = (
        (40, "op", "conv1, pool: vanilla", "one tensor"),
        (95, "both", "layer1.0.conv1: Stage 1", "the tensor is divided"),
        (150, "both", "… layer4.0.conv2: Stage 2", "a pair, S and F"),
        (205, "both", "layer4.0.conv3: Stage 3", "the pair is fused"),
        (260, "op", "layer4.1 …, classifier: vanilla", "one tensor"),
    )
    for y, kind, name, what in rows:
        d.box(160, y, 270, 36, kind, name)
        d.text(430, y, what, small=True)
        if y < 260:
            d.arrow((160, y + 18), (160, y + 36))
    return d


def block() -> Drawing:
    """The weight of a vanilla convolution as four blocks, for α = 0.5 and β = 0.5."""
    d = Drawing(560, 330, "The vanilla weight, cut into the four convolutions of Stage 2")
    left, top, side = 120, 60, 220
    middle = side / 2
    cells = (
        (0, 0, "s", "f_ss", "every pixel"),
        (1, 0, "both", "f_fs", "β² of pixels"),
        (0, 1, "both", "f_sf", "β² of pixels"),
        (1, 1, "f", "f_ff", "β² of pixels"),
    )
    for column, row, kind, name, pixels in cells:
        x, y = left + middle * (column + 0.5), top + middle * (row + 0.5)
        d.box(x, y, middle, middle, kind)
        d.text(x, y - 12, name)
        d.text(x, y + 14, pixels, small=True)
    d.text(left + middle / 2, top - 20, "reads S")
    d.text(left + middle * 1.5, top - 20, "reads F")
    d.text(left - 55, top + middle / 2, "gives S′")
    d.text(left - 55, top + middle * 1.5, "gives F′")
    d.text(left + middle / 2, top + side + 20, "1 − α", small=True)
    d.text(left + middle * 1.5, top + side + 20, "α", small=True)
    at_one = ("At β = 1 the four", "blocks are one", "vanilla convolution.")
    at_half = ("At β = ½ three of", "them need a quarter", "of the pixels.")
    for y, words in zip((110, 132, 154, 200, 222, 244), (*at_one, *at_half), strict=True):
        d.text(455, y, words, small=True)
    return d


def cost() -> Drawing:
    """Multiply-adds of a Stage 2 over the vanilla convolution's, for α = ½: as drawn and fused."""
    d = Drawing(560, 290, "Multiply-adds of Stage 2 over the vanilla convolution's at α = ½")
    alpha, scale, base = 0.5, 170, 250
    d.box(150, 20, 18, 18, "s")
    d.text(230, 20, "as it is drawn", small=True)
    d.box(350, 20, 18, 18, "f")
    d.text(390, 20, "fused", small=True)
    for i, beta in enumerate((0.25, 0.5, 0.75, 1.0)):
        x = 95 + 125 * i
        drawn = (1 - alpha) + alpha * beta**2
        fused = (1 - alpha) ** 2 + beta**2 * (1 - (1 - alpha) ** 2)
        for offset, kind, value in ((-25, "s", drawn), (25, "f", fused)):
            d.box(x + offset, base - scale * value / 2, 42, scale * value, kind)
            d.text(x + offset, base - scale * value - 12, f"{value:.2f}", small=True)
        d.text(x, base + 18, f"β = {beta:g}")
    return d


FIGURES = {"stage1": stage1, "stage2": stage2, "stage3": stage3, "network": network, "block": block, "cost": cost}


def main() -> None:
    """Write every figure."""
    FOLDER.mkdir(exist_ok=True)
    for name, draw in FIGURES.items():
        (FOLDER / f"{name}.svg").write_text(draw().svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
