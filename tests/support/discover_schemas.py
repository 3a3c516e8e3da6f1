"""Databases to look at, with rows as they are in life, and what a careful person says about each column.

An answer names, for each table, the columns that lead to its persons and the class of every column
that is about a person; "a|b" where two readings are defensible. What is not named is not about a
person. The schemas have traps in them: names that mean something else, and values where the name is
innocent."""

import datetime
import json
import random

FIRST = ["Anna", "Jonas", "Mehmet", "Chloé", "Oluwaseun", "Ingeborg", "Dmitri", "Priya", "Karl-Heinz",
         "Fatma", "Luca", "Siobhan", "Thomas", "Maria", "Wei", "Guadalupe", "Ulrike", "Peter",
         "Nkechi", "Sabine", "Giulia", "Hans", "Amélie", "Yusuf", "Katarzyna", "Emma", "Felix",
         "Rosalind", "Takeshi", "Birgit"]
LAST = ["Müller", "Okafor", "Schmidt", "Yılmaz", "Dubois", "Petrow", "Iyer", "Weber", "O'Connor",
        "Rossi", "Wang", "Fernández", "Becker", "Nowak", "Hoffmann", "van den Berg", "Suzuki",
        "Lindqvist", "Brandt", "Adeyemi", "Kaya", "Huber", "Moreau", "Zielińska", "Stone"]
STREETS_EN = ["Oak Street", "5th Avenue", "Mill Lane", "Hill Road", "Maple Drive", "Church Square"]
STREETS_DE = ["Lindenstraße", "Am Anger", "Goethestr.", "Bahnhofplatz", "Waldweg", "Kirchgasse"]
CITIES = ["Berlin", "Leeds", "Lyon", "Torino", "Graz", "Malmö", "Porto", "Köln", "Gent", "Cork"]
WORDS = ("the parcel came late and box was open but everything inside seems fine so I keep it thank "
         "you please ring at the neighbours next time because our bell is broken since monday").split()
WORTE = ("Patient klagt über Schmerzen im unteren Rücken seit drei Tagen kein Fieber Druckschmerz "
         "links Verdacht auf Zerrung Kontrolle in zwei Wochen bitte Röntgenbild mitbringen").split()
AGENTS = ["Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0",
          "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15"]


class Maker:
    """Values as they are in life; the same ones each time."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def one(self, of):
        return self.random.choice(of)

    def number(self, low, high):
        return self.random.randint(low, high)

    def digits(self, count):
        return "".join(self.random.choice("0123456789") for _ in range(count))

    def sentence(self, words, least=5, most=14):
        return " ".join(self.random.choice(words) for _ in range(self.number(least, most)))

    def email(self, first, last):
        plain = (first[0] + last).lower().encode("ascii", "ignore").decode().replace(" ", "")
        return f"{plain.replace(chr(39), '')}{self.number(1, 99)}@{self.one(['mail', 'post'])}.example"

    def phone(self):
        return self.one([f"+49 {self.number(30, 899)} {self.digits(7)}",
                         f"0{self.number(151, 179)}-{self.digits(7)}",
                         f"+1 (415) 555-{self.digits(4)}"])

    def day(self, first, last):
        start = datetime.date(first, 1, 1)
        return start + datetime.timedelta(days=self.number(0, (last - first + 1) * 365 - 1))

    def moment(self):
        return (datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
                + datetime.timedelta(seconds=self.number(0, 25_000_000)))

    def card(self):
        digits = "4" + self.digits(14)
        total = sum(sum(divmod(int(d) * (2 if i % 2 == 0 else 1), 10)) for i, d in enumerate(digits))
        return digits + str(-total % 10)

    def iban(self):
        rest = self.digits(18)
        return f"DE{98 - int(rest + '131400') % 97:02d}{rest}"

    def ip(self):
        return f"203.0.113.{self.number(1, 254)}"

    def hex(self, count):
        return "".join(self.random.choice("0123456789abcdef") for _ in range(count))

    def uuid(self):
        h = self.hex(32)
        return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"

    def maybe(self, value, share=0.7):
        return value if self.random.random() < share else None


# -- an order shop: English, camel case, foreign keys nearly everywhere ----------------------------

SHOP = """
CREATE TABLE employees ("id" serial PRIMARY KEY, "fullName" text NOT NULL, "workEmail" text,
    "salaryCents" int, "hiredOn" date, "managerId" int REFERENCES employees, "badge" text,
    "onDuty" boolean);
CREATE TABLE customers ("id" bigserial PRIMARY KEY, "firstName" text, "lastName" text,
    "emailAddress" text UNIQUE NOT NULL, "phoneNumber" text, "dateOfBirth" date,
    "country" char(2) NOT NULL, "passwordHash" text, "newsletterOptIn" boolean, "createdAt" timestamptz,
    "loyaltyPoints" int, "extra" text, "preferredLanguage" text, "tier" text, "ref2" text);
CREATE TABLE addresses ("id" bigserial PRIMARY KEY, "customerId" bigint NOT NULL REFERENCES customers,
    "recipient" text, "street" text, "houseNumber" text, "zip" text, "city" text, "state" text,
    "country" char(2), "isDefault" boolean);
