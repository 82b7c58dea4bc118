"""What headings are called, in several languages, and what kind of section stands under each name."""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["front", "body", "references", "back"]

# Letters only and in lower case, so that "M E T H O D S", "Methods:" and "3. Methods" are one name.
_BODY = """
executivesummary|introduction|background|motivation|preliminaries|relatedwork|relatedworks|literaturereview|method|
methods|materialsandmethods|methodsandmaterials|materialandmethods|patientsandmethods|methodology|
experimentalprocedures|onlinemethods|experiment|experiments|experimentalsetup|experimentalresults|evaluation|result|
results|resultsanddiscussion|resultsandanalysis|discussion|discussionandconclusion|discussionandconclusions|
generaldiscussion|limitation|limitations|conclusion|conclusions|concludingremarks|conclusionandfuturework|
conclusionsandfuturework|futurework|appendix|appendices|epilogue|prologue|statementofneed|figures|figurelegends|
figurecaptions|tables|tablesandfigures|einleitung|einführung|grundlagen|hintergrund|methoden|methodik|ergebnisse|
diskussion|fazit|ausblick|zusammenfassungundausblick|schlussfolgerung|schlussfolgerungen|anhang|résumédesrésultats|
introductiongénérale|méthodes|matérieletméthodes|résultats|résultatsetdiscussion|discussionetconclusion|
conclusiongénérale|annexe|annexes|introducción|antecedentes|métodos|materialesymétodos|metodología|resultados|
resultadosydiscusión|discusión|conclusión|conclusiones|anexo|anexos|apéndice|introdução|materiaisemétodos|metodologia|
resultadosediscussão|discussão|conclusão|conclusões|sommario|introduzione|metodi|materialiemetodi|risultati|
discussione|conclusione|conclusioni|appendice|inleiding|methode|resultaten|discussie|conclusies|bijlage|bijlagen|
резюме|введение|материалыиметоды|методы|методика|результаты|результатыиобсуждение|обсуждение|заключение|выводы|
приложение|εισαγωγή|αποτελέσματα|συμπεράσματα|παράρτημα|引言|绪论|緒論|前言|介绍|背景|相关工作|方法|材料与方法|实验|实验结果|结果|结果与讨论|讨论|结论|結論|总结|
附录|附錄|概要|序論|はじめに|緒言|関連研究|提案手法|手法|実験|結果|考察|おわりに|まとめ|付録|서론|방법|결과|논의|결론|부록
"""
_ABSTRACTS = """
abstract|summary|zusammenfassung|kurzfassung|résumé|resumen|resumo|riassunto|samenvatting|streszczenie|abstrakt|
abstrakti|sammanfattning|sammendrag|tiivistelmä|özet|rezumat|kivonat|sažetak|povzetek|abstrak|tómtắt|аннотация|
реферат|περίληψη|摘要|要旨|초록
"""
_REFERENCES = """
reference|references|referencesandnotes|referencesandfurtherreading|referencescited|referencelist|listofreferences|
bibliography|selectedbibliography|literaturecited|literature|workscited|citedliterature|citations|literatur|
literaturverzeichnis|quellenverzeichnis|literaturundquellen|référencesbibliographiques|références|bibliographie|
referencias|referenciasbibliográficas|bibliografía|bibliografia|riferimentibibliografici|referências|
referênciasbibliográficas|literatuur|literatuurlijst|参考文献|參考文獻|参考资料|引用文献|참고문헌|списоклитературы|литература|
библиография|βιβλιογραφία
"""
_FRONT = """
contents|tableofcontents|listoffigures|listoftables|listoffiguresandtables|listofabbreviations|listofacronyms|
listofsymbols|listofalgorithms|listofpublications|listofpapers|listofillustrations|nomenclature|authors|author|
authorsandaffiliations|affiliations|authoraffiliations|articleinfo|articleinformation|articlehistory|keywords|
keywordsandphrases|indexterms|ccsconcepts|categoriesandsubjectdescriptors|generalterms|acmreferenceformat|dedication|
preface|foreword|prefaceandacknowledgements|declaration|declarationofauthorship|declarationoforiginality|
statementoforiginality|authorsdeclaration|statementofauthorship|committee|examinationcommittee|thesiscommittee|
supervisors|vita|curriculumvitae|biographicalsketch|inhaltsverzeichnis|inhalt|verzeichnisse|listings|glossar|glossary|
abkürzungen|spistreści|obsah|innehåll|innehållsförteckning|indhold|indholdsfortegnelse|innhold|sisällys|içindekiler|
cuprins|tartalomjegyzék|daftarisi|mụclục|abbildungsverzeichnis|tabellenverzeichnis|abkürzungsverzeichnis|
symbolverzeichnis|vorwort|geleitwort|widmung|erklärung|eidesstattlicheerklärung|eidesstattlicheversicherung|
selbstständigkeitserklärung|selbständigkeitserklärung|schlüsselwörter|lebenslauf|tabledesmatières|sommaire|
listedesfigures|listedestableaux|avantpropos|préface|dédicace|motsclés|índice|índicegeneral|índicedefiguras|
índicedetablas|tabladecontenidos|prólogo|prefacio|dedicatoria|palabrasclave|sumário|listadefiguras|listadetabelas|
prefácio|palavraschave|indicegenerale|prefazione|parolechiave|inhoudsopgave|voorwoord|trefwoorden|оглавление|
содержание|предисловие|ключевыеслова|περιεχόμενα|πρόλογος|κατάλογοςσχημάτων|κατάλογοςπινάκων|目录|目錄|目次|编号专用页|关键词|关键字|
關鍵詞|キーワード|まえがき|목차|承诺书
"""
_BACK = """
acknowledgement|acknowledgements|acknowledgment|acknowledgments|acknowledgementsandfunding|acknowledgmentsandfunding|
acknowledgmentsanddisclosureoffunding|disclosureoffunding|thanks|funding|fundinginformation|fundingstatement|
fundingsources|financialsupport|financialdisclosure|grantdisclosures|authorcontribution|authorcontributions|
authorscontributions|authorscontribution|authorroles|descriptionofauthorsroles|contributorship|
creditauthorshipcontributionstatement|creditstatement|competinginterest|competinginterests|
competingfinancialinterests|competingintereststatement|conflictofinterest|conflictsofinterest|conflictofinterests|
conflictofintereststatement|declarationofinterest|declarationofinterests|declarationofcompetinginterest|
declarationofcompetinginterests|declarationofconflictinginterests|disclosure|disclosures|disclosurestatement|
declarations|additionalinformationanddeclarations|additionalinformation|ethics|ethicsstatement|ethicsapproval|
ethicalapproval|ethicsdeclarations|ethicsapprovalandconsenttoparticipate|institutionalreviewboardstatement|
informedconsent|informedconsentstatement|consentforpublication|patientconsentforpublication|consenttoparticipate|
patientandpublicinvolvement|dataavailability|dataavailabilitystatement|dataandcodeavailability|
dataandsoftwareavailability|codeavailability|softwareavailability|availabilityofdataandmaterials|
availabilityofdataandmaterial|availability|dataaccessibility|dataaccessibilitystatement|dataandmaterialsavailability|
supportinginformation|supportinginformationavailable|supplementaryinformation|supplementarymaterial|
supplementarymaterials|supplementarydata|supplementaryfiles|supplementalinformation|supplementalmaterial|
supplementalmaterials|supplementaldata|additionalfiles|additionalfile|electronicsupplementarymaterial|
appendixasupplementarydata|abbreviations|listofabbreviationsused|abbreviationsused|abouttheauthor|abouttheauthors|
authorbiography|authorbiographies|authorinformation|authordetails|biographies|publishersnote|rightsandpermissions|
index|subjectindex|authorindex|colophon|prepublicationhistory|peerreview|peerreviewinformation|
provenanceandpeerreview|reviewerinformation|orcid|generativeaistatement|
declarationofgenerativeaiandaiassistedtechnologiesinthewritingprocess|danksagung|danksagungen|dank|interessenkonflikt|
interessenkonflikte|förderung|finanzierung|stichwortverzeichnis|sachverzeichnis|bildquellen|autorenbeiträge|
datenverfügbarkeit|remerciements|financement|conflitsdintérêts|conflitdintérêts|déclarationdintérêts|
disponibilitédesdonnées|contributionsdesauteurs|agradecimientos|financiación|financiamiento|conflictodeintereses|
conflictosdeinterés|conflictosdeintereses|contribucióndelosautores|disponibilidaddedatos|agradecimentos|financiamento|
conflitodeinteresses|conflitosdeinteresse|ringraziamenti|finanziamenti|conflittodiinteressi|dankwoord|финансирование|
благодарности|благодарность|конфликтинтересов|вкладавторов|ευχαριστίες|致谢|致謝|鸣谢|謝辞|利益冲突|基金项目|资助|作者贡献|利益相反|감사의글
"""


