#include "discover/value.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "discover/name.h"
#include "policy/quantity.h"

static bool is_letter(char c)
{
    return isalpha((unsigned char)c) != 0 || (unsigned char)c >= 0x80;
}

static size_t count_digits(const char *s)
{
    size_t count = 0;
    for (; *s != '\0'; s++)
        count += isdigit((unsigned char)*s) != 0;
    return count;
}

/* -- formats, in the order of tbl/word.def -- */

static bool is_email(const char *value)
{
    const char *at = strchr(value, '@');
    if (at == NULL || at == value || strchr(at + 1, '@') != NULL ||
        strpbrk(value, " <>\n\t") != NULL)
        return false;
    const char *dot = strrchr(at, '.');
    return dot != NULL && dot > at + 1 && strlen(dot) >= 3 && is_letter(dot[1]);
}

static bool is_day(const char *value)
{
    unsigned a, b, c;
    char one, two;
    if (sscanf(value, "%4u%c%2u%c%4u", &a, &one, &b, &two, &c) != 5 || one != two ||
        strchr("-./", one) == NULL)
        return false;
    if (a > 31) /* 2026-11-23 */
        return a >= 1800 && a < 2200 && b >= 1 && b <= 12 && c >= 1 && c <= 31;
    return c >= 1800 && c < 2200 && b >= 1 && a >= 1 && (a <= 12 || b <= 12);
}

/* Digits and the usual signs between them, with a plus or a zero in front, or in the American way.
 */
static bool is_phone(const char *value)
{
    size_t digits = count_digits(value);
    bool grouped = false;
    if (digits < 8 || digits > 15 || is_day(value))
        return false;
    for (const char *at = value; *at != '\0'; at++) {
        if (strchr("+()-/. 0123456789", *at) == NULL || (*at == '+' && at != value))
            return false;
        grouped |= at != value && strchr("-/ ()", *at) != NULL;
    }
    if (strspn(value, "0123456789.") == strlen(value) && strchr(value, '.') != NULL)
        return false;
    return value[0] == '+' || (value[0] == '0' && value[1] != '.') ||
           (grouped && digits == 10 && (value[0] == '(' || isdigit((unsigned char)value[0]) != 0));
}

static bool is_card(const char *value)
{
    unsigned sum = 0;
    size_t digits = 0;
    if (strspn(value, "0123456789 -") != strlen(value) || strchr("23456", value[0]) == NULL)
        return false;
    for (size_t i = strlen(value); i-- > 0;) {
        if (isdigit((unsigned char)value[i]) == 0)
            continue;
        unsigned digit = (unsigned)(value[i] - '0') * (digits % 2 == 1 ? 2 : 1);
        sum += digit > 9 ? digit - 9 : digit;
        digits++;
    }
    return digits >= 14 && digits <= 19 && sum % 10 == 0;
}

/* ISO 13616: the first four characters behind the others, letters as 10 to 35, mod 97 is 1. */
static bool is_iban(const char *value)
{
    char plain[40];
    size_t len = 0;
    unsigned rest = 0;
    for (const char *at = value; *at != '\0'; at++) {
        if (*at == ' ')
            continue;
        if (len == sizeof(plain) || isalnum((unsigned char)*at) == 0)
            return false;
        plain[len++] = (char)toupper((unsigned char)*at);
    }
    if (len < 15 || len > 34 || isalpha((unsigned char)plain[0]) == 0 ||
        isalpha((unsigned char)plain[1]) == 0 || isdigit((unsigned char)plain[2]) == 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = plain[(i + 4) % len];
        unsigned number =
            isdigit((unsigned char)c) != 0 ? (unsigned)(c - '0') : (unsigned)(c - 'A') + 10;
        rest = (rest * (number > 9 ? 100 : 10) + number) % 97;
    }
    return rest == 1;
}

static bool is_ip(const char *value)
{
    char address[64];
    unsigned char bytes[16];
    size_t len = strcspn(value, "/");
    if (len >= sizeof(address) || (value[len] == '/' && count_digits(value + len) == 0))
        return false;
    memcpy(address, value, len);
    address[len] = '\0';
    return inet_pton(AF_INET, address, bytes) == 1 ||
           (len > 4 && inet_pton(AF_INET6, address, bytes) == 1);
}

/* Hexadecimal digits with SEPARATOR between groups of the lengths GROUPS. */
static bool is_grouped_hex(const char *value, char separator, const unsigned char *groups,
                           size_t count)
{
    for (size_t g = 0; g < count; g++) {
        for (unsigned i = 0; i < groups[g]; i++)
            if (isxdigit((unsigned char)*value++) == 0)
                return false;
        if (g + 1 < count && *value++ != separator)
            return false;
    }
    return *value == '\0';
}

static bool is_mac(const char *value)
{
    static const unsigned char groups[] = { 2, 2, 2, 2, 2, 2 };
    return is_grouped_hex(value, ':', groups, 6) || is_grouped_hex(value, '-', groups, 6);
}