CREATE TABLE suppliers ("id" serial PRIMARY KEY, "name" text, "phone" text, "email" text,
    "address" text);
CREATE TABLE categories ("id" serial PRIMARY KEY, "name" text, "parentId" int REFERENCES categories);
CREATE TABLE products ("id" bigserial PRIMARY KEY, "name" text NOT NULL, "description" text,
    "priceCents" int, "sku" text, "ean" text, "supplierId" int REFERENCES suppliers,
    "categoryId" int REFERENCES categories, "state" text, "createdAt" timestamptz,
    "createdBy" int REFERENCES employees, "at" timestamptz, "weightGrams" int);
CREATE TABLE orders ("id" uuid PRIMARY KEY, "customerId" bigint NOT NULL REFERENCES customers,
    "addressId" bigint REFERENCES addresses, "status" text, "totalCents" int, "currency" char(3),
    "placedAt" timestamptz, "clientIp" inet, "note" text, "couponCode" text, "seenFrom" text);
CREATE TABLE "orderItems" ("orderId" uuid NOT NULL REFERENCES orders,
    "productId" bigint NOT NULL REFERENCES products, "quantity" int, "unitPriceCents" int,
    PRIMARY KEY ("orderId", "productId"));
CREATE TABLE payments ("id" bigserial PRIMARY KEY, "orderId" uuid NOT NULL REFERENCES orders,
    "method" text, "account" text, "cardExpiry" text, "iban" text, "amountCents" int,
    "paidAt" timestamptz, "transactionId" text, "status" text);
CREATE TABLE sessions ("sid" text PRIMARY KEY, "customerId" bigint REFERENCES customers,
    "userAgent" text, "ip" text, "payload" jsonb, "startedAt" timestamptz, "expiresAt" timestamptz);
CREATE TABLE reviews ("id" bigserial PRIMARY KEY, "productId" bigint NOT NULL REFERENCES products,
    "customerId" bigint NOT NULL REFERENCES customers, "rating" int, "title" text, "body" text,
    "createdAt" timestamptz, "state" text);
CREATE TABLE wishlists ("id" bigserial PRIMARY KEY, "customerId" bigint, "name" text,
    "isPublic" boolean, "createdAt" timestamptz);
CREATE TABLE referrals ("inviterId" bigint REFERENCES customers, "inviteeId" bigint
    REFERENCES customers, "at" timestamptz, PRIMARY KEY ("inviterId", "inviteeId"));
CREATE TABLE "memoryPages" ("id" bigserial PRIMARY KEY, "address" text, "hash" text, "state" text,
    "at" timestamptz, "processId" int, "note" text);
CREATE TABLE "exchangeRates" ("currency" char(3), "day" date, "rate" numeric(12,6), "note" text,
    PRIMARY KEY ("currency", "day"));
