"""What patients suffer from: long-standing problems and passing ones, by age and sex.

Codes are ICD-10-CM.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from fhirserver.demo.person import Sex


class Effect(NamedTuple):
    """What an untreated problem adds to vital signs (mm[Hg], beats, breaths, %, factor, Cel)."""

    systolic: float = 0
    diastolic: float = 0
    pulse: float = 0
    breaths: float = 0
    saturation: float = 0
    build: float = 0
    temperature: float = 0


class Aim(NamedTuple):
    """A goal: words, the LOINC code measured, and the value to stay below (UCUM code)."""

    text: str
    code: str
    display: str
    below: str
    unit: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A long-standing problem.

    `share` is how many of a hundred have it at 0-17, 18-39, 40-64 and 65 years or more. `every`
    is the number of months between visits, 0 where none are due. `medicines` and `panels` are
    keys of `medicines.FORMULARY` and `laboratory.PANELS`.
    """

    code: str
    display: str
    share: tuple[float, float, float, float]
    every: int
    clinic: str
    medicines: tuple[str, ...] = ()
    panels: tuple[str, ...] = ()
    effect: Effect = field(default_factory=Effect)
    aim: Aim | None = None
    advice: tuple[str, ...] = ()
    sex: Sex | None = None


@dataclass(frozen=True, slots=True)
class Episode:
    """A passing problem: `weight` tells how often it comes, at which ages, and where it is seen."""

    code: str
    display: str
    weight: float
    ages: tuple[int, int]
    days: int
    medicines: tuple[str, ...] = ()
    procedures: tuple[str, ...] = ()
    effect: Effect = field(default_factory=Effect)
    place: Literal["AMB", "EMER", "IMP"] = "AMB"
    complaint: str = ""
    sex: Sex | None = None