static bool is_uuid(const char *value)
{
    static const unsigned char groups[] = { 8, 4, 4, 4, 12 };
    return is_grouped_hex(value, '-', groups, 5);
}

static size_t decimals_of(const char *number)
{
    const char *dot = strchr(number, '.');
    return dot != NULL ? strspn(dot + 1, "0123456789") : 0;
}

static bool is_coordinates(const char *value)
{
    double latitude, longitude;
    char end;
    if (sscanf(value, " %*[(POINT] %c", &end) == 1) /* "(1.5,2.5)", "POINT(1.5 2.5)" */
        value += strcspn(value, "-0123456789");
    if (sscanf(value, "%lf%*[ ,;]%lf%c", &latitude, &longitude, &end) < 2)
        return false;
    return latitude >= -180 && latitude <= 180 && longitude >= -180 && longitude <= 180 &&
           decimals_of(value) >= 3;
}

/* More than a share of one: probabilities have many decimals, too. */
static bool is_degrees(const char *value)
{
    char *end;
    double number = strtod(value, &end);
    return *end == '\0' && decimals_of(value) >= 4 && number >= -180 && number <= 180 &&
           (number > 2 || number < -2);
}

static bool is_country(const char *value)
{
    struct place unused;
    return quantity_place(value, &unused);
}

static const char given_names[] =
#define GIVEN_NAMES(names) " " names " "
#define FAMILY_NAMES(names)
#include "discover/tbl/given_name.def"
#undef GIVEN_NAMES
#undef FAMILY_NAMES
    ;
static const char family_names[] =
#define GIVEN_NAMES(names)
#define FAMILY_NAMES(names) " " names " "
#include "discover/tbl/given_name.def"
#undef GIVEN_NAMES
#undef FAMILY_NAMES
    ;

static bool is_in_list(const char *list, const char *word)
{
    char padded[NAME_WORD_SIZE + 2];
    (void)snprintf(padded, sizeof(padded), " %s ", word);
    return strstr(list, padded) != NULL;
}

/* One to four words, one of them a name that many bear. */
static bool is_person(const char *value)
{
    struct name_words n;
    if (strlen(value) > 60 || count_digits(value) > 0 || strpbrk(value, "@/:;!?_=<>\"\n") != NULL ||
        (isupper((unsigned char)value[0]) == 0 && (unsigned char)value[0] < 0x80))
        return false;
    name_split(&n, value);
    bool found = false;
    for (size_t i = 0; i < n.count && !found; i++)
        found = is_in_list(given_names, n.word[i]) || is_in_list(family_names, n.word[i]);
    return found && n.count <= 5;
}

static bool is_street(const char *value)
{
    static const char words[] =
        "street|st|avenue|ave|road|rd|lane|ln|drive|dr|boulevard|blvd|court|"
        "ct|place|square|way|terrace|rue|calle|via|avenida|strasse|str|weg|"
        "platz|allee|gasse|ring|ufer|damm|*strasse|*str|*weg|*platz|*allee|"
        "*gasse|*ring|*ufer|*damm|chaussee";
    struct name_words n;
    size_t digits = count_digits(value);
    if (digits == 0 || digits > 12 || strlen(value) > 100)
        return false;
    name_split(&n, value);
    for (size_t i = 0; i < n.count; i++)
        if (name_in(words, n.word[i]) != NAME_DIFFERS)
            return n.count >= 2;
    return false;
}

static bool is_agent(const char *value)
{
    return strncmp(value, "Mozilla/", 8) == 0 || strncmp(value, "Opera/", 6) == 0;
}

static bool is_url(const char *value)
{
    const char *after = strstr(value, "://");
    return after != NULL && after - value >= 3 && after - value <= 6 && strchr(value, ' ') == NULL;
}

static bool is_secret(const char *value)
{
    static const char *const heads[] = { "$2a$", "$2b$", "$2y$",     "$argon2",        "$1$",
                                         "$5$",  "$6$",  "$scrypt$", "SCRAM-SHA-256$", "pbkdf2" };
    for (size_t i = 0; i < RF_COUNT(heads); i++)
        if (strncmp(value, heads[i], strlen(heads[i])) == 0)
            return true;
    return false;
}

static bool is_hash(const char *value)
{
    size_t len = strlen(value);
    return (len == 32 || len == 40 || len == 64 || len == 128) &&
           strspn(value, "0123456789abcdefABCDEF") == len;
}

static bool is_gender(const char *value)
{
    static const char words[] = "m|f|w|d|x|male|female|man|woman|maennlich|weiblich|divers|diverse|"
                                "other|nonbinary|mann|frau|herr|mr|mrs|ms";
    struct name_words n;
    char text[2 * NAME_WORD_SIZE];
    name_split(&n, value);
    return n.count > 0 && n.count <= 2 &&
           name_is_one_of(words, name_join(&n, 0, n.count - 1, text));
}