CREATE TABLE "taxZones" ("id" serial PRIMARY KEY, "country" char(2), "name" text, "rate" numeric(5,2));
"""

SHOP_ANSWER = {
    "employees": (["id"], {
        "id": "identity", "fullName": "identity", "workEmail": "contact", "salaryCents": "payment",
        "hiredOn": "activity", "managerId": "graph", "badge": "identity"}),
    "customers": (["id"], {
        "id": "identity", "firstName": "identity", "lastName": "identity", "emailAddress": "contact",
        "phoneNumber": "contact", "dateOfBirth": "identity", "passwordHash": "identity",
        "createdAt": "activity", "loyaltyPoints": "activity", "extra": "contact", "ref2": "payment"}),
    "addresses": (["customerId"], {
        "id": "identity", "customerId": "identity", "recipient": "identity", "street": "contact",
        "houseNumber": "contact", "zip": "contact|location", "city": "contact|location",
        "state": "contact|location"}),
    "suppliers": ([], {}),
    "categories": ([], {}),
    "products": ([], {}),
    "orders": (["customerId"], {
        "id": "identity", "customerId": "identity", "addressId": "identity|activity|contact",
        "totalCents": "payment", "placedAt": "activity", "clientIp": "location", "note": "content",
        "couponCode": "activity", "seenFrom": "location"}),
    "orderItems": (["orderId"], {
        "orderId": "identity", "productId": "activity", "unitPriceCents": "payment"}),
    "payments": (["orderId"], {
        "id": "identity", "orderId": "identity", "account": "payment", "cardExpiry": "payment",
        "iban": "payment", "amountCents": "payment", "paidAt": "activity",
        "transactionId": "payment|identity"}),
    "sessions": (["customerId"], {
        "sid": "identity", "customerId": "identity", "userAgent": "activity", "ip": "location",
        "payload": "content", "startedAt": "activity", "expiresAt": "activity"}),
    "reviews": (["customerId"], {
        "id": "identity", "productId": "activity", "customerId": "identity", "rating": "activity",
        "title": "content", "body": "content", "createdAt": "activity"}),
    "wishlists": (["customerId"], {
        "id": "identity", "customerId": "identity", "name": "content", "createdAt": "activity"}),
    "referrals": (["inviterId", "inviteeId"], {
        "inviterId": "identity|graph", "inviteeId": "identity|graph", "at": "activity"}),
    "memoryPages": ([], {}),
    "exchangeRates": ([], {}),
    "taxZones": ([], {}),
}


def fill_shop(insert, m):
    for i in range(1, 31):
        first, last = m.one(FIRST), m.one(LAST)
        insert("employees", i, f"{first} {last}", m.email(first, last), m.number(250000, 900000),
               m.day(2005, 2025), m.maybe(m.number(1, i), 0.8), f"B{m.digits(4)}", i % 2 == 0)
    for i in range(1, 401):
        first, last = m.one(FIRST), m.one(LAST)
        insert("customers", i, first, last, f"{i}.{m.email(first, last)}", m.maybe(m.phone()),
               m.day(1945, 2012), m.one(["US", "DE", "FR", "IE"]), f"$2b$12${m.hex(53)}", i % 3 == 0,
               m.moment(), m.number(0, 900), m.maybe(m.phone(), 0.4), m.one(["en", "de", "fr"]),
               m.one(["gold", "basic"]), m.maybe(m.iban(), 0.3))
    for i in range(1, 501):
        insert("addresses", i, m.number(1, 400), f"{m.one(FIRST)} {m.one(LAST)}", m.one(STREETS_EN),
               str(m.number(1, 200)), m.digits(5), m.one(CITIES), m.one(["CA", "NY", "BY", "NW"]),
               m.one(["US", "DE"]), i % 4 == 0)
    for i in range(1, 21):
        insert("suppliers", i, f"{m.one(LAST)} & {m.one(LAST)} Ltd", m.phone(), f"sales{i}@firm.example",
               f"{m.one(STREETS_EN)} {i}")
    for i in range(1, 11):
        insert("categories", i, m.one(["Shoes", "Lamps", "Garden tools", "Phones"]), None)
    for i in range(1, 301):
        name = m.one(["Rose Lamp", "Max Chair", "Desk", "Trail Shoe", "USB Cable", "Phone Case"])
        insert("products", i, f"{name} {m.number(1, 90)}",
               "Made of oak and steel, fits every room of your home", m.number(99, 99999),
               f"SKU-{m.digits(6)}", m.digits(13), m.number(1, 20), m.number(1, 10),
               m.one(["live", "draft"]), m.moment(), m.number(1, 30), m.moment(), m.number(5, 9000))
    orders = [m.uuid() for _ in range(600)]
    for order in orders:
        insert("orders", order, m.number(1, 400), m.number(1, 500), m.one(["paid", "sent", "open"]),
               m.number(500, 90000), m.one(["EUR", "USD"]), m.moment(), m.ip(),
               m.maybe(m.sentence(WORDS), 0.3), m.maybe("SUMMER" + m.digits(2), 0.2),
               f"{48 + m.random.random() * 4:.6f},{8 + m.random.random() * 4:.6f}")
    for order in orders:
        for product in m.random.sample(range(1, 301), m.number(1, 3)):
            insert("orderItems", order, product, m.number(1, 5), m.number(99, 9999))
    for i, order in enumerate(orders):
        insert("payments", i, order, m.one(["card", "transfer"]), m.card(),
               f"{m.number(1, 12):02d}/{m.number(26, 31)}", m.maybe(m.iban(), 0.4),
               m.number(500, 90000), m.moment(), f"tx_{m.hex(16)}", m.one(["ok", "failed"]))
    for _ in range(400):
        insert("sessions", m.hex(40), m.number(1, 400), m.one(AGENTS), m.ip(),
               json.dumps({"cart": [m.number(1, 300)], "email": "x@mail.example", "step": 2}),
               m.moment(), m.moment())
    for i in range(1, 401):
        insert("reviews", i, m.number(1, 300), m.number(1, 400), m.number(1, 5),
               m.sentence(WORDS, 2, 4), m.sentence(WORDS), m.moment(), m.one(["visible", "hidden"]))
    for i in range(1, 201):
        insert("wishlists", i, m.number(1, 400), m.one(["for the garden", "birthday of mum", "new flat"]),
               i % 2 == 0, m.moment())
    for i in range(1, 200):
        insert("referrals", i, i + 200, m.moment())
    for i in range(1, 301):
        insert("memoryPages", i, "0x" + m.hex(12), m.hex(64), m.one(["clean", "dirty"]), m.moment(),
               m.number(1, 30000), m.maybe(m.one(["swapped", "pinned"]), 0.5))
        insert("exchangeRates", f"X{chr(65 + i % 26)}{chr(65 + i // 26)}", m.day(2024, 2025),
               round(m.random.random() * 90, 6), m.maybe("corrected", 0.1))
    for i in range(1, 41):
        insert("taxZones", i, m.one(["US", "DE", "FR"]), f"Zone {i}", m.number(0, 25))


# -- a clinic: German, prefixes, two kinds of persons, keys that only names tell of -----------------

CLINIC = """
CREATE SCHEMA praxis;
SET search_path = praxis;
CREATE TABLE personal (personal_id serial PRIMARY KEY, vorname text, nachname text,
    fachrichtung text, diensttelefon text, email text, eintritt date, gehalt numeric(10,2),
    schicht text);
