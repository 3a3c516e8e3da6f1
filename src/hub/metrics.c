#include "hub/metrics.h"

#include "hub/text.h"

static const unsigned statuses[METRICS_STATUSES] = { 200, 304, 307, 400, 401, 403, 404,
                                                     405, 409, 413, 415, 429, 503 };

void metrics_request(struct metrics *m, enum route_kind kind, unsigned status)
{
    for (size_t i = 0; i < RF_COUNT(statuses); i++)
        if (statuses[i] == status)
            m->requests[kind][i]++;
}

static int write_requests(const struct metrics *m, struct buf *to)
{
    int rc = text_add(to, "# HELP ringfence_hub_requests_total Requests by what they asked for.\n"
                          "# TYPE ringfence_hub_requests_total counter\n");
    for (int kind = 0; kind < ROUTE_COUNT; kind++)
        for (size_t i = 0; i < RF_COUNT(statuses) && rc == 0; i++)
            if (m->requests[kind][i] > 0)
                rc = text_add(to, "ringfence_hub_requests_total{path=\"%s\",status=\"%u\"} %llu\n",
                              route_name((enum route_kind)kind), statuses[i],
                              (unsigned long long)m->requests[kind][i]);
    return rc;
}

static int write_logs(struct logs *logs, int64_t wall_ms, struct buf *to)
{
    int rc =
        text_add(to, "# HELP ringfence_hub_log_readable Whether the log's checkpoint was read.\n"
                     "# TYPE ringfence_hub_log_readable gauge\n");
    for (size_t i = 0; i < logs->count && rc == 0; i++)
        rc = text_add(to, "ringfence_hub_log_readable{region=\"%s\"} %d\n", logs->list[i].region,
                      logs_head(logs, i)->state == LOG_READABLE);
    if (rc == 0)
        rc = text_add(to, "# HELP ringfence_hub_log_size Entries by the log's checkpoint.\n"
                          "# TYPE ringfence_hub_log_size gauge\n");
    for (size_t i = 0; i < logs->count && rc == 0; i++)
        if (logs->list[i].head.state == LOG_READABLE)
            rc = text_add(to, "ringfence_hub_log_size{region=\"%s\"} %llu\n", logs->list[i].region,
                          (unsigned long long)logs->list[i].head.size);
    if (rc == 0)
        rc = text_add(to, "# HELP ringfence_hub_checkpoint_age_seconds Since it was written.\n"
                          "# TYPE ringfence_hub_checkpoint_age_seconds gauge\n");
    for (size_t i = 0; i < logs->count && rc == 0; i++)
        if (logs->list[i].head.state == LOG_READABLE)
            rc = text_add(to, "ringfence_hub_checkpoint_age_seconds{region=\"%s\"} %.3f\n",
                          logs->list[i].region,
                          (double)(wall_ms - logs->list[i].head.written_ms) / 1000);
    return rc;
}

int metrics_write(const struct metrics *m, const struct crowd *crowd, struct logs *logs,
                  int64_t wall_ms, struct buf *to)
{
    int rc = write_requests(m, to);
    if (rc == 0)
        rc = text_add(
            to,
            "# HELP ringfence_hub_sent_bytes_total Bodies of replies that went out whole.\n"
            "# TYPE ringfence_hub_sent_bytes_total counter\n"
            "ringfence_hub_sent_bytes_total %llu\n"
            "# HELP ringfence_hub_connections Connections that are open.\n"
            "# TYPE ringfence_hub_connections gauge\n"
            "ringfence_hub_connections %zu\n",
            (unsigned long long)m->sent_bytes, crowd->count);
    if (rc == 0)
        rc = text_add(to,
                      "# HELP ringfence_hub_connections_ended_total Connections that we ended.\n"
                      "# TYPE ringfence_hub_connections_ended_total counter\n"
                      "ringfence_hub_connections_ended_total{reason=\"no_room\"} %llu\n"
                      "ringfence_hub_connections_ended_total{reason=\"slow\"} %llu\n"
                      "ringfence_hub_connections_ended_total{reason=\"made_room\"} %llu\n",
                      (unsigned long long)crowd->refused, (unsigned long long)crowd->slow,
                      (unsigned long long)crowd->displaced);
    if (rc == 0)
        rc = write_logs(logs, wall_ms, to);
    if (rc == 0)
        rc = text_add(to,
                      "# HELP process_start_time_seconds When this process started.\n"
                      "# TYPE process_start_time_seconds gauge\n"
                      "process_start_time_seconds %.3f\n"
                      "# HELP ringfence_build_info The version, as a label.\n"
                      "# TYPE ringfence_build_info gauge\n"
                      "ringfence_build_info{version=\"" RF_VERSION "\"} 1\n",
                      (double)m->started_ms / 1000);
    return rc;
}
