#include "policy/quantity.h"

#include <arpa/inet.h>
#include <string.h>

enum { NAME_MAX_LEN = 48, SQL_NAME_MAX_LEN = 63, HOST_MAX_LEN = 255, ADDRESS_TEXT_MAX = 46 };

struct unit {
    const char *name;
    int64_t factor;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Digits at the start of TEXT; the rest, or NULL when there are none or too many. */
static const char *digits(const char *text, int64_t *ret)
{
    int64_t value = 0;
    const char *at = text;
    for (; is_digit(*at); at++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *at - '0', &value))
            return NULL;
    if (at == text || (*text == '0' && at != text + 1))
        return NULL;
    *ret = value;
    return at;
}

static bool with_unit(const char *text, const struct unit *units, int64_t *ret)
{
    int64_t value, product;
    const char *rest = digits(text, &value);
    if (rest == NULL)
        return false;
    for (; units->name != NULL; units++) {
        if (strcmp(rest, units->name) != 0)
            continue;
        if (__builtin_mul_overflow(value, units->factor, &product))
            return false;
        *ret = product;
        return true;
    }
    return false;
}

bool quantity_integer(const char *text, int64_t *ret)
{
    static const struct unit units[] = { { "", 1 }, { NULL, 0 } };
    return with_unit(text, units, ret);
}

bool quantity_duration_ms(const char *text, int64_t *ret)
{
    static const struct unit units[] = { { "ms", 1 },           { "s", 1000 },
                                         { "min", 60 * 1000 },  { "h", 3600 * 1000 },
                                         { "d", 86400 * 1000 }, { NULL, 0 } };
    if (strcmp(text, "0") == 0) {
        *ret = 0;
        return true;
    }
    return with_unit(text, units, ret);
}

bool quantity_size(const char *text, int64_t *ret)
{
    static const struct unit units[] = {
        { "", 1 }, { "B", 1 }, { "kB", 1024 }, { "MB", 1024 * 1024 }, { NULL, 0 }
    };
    return with_unit(text, units, ret);
}

bool quantity_place(const char *text, struct place *ret)
{
    static const char codes[] =
        "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ "
        "BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM "
        "DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS "
        "GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN "
        "KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ "
        "MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM "
        "PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV "
        "SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI "
        "VN VU WF WS XK YE YT ZA ZM ZW";
    if (strlen(text) != 2)
        return false;
    for (const char *at = codes; at < codes + sizeof(codes) - 1; at += 3) {
        if (memcmp(at, text, 2) == 0) {
            *ret = (struct place){ { text[0], text[1], '\0' } };
            return true;
        }
    }
    return false;
}

static bool address_of(const char *text, struct in6_addr *ret, bool *ret_v4)
{
    struct in_addr v4;
    *ret_v4 = inet_pton(AF_INET, text, &v4) == 1;
    if (!*ret_v4)
        return inet_pton(AF_INET6, text, ret) == 1;
    memset(ret, 0, sizeof(*ret));
    ret->s6_addr[10] = ret->s6_addr[11] = 0xff;
    memcpy(&ret->s6_addr[12], &v4, sizeof(v4));
    return true;
}

static bool bits_behind(const struct in6_addr *address, unsigned prefix_len)
{
    for (unsigned bit = prefix_len; bit < 128; bit++)
        if ((address->s6_addr[bit / 8] & (0x80U >> bit % 8)) != 0)
            return true;
    return false;
}

bool quantity_range(const char *text, struct policy_range *ret)
{
    char address[ADDRESS_TEXT_MAX];
    struct policy_range range;
    bool v4;
    const char *slash = strchr(text, '/');
    size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
    if (len >= sizeof(address))
        return false;
    memcpy(address, text, len);
    address[len] = '\0';
    if (!address_of(address, &range.address, &v4))
        return false;
    int64_t widest = v4 ? 32 : 128, prefix = widest;
    if (slash != NULL && (!quantity_integer(slash + 1, &prefix) || prefix > widest))
        return false;
    range.prefix_len = (unsigned)(prefix + 128 - widest);
    if (bits_behind(&range.address, range.prefix_len))
        return false;
    *ret = range;
    return true;
}

/* Names and addresses in general; the resolver has the last word. A space or a comma would start
   another parameter or another host in a connection string. */
static bool is_host(const char *text, size_t len)
{
    if (len == 0 || len > HOST_MAX_LEN)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_letter(text[i]) && !is_digit(text[i]) && text[i] != '.' && text[i] != '-' &&
            text[i] != '_')
            return false;
    return true;
}

static bool is_folder(const char *text, size_t len)
{
    if (len == 0 || len > 100 || text[0] != '/') /* sun_path has 108 bytes, with "/.s.PGSQL.5432" */
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] <= ' ' || text[i] == ',' || text[i] == 0x7f)
            return false;
    return true;
}

static bool is_v6(const char *text, size_t len)
{
    char address[ADDRESS_TEXT_MAX];
    struct in6_addr out;
    if (len >= sizeof(address))
        return false;
    memcpy(address, text, len);
    address[len] = '\0';
    return inet_pton(AF_INET6, address, &out) == 1;
}

bool quantity_host_port(const char *text, const char **ret_host, size_t *ret_len,
                        uint16_t *ret_port)
{
    int64_t port;
    const char *colon = strrchr(text, ':'), *host = text;
    if (colon == NULL || !quantity_integer(colon + 1, &port) || port < 1 || port > 65535)
        return false;
    size_t len = (size_t)(colon - text);
    bool bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    if (bracketed) {
        host++;
        len -= 2;
    }
    if (bracketed ? !is_v6(host, len) : !is_host(host, len) && !is_folder(host, len))
        return false;
    *ret_host = host;
    *ret_len = len;
    *ret_port = (uint16_t)port;
    return true;
}

bool quantity_is_name(const char *text)
{
    size_t len = strlen(text);
    if (len > NAME_MAX_LEN || !is_letter(text[0]))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_letter(text[i]) && !is_digit(text[i]) && text[i] != '-' && text[i] != '_')
            return false;
    return true;
}

bool quantity_is_sql_name(const char *text)
{
    size_t len = strlen(text);
    if (len > SQL_NAME_MAX_LEN || (!is_letter(text[0]) && text[0] != '_'))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_letter(text[i]) && !is_digit(text[i]) && text[i] != '_' && text[i] != '$')
            return false;
    return true;
}