CREATE TABLE patienten (pat_id bigserial PRIMARY KEY, pat_vorname text, pat_nachname text,
    pat_geburtsdatum date, pat_geschlecht text, pat_versichertennr text, pat_telefon text,
    pat_email text, "pat_straße" text, pat_strasse text, pat_plz text, pat_ort text, pat_land char(2),
    pat_hausarzt_id int REFERENCES personal, pat_bemerkung text, pat_angelegt_am timestamptz,
    pat_status text, pat_info3 text);
CREATE TABLE raeume (id serial PRIMARY KEY, name text, stockwerk int, telefon text);
CREATE TABLE termine (termin_id bigserial PRIMARY KEY, patient_id bigint NOT NULL
    REFERENCES patienten, arzt_id int REFERENCES personal, raum_id int REFERENCES raeume,
    beginn timestamptz, ende timestamptz, grund text, status text);
CREATE TABLE icd_katalog (code text PRIMARY KEY, titel text, kapitel int);
CREATE TABLE diagnosen (id bigserial PRIMARY KEY, termin_id bigint NOT NULL REFERENCES termine,
    icd_code text REFERENCES icd_katalog, befund text, schweregrad int,
    erfasst_von int REFERENCES personal, erfasst_am timestamptz);
CREATE TABLE laborwerte (id bigserial PRIMARY KEY, diagnose_id bigint NOT NULL REFERENCES diagnosen,
    messgroesse text, blutdruck text, einheit text, gemessen_am timestamptz);
CREATE TABLE medikamente (pzn text PRIMARY KEY, name text, hersteller text, preis numeric(8,2));
CREATE TABLE rezepte (id bigserial PRIMARY KEY, patient_id bigint NOT NULL REFERENCES patienten,
    ausgestellt_von int REFERENCES personal, pzn text REFERENCES medikamente, dosierung text,
    ausgestellt_am date, eingeloest boolean);
CREATE TABLE rechnungen (rechnungsnr bigint PRIMARY KEY, patient_id bigint NOT NULL, betrag numeric(10,2),
    iban text, bezahlt_am date, zahlungsart text);
CREATE TABLE angehoerige (id bigserial PRIMARY KEY, patient_id bigint NOT NULL REFERENCES patienten,
    name text, beziehung text, erreichbar text);
CREATE TABLE protokoll (id bigserial PRIMARY KEY, patient_id bigint REFERENCES patienten,
    kanal text, inhalt json, am timestamptz);
CREATE TABLE geraete (id serial PRIMARY KEY, name text, adresse inet, seriennummer text,
    zustand text, letzte_wartung date, raum_id int REFERENCES raeume);
CREATE TABLE stationen (id serial PRIMARY KEY, name text, adresse text, telefon text);
CREATE TABLE dienste (personal_id int REFERENCES personal, tag date, schicht text,
    PRIMARY KEY (personal_id, tag));
