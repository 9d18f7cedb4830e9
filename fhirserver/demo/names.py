"""Names of many cultures, to be combined by chance; no combination means a person."""

from __future__ import annotations

from typing import NamedTuple


class Culture(NamedTuple):
    """`family` holds pairs where women and men bear different forms ("Nowak", "Wolski|Wolska").

    `language` is a BCP 47 tag and its name; `weight` says how many of the patients.
    """

    language: tuple[str, str]
    weight: float
    female: tuple[str, ...]
    male: tuple[str, ...]
    family: tuple[str, ...]


CULTURES = (
    Culture(
        ("en", "English"),
        30,
        ("Alice", "Beatrix", "Clara", "Edith", "Florence", "Georgia", "Hazel", "Imogen", "June",
         "Lucy", "Margaret", "Nora", "Penelope", "Rose", "Winifred"),
        ("Alfred", "Benjamin", "Charles", "Daniel", "Edward", "Frank", "George", "Henry", "Isaac",
         "Jack", "Leonard", "Oliver", "Ralph", "Samuel", "Walter"),
        ("Ashdown", "Barlow", "Carver", "Dunmore", "Elliston", "Fairbank", "Greenhalgh", "Hartley",
         "Kettering", "Langford", "Mosswell", "Northcott", "Pemberton", "Rowntree", "Whitcombe"),
    ),
    Culture(
        ("es", "Spanish"),
        14,
        ("Adriana", "Belén", "Carmen", "Inés", "Lucía", "María José", "Noemí", "Rocío", "Ximena"),
        ("Álvaro", "Andrés", "Diego", "Emilio", "Iñaki", "Joaquín", "Mateo", "Raúl", "Tomás"),
        ("Cárdenas Ibáñez", "De la Fuente", "Estévez Lobo", "Güell", "Muñoz Prado", "Núñez Sáez",
         "Ordóñez", "Quiñones", "Villaseñor Ríos", "Zúñiga"),
    ),
    Culture(
        ("de", "German"),
        7,
        ("Anneliese", "Bärbel", "Gisela", "Heike", "Käthe", "Lieselotte", "Sabine", "Ute"),
        ("Björn", "Dieter", "Götz", "Hans-Jürgen", "Jörg", "Klaus", "Rüdiger", "Uwe"),
        ("Böttcher", "Ehrlichmann", "Großmann", "Häberle", "Jäger", "Köhlmeier", "Müllerschön",
         "von der Heide", "Weiß", "Zöllner"),
    ),
    Culture(
        ("pl", "Polish"),
        5,
        ("Agnieszka", "Bożena", "Grażyna", "Łucja", "Małgorzata", "Zofia"),
        ("Bogusław", "Grzegorz", "Łukasz", "Paweł", "Stanisław", "Zbigniew"),
        ("Brzęczek", "Dąbrowski|Dąbrowska", "Gołębiewski|Gołębiewska", "Jabłoński|Jabłońska",
         "Szczepański|Szczepańska", "Źrebiec"),
    ),
    Culture(
        ("tr", "Turkish"),
        4,
        ("Ayşegül", "Çiğdem", "Gülşen", "İpek", "Özlem", "Şirin"),
        ("Çağatay", "Doğan", "Güneş", "İlker", "Oğuz", "Ümit"),
        ("Akdoğan", "Çelikbaş", "Gökçe", "İnanoğlu", "Özyürek", "Şentürk"),
    ),
    Culture(
        ("vi", "Vietnamese"),
        5,
        ("Thị Bích", "Thị Hường", "Thị Ngọc", "Thu Thảo", "Thùy Dương", "Yến Nhi"),
        ("Đình Phúc", "Hữu Nghĩa", "Minh Đức", "Quốc Việt", "Văn Hùng", "Xuân Trường"),
        ("Bùi", "Đặng", "Hoàng", "Lê", "Nguyễn", "Phạm", "Trần", "Vũ"),
    ),
    Culture(
        ("yo", "Yoruba"),
        5,
        ("Abọ́sẹ̀dé", "Fọlákẹ́", "Ìyábọ̀", "Oluwaseun", "Títílayọ̀", "Yetunde"),
        ("Adébáyọ̀", "Babátúndé", "Fẹ́mi", "Kọ́láwọlé", "Olúmídé", "Ṣẹ́gun"),
        ("Adéyẹmí", "Akíntọ́lá", "Balógun", "Ògúnlẹ́sì", "Òjó", "Oyèlówò"),
    ),
    Culture(
        ("hi", "Hindi"),
        7,
        ("Aditi", "Divya", "Kavita", "Lakshmi", "Meenakshi", "Priyanka", "Sunita"),
        ("Arjun", "Devendra", "Harish", "Karthik", "Nikhil", "Rohan", "Vikram"),
        ("Agarwal", "Bhattacharya", "Chaudhary", "Deshmukh", "Iyer", "Krishnamurthy", "Saxena"),
    ),
    Culture(
        ("zh-CN", "Chinese (China)"),
        5,
        ("Huìlíng 慧玲", "Jiāyí 佳怡", "Měihuì 美惠", "Xiǎolì 晓丽", "Yǔtóng 雨桐"),
        ("Guóqiáng 国强", "Hàorán 浩然", "Jiànhuá 建华", "Wěidōng 伟东", "Zhìyuǎn 志远"),
        ("Chén 陈", "Huáng 黄", "Liú 刘", "Wáng 王", "Zhāng 张", "Zhào 赵"),
    ),
    Culture(
        ("ar", "Arabic"),
        5,
        ("Amīna أمينة", "Fāṭima فاطمة", "Laylā ليلى", "Nūr نور", "Zaynab زينب"),
        ("Bilāl بلال", "Ḥasan حسن", "Khālid خالد", "Ṭāriq طارق", "Yūsuf يوسف"),
        ("al-Baghdādī البغدادي", "al-Ḥaddād الحداد", "Darwīsh درويش", "Manṣūr منصور",
         "Qāsim قاسم"),
    ),
    Culture(
        ("fr", "French"),
        5,
        ("Aurélie", "Cécile", "Élodie", "Françoise", "Hélène", "Zoé"),
        ("Benoît", "François", "Gaël", "Jérôme", "Loïc", "Noël"),
        ("Beauséjour", "Château", "D’Aubigné", "Lefèvre", "Maçon", "Pêcheur"),
    ),
    Culture(
        ("ga", "Irish"),
        4,
        ("Aoife", "Bríd", "Caoimhe", "Gráinne", "Niamh", "Siobhán", "Úna"),
        ("Ciarán", "Dáithí", "Eoghan", "Oisín", "Pádraig", "Séamus"),
        ("Mac Cárthaigh|Nic Cárthaigh", "Ó Briain|Ní Bhriain", "Ó Dálaigh|Ní Dhálaigh",
         "O'Farrell", "O'Shea"),
    ),
    Culture(
        ("is", "Icelandic"),
        2,
        ("Ásdís", "Guðrún", "Hrafnhildur", "Sólveig", "Þórdís"),
        ("Ægir", "Björgvin", "Guðmundur", "Sigurður", "Þorsteinn"),
        ("Eiríksson|Eiríksdóttir", "Hallgrímsson|Hallgrímsdóttir", "Þórðarson|Þórðardóttir"),
    ),
    Culture(
        ("pt-BR", "Portuguese (Brazil)"),
        4,
        ("Antônia", "Conceição", "Fátima", "Íris", "Luíza", "Thaís"),
        ("Antônio", "César", "João", "Luís", "Sebastião", "Vinícius"),
        ("Assunção", "Brandão", "Gonçalves", "Magalhães", "Simões", "Vasconcelos"),
    ),
)  # fmt: skip

TITLES = (("", 92.0), ("Dr.", 5.0), ("Prof.", 3.0))
SUFFIXES = (("", 95.0), ("Jr.", 3.0), ("III", 2.0))
"""For the English-speaking men of the table only."""
