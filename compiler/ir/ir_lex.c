/* ir_lex.c - tokens of the IR's text form. */
#include "compiler/ir/ir_lex.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void ir_lex_fail(ir_parser *p, const char *format, ...)
{
    if (p->bad) return;
    va_list ap;
    va_start(ap, format);
    dfm_fail(p->err, DFM_BAD_DATA, "%u:%u: %s", p->line,
             (unsigned)(p->text - p->line_start + 1), dfm_vfmt(p->a, format, ap));
    va_end(ap);
    p->bad = true;
    p->kind = T_END;
    p->n = 0;
}

static bool letter(char c)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static bool digit(char c) { return c >= '0' && c <= '9'; }

static void skip_comment(ir_parser *p, bool first_line)
{
    const char *from = p->p + 1;
    while (p->p < p->end && *p->p != '\n') p->p++;
    if (!first_line) return;
    p->comment = from;
    p->comment_n = (uint32_t)(p->p - from);
}

static void skip_space(ir_parser *p)
{
    uint32_t line = p->line;
    p->comment = NULL;
    for (; p->p < p->end; p->p++) {
        if (*p->p == ';') skip_comment(p, p->line == line);
        if (p->p == p->end) return;
        if (*p->p == '\n') {
            p->line++;
            p->line_start = p->p + 1;
        } else if (*p->p != ' ' && *p->p != '\t' && *p->p != '\r') {
            return;
        }
    }
}

static void lex_string(ir_parser *p)
{
    p->kind = T_STRING;
    p->text = ++p->p;
    while (p->p < p->end && *p->p != '"' && *p->p != '\n') {
        if (*p->p == '\\' && p->p + 1 < p->end && p->p[1] != '\n') p->p++;
        p->p++;
    }
    p->n = (uint32_t)(p->p - p->text);
    if (p->p == p->end || *p->p != '"') ir_lex_fail(p, "a string that does not end");
    else p->p++;
}

static void lex_number(ir_parser *p)
{
    p->kind = T_NUMBER;
    if (*p->p == '-') p->p++;
    while (p->p < p->end
           && (letter(*p->p) || digit(*p->p) || *p->p == '.'
               || ((*p->p == '-' || *p->p == '+') && (p->p[-1] == 'e' || p->p[-1] == 'E'))))
        p->p++;
}

void ir_lex_next(ir_parser *p)
{
    if (p->bad) return;
    skip_space(p);
    p->text = p->p;
    p->n = 0;
    p->kind = T_END;
    if (p->p == p->end) return;
    char c = *p->p, next = p->p + 1 < p->end ? p->p[1] : 0;
    if (c == '"') {
        lex_string(p);
        return;
    }
    if (letter(c)) {
        p->kind = T_IDENT;
        while (p->p < p->end && (letter(*p->p) || digit(*p->p) || *p->p == '\'')) p->p++;
    } else if (digit(c) || (c == '-' && (digit(next) || next == 'i' || next == 'n'))) {
        lex_number(p);
    } else {
        p->kind = T_PUNCT;
        p->p += (c == '<' && next == '=') || (c == '/' && next == '/') ? 2 : 1;
    }
    p->n = (uint32_t)(p->p - p->text);
}

void ir_lex_start(ir_parser *p, const char *text, size_t n)
{
    p->p = p->line_start = p->text = text;
    p->end = text + n;
    p->line = 1;
    ir_lex_next(p);
}

bool ir_at(const ir_parser *p, const char *what)
{
    return (p->kind == T_IDENT || p->kind == T_PUNCT) && p->n == strlen(what)
        && !memcmp(p->text, what, p->n);
}

bool ir_accept(ir_parser *p, const char *what)
{
    if (!ir_at(p, what)) return false;
    ir_lex_next(p);
    return true;
}

static int shown(const ir_parser *p) { return p->n > 40 ? 40 : (int)p->n; }