"""

CLINIC_ANSWER = {
    "personal": (["personal_id"], {
        "personal_id": "identity", "vorname": "identity", "nachname": "identity",
        "fachrichtung": "identity", "diensttelefon": "contact", "email": "contact",
        "eintritt": "activity", "gehalt": "payment"}),
    "patienten": (["pat_id"], {
        "pat_id": "identity", "pat_vorname": "identity", "pat_nachname": "identity",
        "pat_geburtsdatum": "identity", "pat_geschlecht": "identity",
        "pat_versichertennr": "identity", "pat_telefon": "contact", "pat_email": "contact",
        "pat_strasse": "contact", "pat_plz": "contact|location", "pat_ort": "contact|location",
        "pat_hausarzt_id": "graph", "pat_bemerkung": "content", "pat_angelegt_am": "activity",
        "pat_info3": "contact"}),
    "raeume": ([], {}),
    "termine": (["patient_id"], {
        "termin_id": "identity", "patient_id": "identity", "arzt_id": "graph",
        "raum_id": "activity|location", "beginn": "activity", "ende": "activity",
        "grund": "content"}),
    "icd_katalog": ([], {}),
    "diagnosen": (["termin_id"], {
        "id": "identity", "termin_id": "identity", "icd_code": "content|activity",
        "befund": "content", "schweregrad": "content", "erfasst_von": "graph",
        "erfasst_am": "activity"}),
    "laborwerte": (["diagnose_id"], {
        "id": "identity", "diagnose_id": "identity", "messgroesse": "content",
        "blutdruck": "content", "gemessen_am": "activity"}),
    "medikamente": ([], {}),
    "rezepte": (["patient_id"], {
        "id": "identity", "patient_id": "identity", "ausgestellt_von": "graph",
        "pzn": "content|activity", "dosierung": "content", "ausgestellt_am": "activity"}),
    "rechnungen": (["patient_id"], {
        "rechnungsnr": "identity", "patient_id": "identity", "betrag": "payment", "iban": "payment",
        "bezahlt_am": "activity", "zahlungsart": "payment"}),
    "angehoerige": (["patient_id"], {
        "id": "identity", "patient_id": "identity", "name": "identity|graph",
        "beziehung": "graph|content", "erreichbar": "contact"}),
    "protokoll": (["patient_id"], {
        "id": "identity", "patient_id": "identity", "kanal": "activity", "inhalt": "content",
        "am": "activity"}),
    "geraete": ([], {}),
    "stationen": ([], {}),
    "dienste": (["personal_id"], {"personal_id": "identity", "tag": "activity"}),
}


def fill_clinic(insert, m):
    for i in range(1, 26):
        first, last = m.one(FIRST), m.one(LAST)
        insert("personal", i, first, last, m.one(["Chirurgie", "Pflege", "Anästhesie"]), m.phone(),
               m.email(first, last), m.day(2000, 2025), m.number(2800, 9000), m.one(["früh", "spät"]))
    for i in range(1, 301):
        first, last = m.one(FIRST), m.one(LAST)
        street = f"{m.one(STREETS_DE)} {m.number(1, 90)}"
        insert("patienten", i, first, last, m.day(1935, 2024), m.one(["w", "m", "d"]),
               f"{m.one(['A', 'K', 'Z'])}{m.digits(9)}", m.maybe(m.phone()), m.maybe(m.email(first, last)),
               street, street, m.digits(5), m.one(CITIES), "DE", m.number(1, 25),
               m.maybe(m.sentence(WORTE), 0.4), m.moment(), m.one(["aktiv", "entlassen"]),
               m.maybe(m.email(last, first), 0.4))
    for i in range(1, 31):
        insert("raeume", i, f"Raum {i}", i % 4, f"{m.digits(4)}")
    for i in range(1, 501):
        insert("termine", i, m.number(1, 300), m.number(1, 25), m.number(1, 30), m.moment(), m.moment(),
               m.sentence(WORTE, 3, 6), m.one(["geplant", "fertig", "abgesagt"]))
    codes = [f"{chr(65 + i % 26)}{i % 90 + 10}.{i % 10}" for i in range(120)]
    for code in sorted(set(codes)):
        insert("icd_katalog", code, m.one(["Akute Bronchitis", "Lumbago", "Migräne"]), m.number(1, 22))
    for i in range(1, 401):
        insert("diagnosen", i, m.number(1, 500), m.one(codes), m.sentence(WORTE), m.number(1, 5),
               m.number(1, 25), m.moment())
    for i in range(1, 401):
        insert("laborwerte", i, m.number(1, 400), m.one(["Glukose", "Kreatinin", "Leukozyten"]),
               f"{m.number(100, 180)}/{m.number(60, 110)}", m.one(["mg/dl", "mmHg"]), m.moment())
    for i in range(1, 101):
        insert("medikamente", f"{10000000 + i}", m.one(["Ibuprofen 400", "Amoxicillin", "Metformin"]),
               m.one(["Huber Pharma GmbH", "Nordmed AG"]), m.number(3, 90))
    for i in range(1, 301):
        insert("rezepte", i, m.number(1, 300), m.number(1, 25), f"{10000000 + m.number(1, 100)}",
               m.one(["1-0-1", "1-1-1", "bei Bedarf"]), m.day(2024, 2026), i % 2 == 0)
        insert("rechnungen", 202600000 + i, m.number(1, 300), m.number(10, 900), m.maybe(m.iban()),
               m.maybe(m.day(2025, 2026)), m.one(["Überweisung", "Lastschrift"]))
        insert("angehoerige", i, m.number(1, 300), f"{m.one(FIRST)} {m.one(LAST)}",
               m.one(["Tochter", "Vater", "Ehefrau"]), m.phone())
        insert("protokoll", i, m.number(1, 300), m.one(["Telefon", "Brief", "E-Mail"]),
               json.dumps({"telefon": m.phone(), "text": m.sentence(WORTE)}), m.moment())
    for i in range(1, 31):
        insert("geraete", i, m.one(["Ultraschall", "EKG", "MRT"]), f"10.0.0.{i}", f"SN{m.digits(8)}",
               m.one(["bereit", "defekt"]), m.day(2024, 2026), i)
        insert("stationen", i, f"Station {i}", f"{m.one(STREETS_DE)} {i}", m.phone())
        insert("dienste", 1 + i % 25, m.day(2020, 2026), m.one(["früh", "spät"]))


# -- the demo's short videos ------------------------------------------------------------------------

DEMO_ANSWER = {
    "users": (["id"], {
        "id": "identity", "handle": "identity", "email": "contact", "phone": "contact",
        "birthdate": "identity", "created_at": "activity"}),
    "videos": (["user_id"], {
        "id": "identity", "user_id": "identity", "title": "content", "created_at": "activity"}),
    "watch_events": (["user_id"], {
        "id": "identity", "user_id": "identity", "video_id": "activity|identity", "at": "activity",
        "seconds": "activity"}),
    "searches": (["user_id"], {
        "id": "identity", "user_id": "identity", "at": "activity", "q": "content"}),
    "locations": (["user_id"], {
        "id": "identity", "user_id": "identity", "at": "activity", "lat": "location",
        "lon": "location", "ip": "location"}),
    "messages": (["sender_id", "recipient_id"], {
        "id": "identity", "sender_id": "identity", "recipient_id": "graph", "at": "activity",
        "body": "content"}),
    "purchases": (["user_id"], {
        "id": "identity", "user_id": "identity", "at": "activity", "cents": "payment",
        "card_last4": "payment"}),
    "scratch": ([], {}),
}


# -- a video rental, after a well-known sample: addresses that persons lead to, cities in tables of
#    their own, a store, staff; its words and rules were not looked at when it was written ------------

RENTAL = """
CREATE DOMAIN year AS integer CHECK (VALUE BETWEEN 1901 AND 2155);
CREATE TYPE mpaa_rating AS ENUM ('G', 'PG', 'R');
CREATE TABLE country (country_id serial PRIMARY KEY, country text NOT NULL, last_update timestamp);
CREATE TABLE city (city_id serial PRIMARY KEY, city text NOT NULL,
    country_id int NOT NULL REFERENCES country, last_update timestamp);
