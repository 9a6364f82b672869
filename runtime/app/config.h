/* config.h - the configuration of a run: a table of keys, a YAML file, key=value overrides.
 *
 * Every key is a row of config.def. A file nests sections:
 *
 *     train:
 *       steps: 1000
 *     data: {path: "x-{000..012}.tar"}
 *
 * An override says the same on the command line: train.steps=1000. Later settings win: defaults,
 * then the file, then overrides in order. An unknown key, a wrong type and a value out of range are
 * DFM_BAD_CONFIG, with file:line:column (or the override) and the nearest key. In YAML, tags,
 * sequences, duplicate keys and several documents are refused; so are files over 16 MiB, nesting
 * over 64, and more than 100 aliases.
 */
#ifndef DFM_RUNTIME_APP_CONFIG_H
#define DFM_RUNTIME_APP_CONFIG_H

#include "runtime/base/arena.h"
#include "runtime/base/status.h"

typedef enum cfg_key {
#define CONFIG(section, name, type, def, lo, hi, help) CFG_##section##_##name,
#include "runtime/app/config.def"
#undef CONFIG
    CFG_COUNT
} cfg_key;

#define CFG_FIELD_INT  int64_t
#define CFG_FIELD_REAL double
#define CFG_FIELD_BOOL bool
#define CFG_FIELD_TEXT const char *
#define CFG_FIELD_NAME const char *

typedef struct cfg {
    dfm_arena *arena;
#define CONFIG(section, name, type, def, lo, hi, help) CFG_FIELD_##type section##_##name;
#include "runtime/app/config.def"
#undef CONFIG
    bool is_set[CFG_COUNT];    /* has a value, from default, file or override */
    bool is_given[CFG_COUNT];  /* from file or override */
} cfg;

/* All defaults. Unset text is "", unset numbers are 0. Values live in the arena. */
void cfg_init(dfm_arena *a, cfg *c);
/* Read a YAML file over c. `path` is named in messages. */
dfm_status cfg_read_file(cfg *c, const char *path, dfm_err *err);
dfm_status cfg_read_yaml(cfg *c, const char *path, const char *text, size_t n, dfm_err *err);
/* "train.steps=1000". An empty value, or ~, takes the key's value away (back to "not set"). */
dfm_status cfg_override(cfg *c, const char *assignment, dfm_err *err);

/* The merged configuration as YAML; reads back to the same values. In the arena. */
const char *cfg_yaml(const cfg *c, dfm_arena *a);
/* A Markdown table of all keys for docs/cli.md. In the arena. */
const char *cfg_markdown(dfm_arena *a);

/* Name "train.steps" of a key, and back; CFG_COUNT if there is none. */
const char *cfg_name(cfg_key key);
cfg_key cfg_find(const char *name);

/* Set a key from text; `where` starts every message ("run.yaml:3:5", "override 'x=y'"). */
dfm_status cfg_set(cfg *c, cfg_key key, const char *text, const char *where, dfm_err *err);
/* The failure for a name that is no key, with the nearest one. */
dfm_status cfg_unknown(const char *name, const char *where, dfm_err *err);

#endif