/* Several words of a sentence's length. */
static bool is_prose(const char *value)
{
    size_t words = 0, letters = 0;
    bool inside = false;
    for (const char *at = value; *at != '\0'; at++) {
        bool letter = is_letter(*at);
        letters += letter;
        words += letter && !inside;
        inside = letter;
    }
    return words >= 4 && letters >= 16 && letters * 10 >= strlen(value) * 6;
}

/* Keys of JSON (perhaps cut short) whose names speak of persons. */
static bool is_keyed(const char *value)
{
    static const char words[] = "email|mail|phone|telefon|tel|mobile|firstname|lastname|fullname|"
                                "vorname|nachname|name|username|address|adresse|street|strasse|ip|"
                                "ipaddress|lat|lon|lng|latitude|longitude|birthdate|dob|"
                                "geburtsdatum|ssn|iban|cardnumber|userid|customerid|patientid|"
                                "deviceid|*email|*phone|*address|*adresse|useragent|location";
    for (const char *at = strchr(value, '"'); at != NULL;) {
        const char *end = at + 1;
        while (*end != '\0' && *end != '"')
            end += end[0] == '\\' && end[1] != '\0' ? 2 : 1;
        if (*end == '\0')
            return false;
        const char *after = end + 1 + strspn(end + 1, " \t\n");
        if ((*after == ':' || strncmp(after, "=>", 2) == 0) && end - at <= NAME_WORD_SIZE) {
            char key[NAME_WORD_SIZE], text[2 * NAME_WORD_SIZE];
            struct name_words n;
            (void)snprintf(key, sizeof(key), "%.*s", (int)(end - at - 1), at + 1);
            name_split(&n, key);
            if (n.count > 0 && name_in(words, name_join(&n, 0, n.count - 1, text)) != NAME_DIFFERS)
                return true;
        }
        at = strchr(end + 1, '"');
    }
    return false;
}

/* Which formats make sense in which kind of column. */
static const struct {
    bool (*has)(const char *value);
    unsigned kinds; /* of value_kind, as bits */
} formats[FORMAT_COUNT] = {
#define IN(kind) (1U << VALUE_##kind)
    [FORMAT_email] = { is_email, IN(TEXT) },
    [FORMAT_phone] = { is_phone, IN(TEXT) },
    [FORMAT_card] = { is_card, IN(TEXT) | IN(NUMBER) },
    [FORMAT_iban] = { is_iban, IN(TEXT) },
    [FORMAT_ip] = { is_ip, IN(TEXT) },
    [FORMAT_mac] = { is_mac, IN(TEXT) },
    [FORMAT_uuid] = { is_uuid, IN(TEXT) },
    [FORMAT_coordinates] = { is_coordinates, IN(TEXT) },
    [FORMAT_degrees] = { is_degrees, IN(NUMBER) },
    [FORMAT_country] = { is_country, IN(TEXT) },
    [FORMAT_person] = { is_person, IN(TEXT) },
    [FORMAT_street] = { is_street, IN(TEXT) },
    [FORMAT_agent] = { is_agent, IN(TEXT) },
    [FORMAT_url] = { is_url, IN(TEXT) },
    [FORMAT_secret] = { is_secret, IN(TEXT) },
    [FORMAT_hash] = { is_hash, IN(TEXT) },
    [FORMAT_gender] = { is_gender, IN(TEXT) },
    [FORMAT_day] = { is_day, IN(TEXT) },
    [FORMAT_prose] = { is_prose, IN(TEXT) },
    [FORMAT_keyed] = { is_keyed, IN(JSON) | IN(TEXT) },
#undef IN
};

bool value_has_format(enum value_format format, enum value_kind kind, const char *value)
{
    return (formats[format].kinds & (1U << kind)) != 0 && formats[format].has(value);
}

/* FNV-1a: to tell values apart, not to hide them; the hashes never leave this process. */
static uint64_t hash_of(const char *value)
{
    uint64_t hash = 14695981039346656037ULL;
    for (; *value != '\0'; value++)
        hash = (hash ^ (unsigned char)*value) * 1099511628211ULL;
    return hash;
}

void value_look(struct value_tally *t, enum value_kind kind, const char *value)
{
    value += strspn(value, " ");
    if (*value == '\0')
        return;
    uint64_t hash = hash_of(value);
    unsigned at = 0;
    t->seen++;
    while (at < t->distinct && t->hashes[at] != hash)
        at++;
    if (at == t->distinct && t->distinct < VALUE_DISTINCT_MAX)
        t->hashes[t->distinct++] = hash;
    if (strlen(value) > t->longest)
        t->longest = (unsigned)strlen(value);
    for (int i = 0; i < FORMAT_COUNT; i++)
        t->hits[i] += value_has_format((enum value_format)i, kind, value);
}