CREATE TABLE address (address_id serial PRIMARY KEY, address text NOT NULL, address2 text,
    district text NOT NULL, city_id int NOT NULL REFERENCES city, postal_code text, phone text,
    last_update timestamp);
CREATE TABLE store (store_id serial PRIMARY KEY, manager_staff_id int,
    address_id int NOT NULL REFERENCES address, last_update timestamp);
CREATE TABLE staff (staff_id serial PRIMARY KEY, first_name text NOT NULL, last_name text NOT NULL,
    address_id int NOT NULL REFERENCES address, email text, store_id int NOT NULL REFERENCES store,
    active boolean, username text, password text, last_update timestamp, picture bytea);
ALTER TABLE store ADD FOREIGN KEY (manager_staff_id) REFERENCES staff;
CREATE TABLE customer (customer_id serial PRIMARY KEY, store_id int NOT NULL REFERENCES store,
    first_name text NOT NULL, last_name text NOT NULL, email text,
    address_id int NOT NULL REFERENCES address, activebool boolean, create_date date,
    last_update timestamp, active int);
CREATE TABLE actor (actor_id serial PRIMARY KEY, first_name text, last_name text,
    last_update timestamp);
CREATE TABLE film (film_id serial PRIMARY KEY, title text, description text, release_year year,
    rental_duration smallint, rental_rate numeric(4,2), length smallint,
    replacement_cost numeric(5,2), rating mpaa_rating, special_features text[], fulltext tsvector,
    last_update timestamp);
CREATE TABLE film_actor (actor_id int REFERENCES actor, film_id int REFERENCES film,
    last_update timestamp, PRIMARY KEY (actor_id, film_id));
CREATE TABLE inventory (inventory_id serial PRIMARY KEY, film_id int NOT NULL REFERENCES film,
    store_id int NOT NULL REFERENCES store, last_update timestamp);
CREATE TABLE rental (rental_id serial PRIMARY KEY, rental_date timestamp NOT NULL,
    inventory_id int NOT NULL REFERENCES inventory, customer_id int NOT NULL REFERENCES customer,
    return_date timestamp, staff_id int NOT NULL REFERENCES staff, last_update timestamp);
CREATE TABLE payment (payment_id serial, customer_id int NOT NULL REFERENCES customer,
    staff_id int NOT NULL REFERENCES staff, rental_id int NOT NULL REFERENCES rental,
    amount numeric(5,2) NOT NULL, payment_date timestamp NOT NULL,
    PRIMARY KEY (payment_id, payment_date)) PARTITION BY RANGE (payment_date);
