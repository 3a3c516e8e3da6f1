#include "auth/passfile.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "auth/lines.h"
#include "base/fd.h"
#include "base/mem.h"
#include "policy/mistakes.h"

enum field { FIELD_HOST, FIELD_PORT, FIELD_DATABASE, FIELD_USER, FIELD_PASSWORD, FIELD_COUNT };

struct entry {
    const char *fields[FIELD_COUNT]; /* in `text`, unescaped; NULL: '*' */
};

struct passfile {
    char *text;
    size_t text_len;
    struct entry *list; /* in file order: the first match counts */
    size_t count, room;
};

/* Cut the field at *AT off, unescaped in place: up to the next bare ':', or for the password the
   rest of the line. False when a field before the password has no ':'. */
static bool field_cut(char **at, bool is_last, const char **ret)
{
    char *from = *at, *to = *at;
    bool is_star = from[0] == '*' && from[1] == ':';
    for (; *from != '\0' && (is_last || *from != ':'); from++) {
        if (*from == '\\' && from[1] != '\0')
            from++;
        *to++ = *from;
    }
    if (!is_last && *from == '\0')
        return false;
    *ret = is_star && !is_last ? NULL : *at;
    *at = is_last ? from : from + 1;
    *to = '\0';
    return true;
}

static int add(struct passfile *p, const struct entry *one)
{
    if (p->count == p->room) {
        size_t room = p->room > 0 ? p->room * 2 : 16;
        struct entry *grown = mem_realloc(p->list, room * sizeof(*grown));
        if (grown == NULL)
            return -RF_ENOMEM;
        p->list = grown;
        p->room = room;
    }
    p->list[p->count++] = *one;
    return 0;
}

static bool port_is_fine(const char *port)
{
    unsigned long n = 0;
    size_t len = strlen(port);
    for (size_t i = 0; i < len && i < 6; i++) {
        if (port[i] < '0' || port[i] > '9')
            return false;
        n = n * 10 + (unsigned long)(port[i] - '0');
    }
    return len > 0 && len < 6 && port[0] != '0' && n <= 65535;
}

static int line_read(struct passfile *p, const char *file, char *line, size_t len, unsigned number,
                     struct mistakes *mistakes)
{
    struct entry e = { 0 };
    char *at = line;
    bool whole = strlen(line) == len;
    if (whole && lines_is_comment(line))
        return 0;
    for (int i = 0; whole && i < FIELD_COUNT; i++)
        whole = field_cut(&at, i == FIELD_PASSWORD, &e.fields[i]);
    if (!whole)
        mistakes_add(mistakes, file, number, "expected HOST:PORT:DATABASE:USER:PASSWORD");
    else if (e.fields[FIELD_PORT] != NULL && !port_is_fine(e.fields[FIELD_PORT]))
        mistakes_add(mistakes, file, number, "expected a port from 1 to 65535 or '*'");
    else if (e.fields[FIELD_PASSWORD][0] == '\0')
        mistakes_add(mistakes, file, number, "expected a password, found nothing");
    else
        return add(p, &e);
    return 0;
}

int passfile_parse(const char *name, const char *text, size_t len, struct passfile **ret_passfile,
                   struct mistakes *mistakes)
{
    size_t before = mistakes->count, line_len;
    int rc = -RF_ENOMEM;
    char *line;
    struct lines lines;
    struct passfile *p = mem_zalloc(1, sizeof(*p));
    if (p == NULL || (p->text = mem_strndup(text, len)) == NULL)
        goto out;
    p->text_len = len;
    lines = lines_of(p->text, len);
    rc = 0;
    while (rc == 0 && (line = lines_next(&lines, &line_len)) != NULL)
        rc = line_read(p, name, line, line_len, lines.number, mistakes);
    if (rc == 0 && (mistakes->count > before || mistakes->overflowed))
        rc = -RF_ECONFIG;
    if (rc < 0)
        goto out;
    *ret_passfile = p;
    p = NULL;
out:
    if (rc == -RF_ENOMEM)
        mistakes_add(mistakes, name, 0, "out of memory");
    passfile_free(p);
    return rc;
}

int passfile_load(const char *path, struct passfile **ret_passfile, struct mistakes *mistakes)
{
    char *text = NULL;
    size_t len = 0;
    struct err err = { 0 };
    int rc = fd_read_secret(path, PASSFILE_BYTES_MAX, &text, &len, &err);
    if (rc < 0) {
        mistakes_add(mistakes, path, 0, "%s", err.line);
        return rc;
    }
    rc = passfile_parse(path, text, len, ret_passfile, mistakes);
    mem_free_secret(text, len);
    return rc;
}

void passfile_free(struct passfile *p)
{
    if (p == NULL)
        return;
    mem_free_secret(p->text, p->text_len);
    mem_free(p->list);
    mem_free(p);
}

static bool matches(const char *field, const char *value)
{
    return field == NULL || strcmp(field, value) == 0;
}

/* A folder of unix sockets goes by its own name, and the usual ones also by "localhost". */
static bool host_matches(const char *field, const char *host)
{
    static const char *const usual[] = { "/var/run/postgresql", "/run/postgresql", "/tmp" };
    if (matches(field, host))
        return true;
    for (size_t i = 0; i < RF_COUNT(usual); i++) {
        if (strcmp(host, usual[i]) == 0)
            return strcmp(field, "localhost") == 0;
    }
    return false;
}

const char *passfile_find(const struct passfile *p, const char *host, uint16_t port,
                          const char *database, const char *user)
{
    char port_text[8];
    (void)snprintf(port_text, sizeof(port_text), "%u", port);
    for (size_t i = 0; i < p->count; i++) {
        const struct entry *e = &p->list[i];
        if (host_matches(e->fields[FIELD_HOST], host) &&
            matches(e->fields[FIELD_PORT], port_text) &&
            matches(e->fields[FIELD_DATABASE], database) && matches(e->fields[FIELD_USER], user))
            return e->fields[FIELD_PASSWORD];
    }
    return NULL;
}
