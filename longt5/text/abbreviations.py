"""Abbreviations that end with a full stop inside sentences, of the languages that papers are written in."""

from __future__ import annotations

# Never end a sentence, because something must follow them.
_ENGLISH = (
    "e.g i.e cf viz vs eq eqs eqn eqns fig figs ref refs sec sect tab def thm prop lem cor no nos vol vols pp "
    "ch chap dr mr mrs ms prof st resp approx ca s.t w.r.t a.k.a w.l.o.g var subsp ssp cv pv sensu nr art ed "
    "eds al supp suppl appx app alg ineq const jan feb aug sept oct nov dec vgl est incl"
)
_GERMAN = (
    "abb bzw z.b d.h u.a i.a v.a o.g z.t u.u i.d.r s.o s.u ggf evtl sog bspw inkl exkl zzgl vgl kap bd hrsg aufl "
    "jh nr mio mrd gl bzgl dgl ing dipl prof.dr lfd max min"
)
_ROMANCE = (
    "p.ex c.-à-d c.à.d mme mlle env éd réf n° fig. av.j chap "  # French
    "p.ej sr sra dra núm pág págs ee aprox cap "  # Spanish
    "p.es sig pag pagg dott prof.ssa nn fasc "  # Italian
    "p.ex pp profª"  # Portuguese
)
_OTHERS = (
    "bijv d.w.z o.a m.n t.o.v blz resp "  # Dutch
    "t.ex bl.a dvs s.k f.eks bl.a osv "  # Scandinavian
    "np tzn rys tj itp m.in "  # Polish
    "např tzv obr resp čís "  # Czech
    "рис табл т.е т.д т.п т.к т.н см др проф стр напр гл ср им"  # Russian
)
ABBREVIATIONS = frozenset(f"{_ENGLISH} {_GERMAN} {_ROMANCE} {_OTHERS}".split())
# End a sentence unless what follows is plainly its continuation (a year, a bracket, a lower-case word).
LATE_ABBREVIATIONS = frozenset(
    "al no ref app art def cor ed st prop tab ch min max ee gl т.д т.п др см np est const osv".split()
)
# Written so, they end a sentence unless a bracket, a number or another of them follows: "Promega Corp. (Madison".
NAMED_SO = frozenset("Co Corp Inc Ltd sp spp Cat cat".split())
# Letters with a full stop each, and "Jr.", end a sentence only where one of these begins the next: in "U.S. The", not
# in "U.S. Census Bureau" or "J.R. Smith".
BEGINNINGS = frozenset(
    "a according additionally after all also although among an and another any approximately as at based because "
    "before besides between both but by can compared consequently contrary current despite due during each either "
    "even every few finally first following for from further furthermore given he hence her here his how however "
    "i if importantly in indeed instead into it its last later like likewise many meanwhile moreover most much my "
    "nearly neither nevertheless no nonetheless nor not notably of on once one only other others our over overall "
    "participants patients people previous prior rather recent recently researchers results second secondly "
    "several she similar similarly since so some specifically still studies such than that the their then there "
    "therefore these they third this those though three through throughout thus to today together two under "
    "unlike until using we what when where whereas whether which while who whose why will with within without yet "
    "you".split()
)
# "3. Mai": the full stop of a number in order, in German, before these.
MONTHS = frozenset(
    "januar februar märz april mai juni juli august september oktober november dezember jänner jahrhundert "
    "jahrhunderts auflage".split()
)
# Names of program libraries, whose parts a full stop joins: torch.Tensor.
LIBRARIES = frozenset("torch numpy tf tensorflow keras sklearn pandas java javax system scipy jax nn".split())