def _split(names: str) -> list[str]:
    return "".join(names.casefold().split()).split("|")


def _table() -> dict[str, Kind]:
    names: dict[str, Kind] = {}
    sources: tuple[tuple[Kind, str], ...] = (
        ("body", _BODY),
        ("body", _ABSTRACTS),
        ("references", _REFERENCES),
        ("front", _FRONT),
        ("back", _BACK),
    )
    for kind, listed in sources:
        names.update(dict.fromkeys(_split(listed), kind))
    return names


_KINDS = _table()
_ABSTRACT_NAMES = frozenset(_split(_ABSTRACTS))
# Longer headings are not looked up.
NAME_CHARACTERS = 100
_NUMBER_LABEL = re.compile(
    r"\s*(?:(?:chapter|section|part|appendix|kapitel|teil|anhang|chapitre|partie|cap[ií]tulo|capitolo|глава|раздел)"
    r"\s+)?(?:(?:\d{1,2}(?:\s?\.\s?\d{1,2})*|[IVXL]{1,6}(?=[.):\s])|[A-Z](?:\.\d{1,2})*(?=[.):\s]))\s?[.):—–-]?\s"
    r"|第?[一二三四五六七八九十百\d]{1,3}\s?[章节節部篇、.]\s?)\s*",
    re.IGNORECASE,
)
# Two names in one heading: `Acknowledgements - Remerciements`, `Glossar und Abkürzungen`.
_AND = re.compile(r"\s*[-–—/&|,]\s*|\s+(?:and|und|et|y|e|en)\s+", re.IGNORECASE)
# Of a table of contents, not of the section itself.
_CONTENTS_LINE = re.compile(r"\d\s*$|(?:\. ?){3,}|…")
# Names that may be followed by more: what stands there is of that kind however it goes on.
_BEGINNINGS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("back", re.compile(r"(?:supplementa\w*|supporting) (?:files?|data|materials?|information)\b", re.I)),
    ("back", re.compile(r"(?:declarations? of|conflicts? of|competing) (?:compet|conflict)?\w* ?interests?\b", re.I)),
    ("back", re.compile(r"(?:author|authors['’]) contributions?\b|about the authors?\b", re.I)),
    ("back", re.compile(r"submit your next manuscript|publish with ", re.I)),
    ("back", re.compile(r"(?:data|code|software)(?: and \w+)? availability\b|funding (?:statement|information)", re.I)),
    ("back", re.compile(r"version \S+ (?:competing interests|funding statement)$", re.I)),
    ("front", re.compile(r"(?:list of (?:figures|tables|abbreviations|symbols|acronyms|publications))\b", re.I)),
    ("front", re.compile(r"declaration (?:of|by|on) (?:the )?(?:author|originality|academic|independent)", re.I)),
    ("front", re.compile(r"(?:version \S+ )?(?:authors?|editors?)(?: and affiliations)?$", re.I)),
)  # fmt: skip


