#include "hub/page.h"

#include <string.h>

#include "base/clock.h"
#include "hub/text.h"

const char page_style[] =
    ":root { color-scheme: light dark; --ink: #1d2326; --quiet: #586368; --line: #d4dadd;\n"
    "  --paper: #fcfcfa; --link: #0b5a7a; }\n"
    "@media (prefers-color-scheme: dark) {\n"
    "  :root { --ink: #e4e8ea; --quiet: #9fabb1; --line: #38424a; --paper: #14191d;\n"
    "    --link: #8bc7e4; } }\n"
    "body { margin: 0; background: var(--paper); color: var(--ink);\n"
    "  font: 1.0625rem/1.6 system-ui, sans-serif; }\n"
    "main { max-width: 44rem; margin: 0 auto; padding: 3rem 1.25rem; }\n"
    "h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 1rem; }\n"
    "a { color: var(--link); }\n"
    "table { border-collapse: collapse; width: 100%; margin: 2rem 0; }\n"
    "th, td { text-align: left; padding: .5rem .75rem .5rem 0; border-bottom: 1px solid "
    "var(--line); }\n"
    "th { font-weight: 600; } thead th { color: var(--quiet); font-size: .875rem; }\n"
    "td.number { font-variant-numeric: tabular-nums; }\n"
    "code { font-size: .9375em; overflow-wrap: anywhere; }\n"
    "p.quiet { color: var(--quiet); font-size: .9375rem; }\n";

static const char begin[] =
    "<!doctype html>\n"
    "<html lang=\"en\">\n"
    "<head>\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<title>Public logs</title>\n"
    "<link rel=\"stylesheet\" href=\"/style.css\">\n"
    "</head>\n"
    "<body>\n"
    "<main>\n"
    "<h1>Public logs</h1>\n"
    "<p>Each gateway to user data writes down every access to it. Sums of that, and commitments "
    "to\n"
    "the rest, are published here as logs that can only grow: whoever keeps a checkpoint can "
    "prove\n"
    "later that nothing before it was removed or changed.</p>\n";

static const char end[] =
    "<p>A log is the files of <a href=\"https://c2sp.org/tlog-tiles\">C2SP tlog-tiles</a> below "
    "its\n"
    "address: <code>checkpoint</code>, signed, and <code>tile/…</code>. They need no program of "
    "ours\nto be read. What is served here proves something to whoever verifies it, and nothing "
    "by\n"
    "being served.</p>\n"
    "<p class=\"quiet\"><a href=\"/healthz\">State</a> and <a href=\"/metrics\">figures</a> of "
    "this\n"
    "server. It sets no cookies and keeps no addresses.</p>\n"
    "</main>\n"
    "</body>\n"
    "</html>\n";

static int write_row(const struct log_folder *f, const struct log_head *head, struct buf *to)
{
    char time[25];
    int rc = text_add(to, "<tr><th scope=\"row\">");
    if (rc == 0)
        rc = text_add_html(to, f->region);
    if (rc == 0 && head->state == LOG_READABLE) {
        clock_format(head->written_ms, time);
        rc = text_add(to,
                      "</th><td class=\"number\">%llu</td><td><time datetime=\"%s\">%.16sZ</time>"
                      "</td>",
                      (unsigned long long)head->size, time, time);
    } else if (rc == 0) {
        rc = text_add(to, "</th><td>none yet</td><td>none yet</td>");
    }
    if (rc == 0)
        rc = text_add(to, "<td><a href=\"/log/");
    if (rc == 0)
        rc = text_add_html(to, f->region);
    if (rc == 0)
        rc = text_add(to, "/checkpoint\">checkpoint<span hidden> of ");
    if (rc == 0)
        rc = text_add_html(to, f->region);
    return rc == 0 ? text_add(to, "</span></a></td></tr>\n") : rc;
}

static int write_table(struct logs *logs, struct buf *to)
{
    int rc = text_add(to, "<table>\n<thead><tr><th scope=\"col\">Region</th><th scope=\"col\">"
                          "Entries</th><th scope=\"col\">Last checkpoint</th><th scope=\"col\">"
                          "Address</th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < logs->count && rc == 0; i++)
        rc = write_row(&logs->list[i], logs_head(logs, i), to);
    return rc == 0 ? text_add(to, "</tbody>\n</table>\n") : rc;
}

int page_write(struct logs *logs, struct buf *to)
{
    int rc = buf_append(to, begin, strlen(begin));
    if (rc == 0 && logs == NULL)
        rc = text_add(to, "<p>For the time being they are shown to auditors alone.</p>\n");
    else if (rc == 0)
        rc = logs->count > 0 ? write_table(logs, to) : text_add(to, "<p>There are none yet.</p>\n");
    return rc == 0 ? buf_append(to, end, strlen(end)) : rc;
}
