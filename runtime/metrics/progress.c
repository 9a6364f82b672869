/* progress.c - the progress line. */
#include "runtime/metrics/progress.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/str.h"

static const double redraw_seconds = 0.1, smoothing = 0.05;

double met_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

char *met_duration(double seconds, char out[32])
{
    if (!(seconds >= 0) || seconds > 1e9) return strcpy(out, "?");
    unsigned long s = (unsigned long)(seconds + 0.5);
    if (s < 60) snprintf(out, 32, "%lus", s);
    else if (s < 3600) snprintf(out, 32, "%lum%02lus", s / 60, s % 60);
    else if (s < 86400) snprintf(out, 32, "%luh%02lum", s / 3600, s / 60 % 60);
    else snprintf(out, 32, "%lud%02luh", s / 86400, s / 3600 % 24);
    return out;
}

met_progress met_progress_start(FILE *out, double now)
{
    const char *term = getenv("TERM"), *plain = getenv("NO_COLOR");
    bool dumb = term && !strcmp(term, "dumb");
    bool tty = isatty(fileno(out)) && !dumb;
    return (met_progress){.out = out, .tty = tty, .color = tty && !(plain && plain[0]),
                          .every = 10, .unit = "samples", .first_time = now, .last_time = now};
}

/* Seconds per step: the mean so far, then a moving mean; the first step may warm up. */
static void learn_pace(met_progress *p, uint64_t step, double now)
{
    if (p->n_updates++ > 0 && step > p->last_step) {
        double x = (now - p->last_time) / (double)(step - p->last_step);
        double weight = fmax(smoothing, 1.0 / (double)(p->n_updates - 1));
        p->step_seconds += weight * (x - p->step_seconds);
    } else if (p->n_updates == 1) {
        p->first_step = step;
        p->step_seconds = now - p->first_time;
    }
    p->last_step = step;
    p->last_time = now;
}

static size_t format_line(const met_progress *p, const met_step *s, char *out, size_t size)
{
    char part[32];
    const char *bold = p->color ? "\033[1m" : "", *dim = p->color ? "\033[2m" : "";
    const char *off = p->color ? "\033[0m" : "";
    size_t n = 0;
#define ADD(...) (n += (size_t)snprintf(out + n, n < size ? size - n : 0, __VA_ARGS__))
    if (s->total) {
        int width = snprintf(NULL, 0, "%llu", (unsigned long long)s->total);
        ADD("step %s%*llu%s/%llu %3.0f%%", bold, width, (unsigned long long)s->step, off,
            (unsigned long long)s->total, floor(100.0 * (double)s->step / (double)s->total));
    } else {
        ADD("step %s%llu%s", bold, (unsigned long long)s->step, off);
    }
    if (!isnan(s->loss)) ADD("  %sloss%s %.4f", dim, off, s->loss);
    if (!isnan(s->lr)) ADD("  %slr%s %.2e", dim, off, s->lr);
    if (!isnan(s->grad_norm)) ADD("  %sgrad%s %.3g", dim, off, s->grad_norm);
    if (p->step_seconds > 0) {
        double rate = (double)s->samples_per_step / p->step_seconds;
        if (s->samples_per_step && rate >= 10)
            ADD("  %s %s/s", dfm_thousands((uint64_t)(rate + 0.5), part), p->unit);
        else if (s->samples_per_step) ADD("  %.2f %s/s", rate, p->unit);
        if (s->total > s->step)
            ADD("  %sETA%s %s", dim, off,
                met_duration(p->step_seconds * (double)(s->total - s->step), part));
        else if (s->total)
            ADD("  %sin%s %s", dim, off, met_duration(p->last_time - p->first_time, part));
    }
#undef ADD
    return n;
}

void met_progress_update(met_progress *p, const met_step *s, double now, bool last)
{
    char line[400];
    bool first = p->n_updates == 0;
    learn_pace(p, s->step, now);
    double since = now - p->shown_time;
    if (!first && !last && since < (p->tty ? redraw_seconds : p->every)) return;
    p->shown_time = now;
    format_line(p, s, line, sizeof line);
    if (p->tty) fprintf(p->out, "\r%s\033[K", line);
    else fprintf(p->out, "%s\n", line);
    p->on_line = p->tty;
    fflush(p->out);
}

void met_progress_note(met_progress *p, const char *text)
{
    fprintf(p->out, "%s%s\n", p->on_line ? "\r\033[K" : "", text);
    p->on_line = false;
    fflush(p->out);
}

void met_progress_end(met_progress *p)
{
    if (p->on_line) fputc('\n', p->out);
    p->on_line = false;
    fflush(p->out);
}
