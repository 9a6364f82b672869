/* config_yaml.c - read a YAML file into a configuration, with places for every complaint.
 *
 * libyaml builds the document's nodes; aliases are references to nodes, so nothing is expanded
 * before the limits on depth and on visited nodes are checked.
 */
#include "runtime/app/config.h"

#include <string.h>
#include <yaml.h>

#include "runtime/base/file.h"
#include "runtime/base/str.h"

enum { MAX_BYTES = 16 << 20, MAX_DEPTH = 64, MAX_VISITS = 4096, MAX_ALIASES = 100 };

typedef struct reader {
    cfg *c;
    const char *path;
    yaml_document_t *doc;
    uint32_t visits;
    dfm_err *err;
} reader;

static const char *place(reader *r, yaml_mark_t mark)
{
    return dfm_fmt(r->c->arena, "%s:%zu:%zu", r->path, mark.line + 1, mark.column + 1);
}

static dfm_status bad(reader *r, yaml_mark_t mark, const char *why)
{
    return dfm_fail(r->err, DFM_BAD_CONFIG, "%s: %s", place(r, mark), why);
}

static dfm_status scalar_text(reader *r, const yaml_node_t *n, const char **out)
{
    size_t length = n->data.scalar.length;
    const char *text = (const char *)n->data.scalar.value;
    if (strcmp((const char *)n->tag, YAML_STR_TAG))
        return bad(r, n->start_mark, "tags are not allowed");
    if (memchr(text, 0, length)) return bad(r, n->start_mark, "it holds a NUL");
    *out = text;
    return DFM_OK;
}

static dfm_status read_map(reader *r, const yaml_node_t *map, const char *prefix, uint32_t depth);

static dfm_status read_pair(reader *r, const yaml_node_t *key, const yaml_node_t *value,
                            const char *prefix, uint32_t depth)
{
    const char *name = "", *text = "";
    if (key->type != YAML_SCALAR_NODE) return bad(r, key->start_mark, "a key must be text");
    DFM_TRY(scalar_text(r, key, &name));
    if (!dfm_is_clean_text(name)) return bad(r, key->start_mark, "a key has control characters");
    const char *full = prefix[0] ? dfm_fmt(r->c->arena, "%s.%s", prefix, name) : name;
    if (value->type == YAML_SEQUENCE_NODE)
        return bad(r, value->start_mark, "lists are not allowed here");
    if (value->type == YAML_MAPPING_NODE) return read_map(r, value, full, depth + 1);
    cfg_key found = cfg_find(full);
    if (found == CFG_COUNT) return cfg_unknown(full, place(r, key->start_mark), r->err);
    if (r->c->is_given[found]) {
        return bad(r, key->start_mark, dfm_fmt(r->c->arena, "'%s' is given twice", full));
    }
    DFM_TRY(scalar_text(r, value, &text));
    bool quoted = value->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (quoted && !strcmp(text, "~")) return bad(r, value->start_mark, "'~' is not a value");
    return cfg_set(r->c, found, text, place(r, value->start_mark), r->err);
}

static bool same_key(reader *r, int a, int b)
{
    const yaml_node_t *x = yaml_document_get_node(r->doc, a);
    const yaml_node_t *y = yaml_document_get_node(r->doc, b);
    return x->type == YAML_SCALAR_NODE && y->type == YAML_SCALAR_NODE &&
           x->data.scalar.length == y->data.scalar.length &&
           !memcmp(x->data.scalar.value, y->data.scalar.value, x->data.scalar.length);
}

static dfm_status read_map(reader *r, const yaml_node_t *map, const char *prefix, uint32_t depth)
{
    if (depth > MAX_DEPTH) return bad(r, map->start_mark, "it nests deeper than 64");
    if (strcmp((const char *)map->tag, YAML_MAP_TAG))
        return bad(r, map->start_mark, "tags are not allowed");
    const yaml_node_pair_t *first = map->data.mapping.pairs.start;
    for (const yaml_node_pair_t *p = first; p < map->data.mapping.pairs.top; p++) {
        const yaml_node_t *key = yaml_document_get_node(r->doc, p->key);
        if (++r->visits > MAX_VISITS) return bad(r, key->start_mark, "it has too many keys");
        for (const yaml_node_pair_t *q = first; q < p; q++)
            if (same_key(r, p->key, q->key))
                return bad(r, key->start_mark, dfm_fmt(r->c->arena, "'%.100s' is given twice",
                                                       (const char *)key->data.scalar.value));
        DFM_TRY(read_pair(r, key, yaml_document_get_node(r->doc, p->value), prefix, depth));
    }
    return DFM_OK;
}