def bare_name(heading: str) -> str:
    """A heading as it is looked up: without number, spaces and signs, in lower case."""
    label = _NUMBER_LABEL.match(heading)
    text = heading[label.end() :] if label and label.end() < len(heading) else heading
    return _letters(text)


def _letters(text: str) -> str:
    return "".join(filter(str.isalpha, text.casefold()))


def named_kind(heading: str, *, set_as_heading: bool = False) -> Kind | None:
    """The kind of section that a heading of this name stands over; None where the name is none of the usual ones.

    Where the type says that it is a heading, it may go on after the name.
    """
    if len(heading) > NAME_CHARACTERS or _CONTENTS_LINE.search(heading):
        return None
    kind = _KINDS.get(bare_name(heading)) or _KINDS.get(_letters(heading))
    if kind is None and len(parts := _AND.split(heading)) > 1:
        kinds = {_KINDS.get(bare_name(part)) for part in parts}
        kind = kinds.pop() if len(kinds) == 1 else None
    if kind or not set_as_heading:
        return kind
    text = heading.strip(" .:")
    return next((kind for kind, pattern in _BEGINNINGS if pattern.match(text)), None)


def is_abstract(heading: str) -> bool:
    """Whether it is that of the abstract, which may be set otherwise than those of the sections."""
    return not heading[:1].isdigit() and _letters(heading) in _ABSTRACT_NAMES