CREATE TABLE payment_2025 PARTITION OF payment FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE payment_2026 PARTITION OF payment FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
"""

# Actors are persons of public life, in a list of who plays where: about nobody's use of the shop.
# An address is a customer's, a member of staff's or a store's; no key of its own tells which.
RENTAL_ANSWER = {
    "country": ([], {}),
    "city": ([], {}),
    "address": ([], {"address": "contact", "address2": "contact", "district": "contact|location",
                     "city_id": "location|contact|activity", "postal_code": "contact|location",
                     "phone": "contact"}),
    "store": ([], {}),
    "staff": (["staff_id"], {
        "staff_id": "identity", "first_name": "identity", "last_name": "identity",
        "address_id": "identity|contact|activity", "email": "contact",
        "store_id": "activity|identity", "username": "identity", "password": "identity",
        "last_update": "activity", "picture": "identity"}),
    "customer": (["customer_id"], {
        "customer_id": "identity", "store_id": "activity|identity", "first_name": "identity",
        "last_name": "identity", "email": "contact", "address_id": "identity|contact|activity",
        "create_date": "activity", "last_update": "activity"}),
    "actor": ([], {}),
    "film": ([], {}),
    "film_actor": ([], {}),
    "inventory": ([], {}),
    "rental": (["customer_id"], {
        "rental_id": "identity", "rental_date": "activity", "inventory_id": "activity",
        "customer_id": "identity", "return_date": "activity", "staff_id": "graph",
        "last_update": "activity"}),
    "payment": (["customer_id"], {
        "payment_id": "identity", "customer_id": "identity", "staff_id": "graph",
        "rental_id": "identity|activity", "amount": "payment", "payment_date": "activity"}),
}


def fill_rental(insert, m):
    for i in range(1, 11):
        insert("country", i, m.one(["Ireland", "Norway", "Chile", "Kenya"]), m.moment())
    for i in range(1, 41):
        insert("city", i, m.one(CITIES), m.number(1, 10), m.moment())
    for i in range(1, 301):
        insert("address", i, f"{m.number(1, 1900)} {m.one(STREETS_EN)}", m.maybe("", 0.9),
               m.one(["Leinster", "Oslo", "Maule"]), m.number(1, 40), m.digits(5), m.phone(), m.moment())
    for i in (1, 2):
        insert("store", i, None, i, m.moment())
    for i in range(1, 11):
        first, last = m.one(FIRST), m.one(LAST)
        insert("staff", i, first, last, i + 2, m.email(first, last), m.number(1, 2), True,
               first[:4].lower(), m.hex(40), m.moment(), None)
    for i in range(1, 251):
        first, last = m.one(FIRST).upper(), m.one(LAST).upper()
        insert("customer", i, m.number(1, 2), first, last, m.email(first, last), i + 20, True,
               m.day(2020, 2025), m.moment(), 1)
    for i in range(1, 101):
        insert("actor", i, m.one(FIRST).upper(), m.one(LAST).upper(), m.moment())
        insert("film", i, m.one(["ACADEMY DINOSAUR", "ANGELS LIFE", "ANNIE IDENTITY"]),
               "A story of a boat and a cat in a dark lake", 2006, 5, 3, m.number(60, 180), 20, "PG",
               ["Trailers"], "boat", m.moment())
    for i in range(1, 101):
        insert("film_actor", i, m.number(1, 100), m.moment())
        insert("inventory", i, m.number(1, 100), m.number(1, 2), m.moment())
    for i in range(1, 301):
        insert("rental", i, m.moment(), m.number(1, 100), m.number(1, 250), m.moment(), m.number(1, 10),
               m.moment())
        insert("payment", i, m.number(1, 250), m.number(1, 10), i, m.number(1, 11), m.moment())


# -- a forum: foreign keys only here and there, e-mail addresses in a table of their own, generic
#    names, settings beside persons; written like the rental, without a look at words and rules -----

FORUM = """
CREATE TABLE users (id bigserial PRIMARY KEY, username text UNIQUE NOT NULL, name text, title text,
    last_seen_at timestamp, ip_address inet, registration_ip_address inet, trust_level int,
    suspended_till timestamp, admin boolean, date_of_birth date, locale text, views int,
    created_at timestamp NOT NULL);
CREATE TABLE user_emails (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users,
    email text NOT NULL, "primary" boolean, created_at timestamp);
CREATE TABLE user_profiles (user_id bigint PRIMARY KEY REFERENCES users, location text, website text,
    bio_raw text, views int);
CREATE TABLE categories (id bigserial PRIMARY KEY, name text, color text, slug text,
    description text, user_id bigint);
CREATE TABLE topics (id bigserial PRIMARY KEY, title text NOT NULL, user_id bigint REFERENCES users,
    category_id bigint REFERENCES categories, views int, posts_count int, closed boolean,
    created_at timestamp, last_posted_at timestamp);
CREATE TABLE posts (id bigserial PRIMARY KEY, topic_id bigint NOT NULL REFERENCES topics,
    user_id bigint, post_number int, raw text, cooked text, created_at timestamp,
    reply_to_user_id bigint, like_count int, edit_reason text);
CREATE TABLE post_likes (post_id bigint REFERENCES posts, user_id bigint REFERENCES users,
    created_at timestamp, PRIMARY KEY (post_id, user_id));
CREATE TABLE follows (follower_id bigint, followed_id bigint, created_at timestamp,
    PRIMARY KEY (follower_id, followed_id));
CREATE TABLE private_messages (id bigserial PRIMARY KEY, from_user_id bigint REFERENCES users,
    to_user_id bigint REFERENCES users, sent_at timestamp, ciphertext text);
CREATE TABLE search_logs (id bigserial PRIMARY KEY, term text, user_id bigint, ip_address text,
    click_target text, created_at timestamp);
CREATE TABLE api_keys (id bigserial PRIMARY KEY, user_id bigint REFERENCES users, key_digest text,
    last_used timestamp, scopes text);
CREATE TABLE site_settings (name text PRIMARY KEY, value text, data_type int, updated_at timestamp);
CREATE TABLE tags (id bigserial PRIMARY KEY, name text, topic_count int);
CREATE TABLE badges (id bigserial PRIMARY KEY, name text, description text, icon text);
CREATE TABLE user_badges (id bigserial PRIMARY KEY, badge_id bigint REFERENCES badges,
    user_id bigint REFERENCES users, granted_at timestamp, granted_by_id bigint);