/* A first pass over the events, before a document is built of them: depth, which costs libyaml the
 * square of the file's size (200,000 brackets: many minutes), and aliases, which are gone later. */
static dfm_status check_events(reader *r, const char *text, size_t n)
{
    yaml_parser_t parser;
    dfm_status s = DFM_OK;
    uint32_t aliases = 0, depth = 0;
    if (!yaml_parser_initialize(&parser)) dfm_no_memory("YAML", sizeof parser);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    for (bool more = true; more && s == DFM_OK;) {
        yaml_event_t e;
        if (!yaml_parser_parse(&parser, &e)) break;     /* reported by the loader */
        if (e.type == YAML_MAPPING_START_EVENT || e.type == YAML_SEQUENCE_START_EVENT) depth++;
        if (e.type == YAML_MAPPING_END_EVENT || e.type == YAML_SEQUENCE_END_EVENT) depth--;
        if (depth > MAX_DEPTH) s = bad(r, e.start_mark, "it nests deeper than 64");
        if (e.type == YAML_ALIAS_EVENT && ++aliases > MAX_ALIASES)
            s = bad(r, e.start_mark, "more than 100 aliases");
        more = e.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&e);
    }
    yaml_parser_delete(&parser);
    return s;
}

static dfm_status syntax_error(reader *r, const yaml_parser_t *parser)
{
    const char *what = parser->problem ? parser->problem : "it cannot be read";
    if (parser->error == YAML_READER_ERROR)
        return dfm_fail(r->err, DFM_BAD_CONFIG, "%s: byte %zu: %s", r->path,
                        parser->problem_offset, what);
    return bad(r, parser->problem_mark, what);
}

static dfm_status read_document(reader *r, yaml_parser_t *parser)
{
    yaml_document_t doc, second;
    if (!yaml_parser_load(parser, &doc)) return syntax_error(r, parser);
    dfm_status s = DFM_OK;
    const yaml_node_t *root = yaml_document_get_root_node(&doc);
    r->doc = &doc;
    if (root && root->type == YAML_MAPPING_NODE) s = read_map(r, root, "", 1);
    else if (root && !(root->type == YAML_SCALAR_NODE && root->data.scalar.length == 0))
        s = bad(r, root->start_mark, "it must be a map of keys and values");
    yaml_document_delete(&doc);
    if (s != DFM_OK || !root) return s;
    if (!yaml_parser_load(parser, &second)) return syntax_error(r, parser);
    root = yaml_document_get_root_node(&second);
    if (root) s = bad(r, second.start_mark, "a second document starts here");
    yaml_document_delete(&second);
    return s;
}

dfm_status cfg_read_yaml(cfg *c, const char *path, const char *text, size_t n, dfm_err *err)
{
    reader r = {.c = c, .path = path, .err = err};
    yaml_parser_t parser;
    if (n > MAX_BYTES)
        return dfm_fail(err, DFM_BAD_CONFIG, "%s: it is larger than 16 MiB", path);
    DFM_TRY(check_events(&r, text, n));
    if (!yaml_parser_initialize(&parser))
        return dfm_fail(err, DFM_NO_MEMORY, "out of memory reading '%s'", path);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    bool before[CFG_COUNT];                     /* of earlier files: not duplicates */
    memcpy(before, c->is_given, sizeof before);
    memset(c->is_given, 0, sizeof c->is_given);
    dfm_status s = read_document(&r, &parser);
    for (int i = 0; i < CFG_COUNT; i++) c->is_given[i] |= before[i];
    yaml_parser_delete(&parser);
    return s;
}

dfm_status cfg_read_file(cfg *c, const char *path, dfm_err *err)
{
    dfm_arena *a = dfm_arena_create("configuration");
    char *text;
    size_t n;
    dfm_err why = {0};
    dfm_status s = dfm_file_read(a, path, MAX_BYTES, &text, &n, &why);
    if (s != DFM_OK) s = dfm_fail(err, DFM_BAD_CONFIG, "%s", why.text);
    else s = cfg_read_yaml(c, path, text, n, err);
    dfm_arena_destroy(a);
    return s;
}