void ir_expect(ir_parser *p, const char *what)
{
    if (!ir_accept(p, what))
        ir_lex_fail(p, "expected '%s', found '%.*s'", what, shown(p), p->text);
}

static int hex_digit(char c)
{
    if (digit(c)) return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *ir_take_string(ir_parser *p)
{
    if (p->kind != T_STRING) {
        ir_lex_fail(p, "expected a string, found '%.*s'", shown(p), p->text);
        return dfm_strdup(p->a, "");
    }
    char *s = dfm_alloc(p->a, p->n + 1u);
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        if (p->text[i] != '\\') {
            s[n++] = p->text[i];
        } else if (++i < p->n && p->text[i] != 'x') {
            s[n++] = p->text[i];
        } else {
            int hi = i + 1 < p->n ? hex_digit(p->text[i + 1]) : -1;
            int lo = i + 2 < p->n ? hex_digit(p->text[i + 2]) : -1;
            if (hi < 0 || lo < 0) {
                ir_lex_fail(p, "a damaged escape in a string");
                return s;
            }
            s[n++] = (char)(hi << 4 | lo);
            i += 2;
        }
    }
    if (memchr(s, 0, n)) ir_lex_fail(p, "a string with a zero byte");
    s[n] = 0;
    ir_lex_next(p);
    return s;
}

dfm_name ir_take_name(ir_parser *p) { return dfm_intern(p->names, ir_take_string(p)); }

/* The current token, if it is a number, NUL-terminated in buf; false otherwise. */
static bool number_text(ir_parser *p, char buf[64])
{
    bool word = ir_at(p, "inf") || ir_at(p, "nan");
    if ((p->kind != T_NUMBER && !word) || p->n > 63) {
        ir_lex_fail(p, "expected a number, found '%.*s'", shown(p), p->text);
        return false;
    }
    memcpy(buf, p->text, p->n);
    buf[p->n] = 0;
    return true;
}

int64_t ir_take_int(ir_parser *p)
{
    char buf[64], *end;
    if (!number_text(p, buf)) return 0;
    errno = 0;
    long long x = strtoll(buf, &end, 0);
    if (errno || *end) ir_lex_fail(p, "'%s' is no integer of 64 bits", buf);
    else ir_lex_next(p);
    return p->bad ? 0 : x;
}

uint64_t ir_take_u64(ir_parser *p)
{
    char buf[64], *end;
    if (!number_text(p, buf)) return 0;
    errno = 0;
    unsigned long long x = strtoull(buf, &end, 0);
    if (errno || *end || buf[0] == '-') ir_lex_fail(p, "'%s' is no unsigned integer", buf);
    else ir_lex_next(p);
    return p->bad ? 0 : x;
}

uint32_t ir_take_u32(ir_parser *p)
{
    uint64_t x = ir_take_u64(p);
    if (x <= UINT32_MAX) return (uint32_t)x;
    ir_lex_fail(p, "a number that is too large");
    return 0;
}

bool ir_take_flag(ir_parser *p)
{
    uint64_t x = ir_take_u64(p);
    if (x > 1) ir_lex_fail(p, "expected 0 or 1");
    return x == 1;
}

double ir_take_double(ir_parser *p)
{
    char buf[64], *end;
    if (!number_text(p, buf)) return 0;
    double x = strtod(buf, &end);
    if (*end) ir_lex_fail(p, "'%s' is no number", buf);
    else ir_lex_next(p);
    return x;
}

int ir_take_enum(ir_parser *p, const char *const *table, const char *what)
{
    for (int i = 0; table[i]; i++)
        if (p->kind == T_IDENT && ir_accept(p, table[i])) return i;
    ir_lex_fail(p, "unknown %s '%.*s'", what, shown(p), p->text);
    return 0;
}

void ir_key(ir_parser *p, const char *key, bool first)
{
    if (!first) ir_expect(p, ",");
    ir_expect(p, key);
    ir_expect(p, "=");
}