BLOOD_PRESSURE = Aim(
    "Systolic blood pressure below 140 mmHg", "8480-6", "Systolic blood pressure", "140", "mm[Hg]"
)
HBA1C = Aim("HbA1c below 7 %", "4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "7.0", "%")
LDL = Aim(
    "LDL cholesterol below 100 mg/dL",
    "13457-7",
    "Cholesterol in LDL [Mass/volume] in Serum or Plasma by calculation",
    "100",
    "mg/dL",
)
WEIGHT = Aim("Body mass index below 30", "39156-5", "Body mass index (BMI) [Ratio]", "30", "kg/m2")

PROBLEMS = (
    Problem(
        "I10", "Essential (primary) hypertension", (0, 5, 32, 60), 6, "general",
        ("lisinopril", "amlodipine"), ("metabolic",), Effect(systolic=26, diastolic=13),
        BLOOD_PRESSURE, ("Reduce salt to less than 5 g a day", "Measure blood pressure weekly"),
    ),
    Problem(
        "E11.9", "Type 2 diabetes mellitus without complications", (0, 2, 12, 22), 4,
        "endocrinology", ("metformin",), ("hba1c", "metabolic"), Effect(build=0.12), HBA1C,
        ("Diabetes diet counselling", "Yearly eye examination", "Daily foot inspection"),
    ),
    Problem(
        "E78.5", "Hyperlipidemia, unspecified", (0, 3, 22, 35), 12, "general",
        ("atorvastatin",), ("lipids",), Effect(), LDL, ("Low-fat diet",),
    ),
    Problem(
        "J45.909", "Unspecified asthma, uncomplicated", (9, 7, 6, 5), 6, "respiratory",
        ("albuterol", "fluticasone-salmeterol"), (), Effect(breaths=2, saturation=-1), None,
        ("Inhaler technique check", "Written asthma action plan"),
    ),
    Problem(
        "J44.9", "Chronic obstructive pulmonary disease, unspecified", (0, 0, 5, 12), 6,
        "respiratory", ("albuterol", "fluticasone-salmeterol"), ("blood-count",),
        Effect(breaths=4, saturation=-4, pulse=6), None,
        ("Stop smoking programme", "Pulmonary rehabilitation"),
    ),
    Problem(
        "I25.10",
        "Atherosclerotic heart disease of native coronary artery without angina pectoris",
        (0, 0, 5, 16), 6, "cardiology", ("aspirin", "atorvastatin", "metoprolol"), ("lipids",),
        Effect(systolic=6), LDL, ("Cardiac rehabilitation exercise, three times a week",),
    ),
    Problem(
        "I48.91", "Unspecified atrial fibrillation", (0, 0, 2, 9), 4, "cardiology",
        ("warfarin", "metoprolol"), ("blood-count",), Effect(pulse=18), None,
        ("Check pulse daily",),
    ),
    Problem(
        "I50.9", "Heart failure, unspecified", (0, 0, 1, 6), 3, "cardiology",
        ("furosemide", "lisinopril"), ("metabolic",),
        Effect(pulse=9, breaths=3, saturation=-2, build=0.05), None,
        ("Weigh every morning; call for a gain of 2 kg in 3 days", "Limit fluids to 1.5 L a day"),
    ),
    Problem(
        "N18.30", "Chronic kidney disease, stage 3 unspecified", (0, 0, 3, 12), 6, "general",
        (), ("metabolic", "blood-count"), Effect(systolic=6), BLOOD_PRESSURE,
        ("Avoid non-steroidal anti-inflammatory medicines",),
    ),
    Problem(
        "E03.9", "Hypothyroidism, unspecified", (0, 3, 7, 11), 12, "endocrinology",
        ("levothyroxine",), ("thyroid",), Effect(pulse=-6, build=0.04),
    ),
    Problem(
        "E66.9", "Obesity, unspecified", (4, 12, 18, 15), 12, "general", (), ("lipids",),
        Effect(build=0.28, systolic=5), WEIGHT,
        ("Diet counselling", "Brisk walking for 30 minutes, five times a week"),
    ),
    Problem(
        "F32.9", "Major depressive disorder, single episode, unspecified", (2, 9, 8, 6), 3,
        "general", ("sertraline",), (), Effect(), None, ("Talking therapy, weekly",),
    ),
    Problem(
        "F41.1", "Generalized anxiety disorder", (2, 8, 6, 3), 6, "general", ("sertraline",),
        (), Effect(pulse=5), None, ("Breathing and relaxation exercises",),
    ),
    Problem(
        "G43.909",
        "Migraine, unspecified, not intractable, without status migrainosus",
        (2, 12, 9, 3), 12, "general", ("sumatriptan",),
    ),
    Problem(
        "M17.9", "Osteoarthritis of knee, unspecified", (0, 0, 9, 25), 12, "orthopaedics",
        ("acetaminophen",), (), Effect(build=0.05), None, ("Physiotherapy, once a week",),
    ),
    Problem(
        "K21.9", "Gastro-esophageal reflux disease without esophagitis", (0, 5, 11, 14), 12,
        "general", ("omeprazole",),
    ),
    Problem(
        "M81.0", "Age-related osteoporosis without current pathological fracture",
        (0, 0, 4, 22), 12, "general", ("alendronate",), ("metabolic",), sex="female",
    ),
    Problem(
        "D50.9", "Iron deficiency anemia, unspecified", (2, 8, 5, 4), 6, "general",
        ("ferrous-sulfate",), ("blood-count",), Effect(pulse=5), sex="female",
    ),
    Problem("J30.2", "Other seasonal allergic rhinitis", (12, 14, 10, 5), 0, "general",
            ("loratadine",)),
    Problem("L20.9", "Atopic dermatitis, unspecified", (11, 4, 2, 1), 0, "general",
            ("hydrocortisone",)),
)  # fmt: skip

EPISODES = (
    Episode("J06.9", "Acute upper respiratory infection, unspecified", 22, (0, 120), 9,
            ("acetaminophen",), (), Effect(temperature=0.9, pulse=8), "AMB", "Cough and cold"),
    Episode("J02.9", "Acute pharyngitis, unspecified", 9, (3, 60), 7, ("amoxicillin",), (),
            Effect(temperature=1.2, pulse=9), "AMB", "Sore throat"),
    Episode("J20.9", "Acute bronchitis, unspecified", 8, (10, 120), 14, ("acetaminophen",), (),
            Effect(temperature=0.7, breaths=3, saturation=-1), "AMB", "Cough with phlegm"),
    Episode("H66.90", "Otitis media, unspecified, unspecified ear", 10, (0, 12), 8,
            ("amoxicillin",), (), Effect(temperature=1.4, pulse=12), "AMB", "Earache"),
    Episode("N39.0", "Urinary tract infection, site not specified", 8, (16, 120), 7,
            ("nitrofurantoin",), (), Effect(temperature=0.4), "AMB", "Burning when passing water",
            sex="female"),
    Episode("A09", "Infectious gastroenteritis and colitis, unspecified", 8, (0, 120), 5, (), (),
            Effect(temperature=0.6, pulse=10, systolic=-6), "AMB", "Vomiting and diarrhoea"),
    Episode("M54.50", "Low back pain, unspecified", 10, (20, 90), 21, ("ibuprofen",), (),
            Effect(), "AMB", "Back pain"),
    Episode("S93.401A", "Sprain of unspecified ligament of right ankle, initial encounter", 6,
            (8, 70), 20, ("ibuprofen",), ("ankle-x-ray",), Effect(pulse=6), "EMER",
            "Twisted ankle"),
    Episode("S52.501A",
            "Unspecified fracture of the lower end of right radius, initial encounter for "
            "closed fracture", 3, (6, 95), 45, ("acetaminophen",), ("wrist-x-ray", "wrist-cast"),
            Effect(pulse=12, systolic=8), "EMER", "Fall on the outstretched hand"),
    Episode("R07.9", "Chest pain, unspecified", 3, (35, 100), 2, (), ("ecg", "chest-x-ray"),
            Effect(pulse=10, systolic=12), "EMER", "Chest pain"),
    Episode("K35.80", "Unspecified acute appendicitis", 1.2, (8, 60), 18, ("acetaminophen",),
            ("appendectomy",), Effect(temperature=1.1, pulse=18), "IMP", "Pain in the belly"),
    Episode("J18.9", "Pneumonia, unspecified organism", 2.2, (50, 120), 21, ("amoxicillin",),
            ("chest-x-ray",), Effect(temperature=1.7, pulse=20, breaths=8, saturation=-5), "IMP",
            "Fever and short breath"),
)  # fmt: skip
