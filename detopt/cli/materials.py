"""`detopt materials`: what is known, and all about one."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detopt.cli.options import print_json

if TYPE_CHECKING:
    from detopt.materials import Material

__all__ = ["materials"]

_MOMENTA = (1.0, 10.0, 100.0)  # GeV/c
_SOURCES = {
    "X0": "PDG eq. 34.25 for elements (Tsai 1974), eq. 34.27 for mixtures",
    "dE/dx": "mean ionisation of muons, PDG eq. 34.5 and 34.7, with spin and radiating electrons as PDG's tables",
}


def materials(
    name: Annotated[str | None, typer.Argument(help="A material, an alias or a symbol.", show_default="all")] = None,
    detector: Annotated[
        Path | None, typer.Option(help="A detector's file: its own materials too.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List the materials, or tell all about one: composition, radiation length, energy loss, and where each is from."""
    from detopt.materials import MATERIALS

    known = MATERIALS
    if detector is not None:
        from detopt.study.files import load_kind, locate
        from detopt.study.user_materials import materials_of

        load_kind(detector, "detector")  # or say what is wrong with it
        known = dict(materials_of(locate(detector)))
    if name is None:
        entries = [_summary(m, aliases) for m, aliases in _unique(known)]
        if as_json:
            print_json(entries)
        else:
            _print_all(entries)
        return
    if name not in known:
        from detopt.study.schema import near

        print(f"detopt: unknown material {name!r}{near(name, known)}", file=sys.stderr)
        raise typer.Exit(2)
    found = next(_details(m, aliases) for m, aliases in _unique(known) if m is known[name])
    if as_json:
        print_json(found)
    else:
        _print_one(found)


def _unique(known: Any) -> list[tuple["Material", list[str]]]:
    """Each material once, and the aliases it is found by."""
    names: dict[int, list[str]] = {}
    for alias, m in known.items():
        names.setdefault(id(m), []).append(alias)
    once = {id(m): m for m in known.values()}
    return [(m, [alias for alias in names[key] if alias != m.name]) for key, m in once.items()]


def _summary(m: "Material", aliases: list[str]) -> dict[str, Any]:
    from detopt.materials import min_dedx

    return {
        "name": m.name,
        "aliases": aliases,
        "density_g_cm3": m.density,
        "X0_cm": m.X0 / 10,
        "X0_g_cm2": m.radiation_length,
        "min_dEdx_MeV_cm2_g": min_dedx(m),
        "I_eV": m.I,
    }


def _details(m: "Material", aliases: list[str]) -> dict[str, Any]:
    from detopt.materials import bethe, minimum

    total = sum(w for _, w in m.fractions)
    momentum, least = minimum(m)
    return {
        **_summary(m, aliases),
        "X0_mm": m.X0,
        "composition": {symbol: w / total for symbol, w in m.fractions},
        "Z_over_A_mol_g": m.z_over_a,
        "plasma_energy_eV": m.plasma_energy,
        "density_effect": {key: getattr(m, key) for key in ("Cbar", "x0", "x1", "a", "k", "delta0")},
        "minimum": {"p_GeV": momentum, "dEdx_MeV_cm2_g": least, "dEdx_MeV_cm": least * m.density},
        "muons": [
            {"p_GeV": p, "dEdx_MeV_cm2_g": bethe(m, p), "dEdx_MeV_cm": bethe(m, p) * m.density} for p in _MOMENTA
        ],
        "sources": {"material": m.source, **_SOURCES},
    }


def _print_all(entries: list[dict[str, Any]]) -> None:
    columns = {
        "density_g_cm3": "g/cm3",
        "X0_cm": "X0: cm",
        "X0_g_cm2": "g/cm2",
        "min_dEdx_MeV_cm2_g": "min dE/dx: MeV cm2/g",
        "I_eV": "I: eV",
    }
    width = max(len(e["name"]) for e in entries)
    print(f"{'name':{width}}" + "".join(f"  {title:>9}" for title in columns.values()) + "  also")
    for e in entries:
        numbers = "".join(f"  {e[key]:>{max(9, len(title))}.4g}" for key, title in columns.items())
        print(f"{e['name']:{width}}{numbers}  {', '.join(e['aliases'])}".rstrip())
    print("detopt materials NAME tells all about one")


def _print_one(e: dict[str, Any]) -> None:
    effect, least = e["density_effect"], e["minimum"]
    shares = sorted(e["composition"].items(), key=lambda item: -item[1])
    rows = [
        ["composition by mass", ", ".join(f"{symbol} {100 * w:.4g} %" for symbol, w in shares)],
        ["density", f"{e['density_g_cm3']:.6g} g/cm3"],
        ["radiation length X0", f"{e['X0_mm']:.5g} mm = {e['X0_cm']:.5g} cm = {e['X0_g_cm2']:.5g} g/cm2"],
        ["Z/A", f"{e['Z_over_A_mol_g']:.5f} mol/g"],
        ["mean excitation energy I", f"{e['I_eV']:.5g} eV"],
        ["plasma energy", f"{e['plasma_energy_eV']:.4g} eV"],
        ["density effect", ", ".join(f"{key} {value:.5g}" for key, value in effect.items())],
        ["dE/dx of muons, minimum", f"{_loss(least)} at {least['p_GeV']:.3g} GeV/c"],
        *([f"at {at['p_GeV']:g} GeV/c", _loss(at)] for at in e["muons"]),
    ]
    width = max(len(label) for label, _ in rows)
    print(e["name"] + (f" (also {', '.join(e['aliases'])})" if e["aliases"] else ""))
    for label, text in rows:
        print(f"  {label:{width}}  {text}")
    print("  from")
    for what, source in e["sources"].items():
        print(f"    {what:9} {source}")


def _loss(at: dict[str, Any]) -> str:
    return f"{at['dEdx_MeV_cm2_g']:.4g} MeV cm2/g = {at['dEdx_MeV_cm']:.4g} MeV/cm"