CREATE TABLE schema_migrations (version text PRIMARY KEY);
"""

FORUM_ANSWER = {
    "users": (["id"], {
        "id": "identity", "username": "identity", "name": "identity", "title": "content|identity",
        "last_seen_at": "activity", "ip_address": "location", "registration_ip_address": "location",
        "trust_level": "activity", "suspended_till": "activity", "date_of_birth": "identity",
        "views": "activity", "created_at": "activity"}),
    "user_emails": (["user_id"], {
        "id": "identity", "user_id": "identity", "email": "contact", "created_at": "activity"}),
    "user_profiles": (["user_id"], {
        "user_id": "identity", "location": "location", "website": "contact|activity|identity",
        "bio_raw": "content", "views": "activity"}),
    "categories": ([], {}),
    "topics": (["user_id"], {
        "id": "identity|activity", "title": "content", "user_id": "identity",
        "category_id": "activity|identity", "views": "activity", "posts_count": "activity",
        "created_at": "activity", "last_posted_at": "activity"}),
    "posts": (["user_id"], {
        "id": "identity", "topic_id": "identity|activity", "user_id": "identity",
        "post_number": "activity|identity", "raw": "content", "cooked": "content",
        "created_at": "activity", "reply_to_user_id": "graph", "like_count": "activity",
        "edit_reason": "content"}),
    "post_likes": (["user_id"], {
        "post_id": "identity|activity", "user_id": "identity", "created_at": "activity"}),
    "follows": (["follower_id", "followed_id"], {
        "follower_id": "identity|graph", "followed_id": "identity|graph", "created_at": "activity"}),
    "private_messages": (["from_user_id", "to_user_id"], {
        "id": "identity", "from_user_id": "identity|graph", "to_user_id": "identity|graph",
        "sent_at": "activity", "ciphertext": "content"}),
    "search_logs": (["user_id"], {
        "id": "identity", "term": "content", "user_id": "identity", "ip_address": "location",
        "click_target": "activity", "created_at": "activity"}),
    "api_keys": (["user_id"], {
        "id": "identity", "user_id": "identity", "key_digest": "identity", "last_used": "activity"}),
    "site_settings": ([], {}),
    "tags": ([], {}),
    "badges": ([], {}),
    "user_badges": (["user_id"], {
        "id": "identity", "badge_id": "activity|identity", "user_id": "identity",
        "granted_at": "activity", "granted_by_id": "graph"}),
    "schema_migrations": ([], {}),
}


def fill_forum(insert, m):
    for i in range(1, 10):
        insert("badges", i, f"Badge {i}", "Given to those who stay for a year", "fa-star")
    for i in range(1, 201):
        first, last = m.one(FIRST), m.one(LAST)
        insert("users", i, f"{first.lower()}{i}", m.maybe(f"{first} {last}"), m.maybe("Regular", 0.2),
               m.moment(), m.ip(), m.ip(), m.number(0, 4), None, i == 1, m.day(1960, 2011), "en",
               m.number(0, 5000), m.moment())
        insert("user_emails", i, i, m.email(first, last), True, m.moment())
        insert("user_profiles", i, m.maybe(m.one(CITIES), 0.4),
               m.maybe(f"https://{first.lower()}.example/", 0.3), m.maybe(m.sentence(WORDS), 0.5),
               m.number(0, 900))
    for i in range(1, 13):
        insert("categories", i, m.one(["Support", "Meta", "Lounge"]), m.hex(6), f"slug-{i}",
               "Questions and answers about how this place works", 1)
    for i in range(1, 201):
        insert("topics", i, m.sentence(WORDS, 3, 7), m.number(1, 200), m.number(1, 12),
               m.number(0, 999), m.number(1, 40), False, m.moment(), m.moment())
    for i in range(1, 501):
        text = m.sentence(WORDS)
        insert("posts", i, m.number(1, 200), m.number(1, 200), m.number(1, 40), text, f"<p>{text}</p>",
               m.moment(), m.maybe(m.number(1, 200), 0.3), m.number(0, 9), m.maybe("typo", 0.1))
        insert("post_likes", i, m.number(1, 200), m.moment())
        insert("search_logs", i, m.one(["bell", "parcel late", "box open"]), m.maybe(m.number(1, 200)),
               m.ip(), m.one(["topic", "user"]), m.moment())
    for i in range(1, 151):
        insert("follows", i, i + 40, m.moment())
        insert("private_messages", i, m.number(1, 200), m.number(1, 200), m.moment(), m.hex(120))
        insert("user_badges", i, m.number(1, 9), m.number(1, 200), m.moment(), 1)
    for i in range(1, 31):
        insert("api_keys", i, i, m.hex(64), m.moment(), m.one(["read", "write"]))
        insert("site_settings", f"setting_{i}", m.one(["true", "30", "Welcome to our place"]), 1,
               m.moment())
        insert("tags", i, m.one(["howto", "bug", "paris"]), m.number(0, 90))
        insert("schema_migrations", f"2024{i:010d}")
