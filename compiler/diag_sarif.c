/* diag_sarif.c - reports as one SARIF log (OASIS, Static Analysis Results Interchange Format 2.1.0,
 * sections 3.13 to 3.30), which editors and code hosts read.
 *
 * The codes that occur are the rules of the run. Notes and help lines stand in the message, below
 * its first line; labels are related locations. Columns count code points, and `endColumn` is one
 * behind, as everywhere here. A path is a URI reference: relative as it was given, or file://.
 */
#include <string.h>

#include "compiler/diag_impl.h"

static const char schema[] = "https://json.schemastore.org/sarif-2.1.0.json";

typedef struct rules { DFM_VEC(diag_code) codes; } rules;

static uint32_t rule_index(const diag_ctx *cx, rules *r, diag_code code)
{
    for (uint32_t i = 0; i < r->codes.n; i++)
        if (r->codes.p[i] == code) return i;
    dfm_push(cx->arena, &r->codes, code);
    return r->codes.n - 1;
}

static void put_uri(dfm_sb *sb, const char *path)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
    dfm_sb_puts(sb, path[0] == '/' ? "\"file://" : "\"");
    for (; *path; path++) {
        if (strchr(plain, *path)) dfm_sb_add(sb, path, 1);
        else dfm_sb_printf(sb, "%%%02X", (unsigned)(unsigned char)*path);
    }
    dfm_sb_puts(sb, "\"");
}

static void put_text(dfm_sb *sb, const char *key, const char *text)
{
    dfm_sb_printf(sb, "\"%s\": {\"text\": ", key);
    diag_put_json(sb, text);
    dfm_sb_puts(sb, "}");
}

static void put_location(const diag_ctx *cx, dfm_sb *sb, dfm_loc loc)
{
    diag_region r = diag_region_of(cx, loc);
    dfm_sb_puts(sb, "\"physicalLocation\": {\"artifactLocation\": {\"uri\": ");
    put_uri(sb, diag_src_path(cx, diag_get_span(cx, loc).src));
    dfm_sb_printf(sb, "}, \"region\": {\"startLine\": %u, \"startColumn\": %u, \"endLine\": %u, "
                  "\"endColumn\": %u}}", r.line, r.col, r.end_line, r.end_col);
}

static void put_result(const diag *d, rules *all, dfm_sb *sb)
{
    dfm_sb message = dfm_sb_make(d->cx->arena);
    dfm_sb_puts(&message, d->message);
    for (uint32_t i = 0; i < d->tail.n; i++)
        dfm_sb_printf(&message, "\n%s: %s", d->tail.p[i].help ? "help" : "note", d->tail.p[i].text);
    dfm_sb_puts(sb, "        {");
    if (d->code)
        dfm_sb_printf(sb, "\"ruleId\": \"%s\", \"ruleIndex\": %u, ", diag_code_name(d->code),
                      rule_index(d->cx, all, d->code));
    dfm_sb_printf(sb, "\"level\": \"%s\", ", diag_severity_name(d));
    put_text(sb, "message", dfm_sb_cstr(&message));
    if (dfm_loc_some(d->loc)) {
        dfm_sb_puts(sb, ", \"locations\": [{");
        put_location(d->cx, sb, d->loc);
        dfm_sb_puts(sb, "}]");
    }
    for (uint32_t i = 0; i < d->labels.n; i++) {
        dfm_sb_printf(sb, "%s{\"id\": %u, ", i ? ", " : ", \"relatedLocations\": [", i);
        put_location(d->cx, sb, d->labels.p[i].loc);
        dfm_sb_puts(sb, ", ");
        put_text(sb, "message", d->labels.p[i].text);
        dfm_sb_puts(sb, "}");
    }
    dfm_sb_puts(sb, d->labels.n ? "]}" : "}");
}

static void put_rules(const rules *r, dfm_sb *sb)
{
    for (uint32_t i = 0; i < r->codes.n; i++) {
        diag_code c = r->codes.p[i];
        dfm_sb_printf(sb, "%s\n        {\"id\": \"%s\", ", i ? "," : "", diag_code_name(c));
        put_text(sb, "shortDescription", diag_code_title(c));
        dfm_sb_puts(sb, ", ");
        put_text(sb, "help", diag_code_explanation(c));
        dfm_sb_puts(sb, "}");
    }
}

void diag_put_sarif(const diag_ctx *cx, dfm_sb *sb)
{
    rules all = {0};
    dfm_sb results = dfm_sb_make(cx->arena);
    for (uint32_t i = 0; i < cx->diags.n; i++) {
        dfm_sb_puts(&results, i ? ",\n" : "\n");
        put_result(cx->diags.p[i], &all, &results);
    }
    dfm_sb_printf(sb, "{\n  \"$schema\": \"%s\",\n", schema);
    dfm_sb_puts(sb, "  \"version\": \"2.1.0\",\n  \"runs\": [{\n");
    dfm_sb_printf(sb, "    \"tool\": {\"driver\": {\"name\": \"dfmc\", \"version\": \"%s\", "
                      "\"rules\": [", DFM_VERSION);
    put_rules(&all, sb);
    dfm_sb_puts(sb, "]}},\n    \"columnKind\": \"unicodeCodePoints\",\n    \"results\": [");
    dfm_sb_puts(sb, dfm_sb_cstr(&results));
    dfm_sb_puts(sb, "]\n  }]\n}\n");
}
