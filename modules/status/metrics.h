/*
 * Metrics in the text format of Prometheus.
 */
#ifndef LNT_STATUS_METRICS_H
#define LNT_STATUS_METRICS_H

struct lnt_module_ctx;
struct lnt_strbuf;

/* All counters of all workers, version 0.0.4 of the format. */
void lnt_status_metrics(struct lnt_module_ctx *m, struct lnt_strbuf *out);

#endif
