/* wds.c - samples out of tar shards, through libarchive. */
#include "runtime/data/wds.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/str.h"

enum { MAX_NAME = 1024, MAX_MEMBERS = 256, READ_BYTES = 1 << 18, BLOCK = 512 };
#define MAX_MEMBER_BYTES ((int64_t)1 << 30)
#define MAX_SAMPLE_BYTES ((int64_t)1 << 32)

struct data_shard {
    dfm_arena *arena;          /* lives as long as the shard */
    dfm_arena *sample;         /* of the sample handed out */
    const char *path;
    int fd;
    bool contents;
    uint64_t file_bytes;
    uint64_t base;             /* where libarchive began: at the sample handed out */
    uint64_t at;               /* of the next byte that libarchive reads */
    char *buffer;              /* [READ_BYTES] n_held bytes of the file, from held_at on */
    uint64_t held_at, n_held;
    int read_error;            /* errno of a failed read, or 0 */
    struct archive *tar;
    struct archive_entry *pending;  /* first member of the next sample: header read, data not */
    uint64_t pending_offset;
    char key[MAX_NAME + 1], member[MAX_NAME + 1];   /* of the pending one */
    bool at_end;
};

static dfm_status bad(const data_shard *s, const char *why, dfm_err *err)
{
    return dfm_fail(err, DFM_BAD_DATA, "shard '%s': %s", s->path, why);
}

static dfm_status bad_member(const data_shard *s, const char *name, uint64_t offset,
                             const char *why, dfm_err *err)
{
    return dfm_fail(err, DFM_BAD_DATA, "shard '%s', member '%.100s' at byte %" PRIu64 ": %s",
                    s->path, name, offset, why);
}

/* -- member names -------------------------------------------------------------------------- */

static bool has_dotdot(const char *name)
{
    for (const char *p = name; p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL)
        if (!strncmp(p, "..", 2) && (p[2] == 0 || p[2] == '/')) return true;
    return false;
}

/* Why a name is refused; NULL if it is not. */
static const char *name_refused(const char *name)
{
    if (strlen(name) > MAX_NAME) return "its name is longer than 1 KiB";
    if (!dfm_is_clean_text(name)) return "its name is not clean UTF-8";
    if (name[0] == '/') return "its name is an absolute path";
    if (has_dotdot(name)) return "its name goes through '..'";
    return NULL;
}

/* Split into s->key and s->member. False if it is no member of a sample. */
static bool split_name(data_shard *s, const char *name)
{
    while (!strncmp(name, "./", 2)) name += 2;
    const char *slash = strrchr(name, '/'), *last = slash ? slash + 1 : name;
    const char *dot = strchr(last, '.');
    if (!dot || dot == last || !dot[1]) return false;
    size_t n = (size_t)(dot - name);
    memcpy(s->key, name, n);
    s->key[n] = 0;
    strcpy(s->member, dot + 1);
    return true;
}

/* -- libarchive's view of the file --------------------------------------------------------- */

static la_ssize_t on_read(struct archive *tar, void *user, const void **out)
{
    data_shard *s = user;
    if (s->at < s->held_at || s->at >= s->held_at + s->n_held) {
        long got = dfm_file_read_at(s->fd, s->buffer, READ_BYTES, s->at);
        if (got < 0) {
            s->read_error = errno;
            archive_set_error(tar, errno, "it cannot be read: %s", strerror(errno));
            return ARCHIVE_FATAL;
        }
        s->held_at = s->at;
        s->n_held = (uint64_t)got;
    }
    uint64_t skip = s->at - s->held_at, n = s->n_held - skip;
    *out = s->buffer + skip;
    s->at += n;
    return (la_ssize_t)n;
}

static la_int64_t on_skip(struct archive *tar, void *user, la_int64_t n)
{
    (void)tar;
    data_shard *s = user;
    uint64_t left = s->file_bytes > s->at ? s->file_bytes - s->at : 0;
    if (n < 0) return 0;
    if ((uint64_t)n > left) n = (la_int64_t)left;
    s->at += (uint64_t)n;
    return n;
}

static dfm_status not_opened(data_shard *s, dfm_err *err)
{
    if (s->read_error)
        return dfm_fail(err, DFM_BAD_DATA, "cannot read '%s': %s", s->path,
                        strerror(s->read_error));
    bad(s, "it is not a tar file", err);
    if (dfm_ends_with(s->path, ".gz") || dfm_ends_with(s->path, ".zst"))
        dfm_help(err, "compressed shards are not read; decompress it first");
    return DFM_BAD_DATA;
}

/* Let libarchive begin at byte `at`. Whether a file is a tar file at all is asked at its start
 * only: the question is stricter than the reading, and would refuse samples that the index has. */
static dfm_status begin_tar(data_shard *s, uint64_t at, dfm_err *err)
{
    if (s->tar) archive_read_free(s->tar);
    s->pending = NULL;
    s->base = s->at = at;
    s->tar = archive_read_new();
    if (!s->tar) dfm_no_memory("shard", sizeof *s);
    int r = at ? archive_read_set_format(s->tar, ARCHIVE_FORMAT_TAR)
               : archive_read_support_format_tar(s->tar);
    if (r == ARCHIVE_OK) r = archive_read_open2(s->tar, s, NULL, on_read, on_skip, NULL);
    return r == ARCHIVE_OK ? DFM_OK : not_opened(s, err);
}

/* -- members ------------------------------------------------------------------------------- */

/* After the last member: only zeros may follow, and at least the two blocks of the end mark. */
static dfm_status check_end(const data_shard *s, dfm_err *err)
{
    char buf[4096];
    uint64_t consumed = s->base + (uint64_t)archive_filter_bytes(s->tar, 0);
    uint64_t at = s->file_bytes >= 2 * BLOCK ? s->file_bytes - 2 * BLOCK : 0;
    if (consumed < at) at = consumed;
    if (s->file_bytes < 2 * BLOCK || s->file_bytes % BLOCK)
        return bad(s, "it is cut off (no end mark)", err);
    while (at < s->file_bytes) {
        size_t n = s->file_bytes - at < sizeof buf ? (size_t)(s->file_bytes - at) : sizeof buf;
        long got = dfm_file_read_at(s->fd, buf, n, at);
        if (got <= 0) return bad(s, "its end cannot be read", err);
        for (long i = 0; i < got; i++) {
            if (!buf[i]) continue;
            if (at + (uint64_t)i >= consumed) return bad(s, "bytes follow its end mark", err);
            return bad(s, "it is cut off (no end mark)", err);
        }
        at += (uint64_t)got;
    }
    return DFM_OK;
}

/* Find the next regular file that is a member of a sample: s->pending, s->key, s->member. */
static dfm_status read_header(data_shard *s, dfm_err *err)
{
    for (;;) {
        struct archive_entry *e;
        int r = archive_read_next_header(s->tar, &e);
        s->pending = NULL;
        if (r == ARCHIVE_EOF) {
            s->at_end = true;
            return check_end(s, err);
        }
        int64_t position = archive_read_header_position(s->tar);
        if (position < 0) position = archive_filter_bytes(s->tar, 0);   /* after a fatal error */
        uint64_t offset = s->base + (uint64_t)position;
        /* Names that this locale cannot show are judged below; any other doubt is damage. */
        if (r != ARCHIVE_OK &&
            !(r == ARCHIVE_WARN && archive_errno(s->tar) == EILSEQ)) {
            const char *why = archive_error_string(s->tar);
            return dfm_fail(err, DFM_BAD_DATA, "shard '%s' at byte %" PRIu64 ": %s", s->path,
                            offset, why ? why : "damaged");
        }
        const char *name = archive_entry_pathname(e);
        if (!name) name = archive_entry_pathname_utf8(e);
        if (!name) return bad_member(s, "?", offset, "its name cannot be read", err);
        const char *why = name_refused(name);
        if (why) return bad_member(s, dfm_is_clean_text(name) ? name : "?", offset, why, err);
        if (archive_entry_filetype(e) != AE_IFREG || archive_entry_hardlink(e)) continue;
        if (archive_entry_sparse_count(e)) return bad_member(s, name, offset, "it is sparse", err);
        int64_t size = archive_entry_size(e);
        if (size < 0 || size > MAX_MEMBER_BYTES)
            return bad_member(s, name, offset, "it is larger than 1 GiB", err);
        if (offset + BLOCK + (uint64_t)size > s->file_bytes)
            return bad_member(s, name, offset, "the shard is cut off in it", err);
        if (!split_name(s, name)) continue;
        s->pending = e;
        s->pending_offset = offset;
        return DFM_OK;
    }
}

static dfm_status read_member(data_shard *s, data_member *out, dfm_err *err)
{
    size_t n = (size_t)archive_entry_size(s->pending), at = 0;
    *out = (data_member){.name = dfm_strdup(s->sample, s->member), .n = n,
                         .offset = s->pending_offset};
    if (!s->contents) return DFM_OK;
    char *p = dfm_alloc(s->sample, n + 1);
    while (at < n) {
        la_ssize_t got = archive_read_data(s->tar, p + at, n - at);
        if (got == ARCHIVE_RETRY) continue;
        if (got <= 0) {
            const char *why = got < 0 ? archive_error_string(s->tar) : NULL;
            return bad_member(s, s->member, s->pending_offset, why ? why : "it is cut off", err);
        }
        at += (size_t)got;
    }
    out->p = p;
    return DFM_OK;
}

/* Find the first member of a sample. libarchive begins anew there: it remembers things from one
 * header to the next (that a pax header was seen, what is sparse), and a sample must be the same
 * whether those before it were read or not. */
static dfm_status begin_sample(data_shard *s, dfm_err *err)
{
    if (!s->pending && !s->at_end) DFM_TRY(read_header(s, err));
    while (s->pending && s->pending_offset > s->base) {
        DFM_TRY(begin_tar(s, s->pending_offset, err));
        DFM_TRY(read_header(s, err));
    }
    return DFM_OK;
}

dfm_status data_shard_next(data_shard *s, data_sample *out, bool *out_end, dfm_err *err)
{
    data_member *members = NULL;
    int64_t bytes = 0;
    dfm_arena_reset(s->sample);
    *out = (data_sample){.shard = s->path};
    DFM_TRY(begin_sample(s, err));
    *out_end = s->at_end;
    if (s->at_end) return DFM_OK;
    out->key = dfm_strdup(s->sample, s->key);
    out->offset = s->pending_offset;
    members = dfm_new_n(s->sample, data_member, MAX_MEMBERS);
    do {
        if (out->n_members == MAX_MEMBERS)
            return bad_member(s, s->member, s->pending_offset, "its sample has over 256 members",
                              err);
        for (uint32_t i = 0; i < out->n_members; i++)
            if (!strcmp(members[i].name, s->member))
                return bad_member(s, s->member, s->pending_offset, "its sample has it twice", err);
        bytes += archive_entry_size(s->pending);
        if (bytes > MAX_SAMPLE_BYTES)
            return bad_member(s, s->member, s->pending_offset, "its sample is over 4 GiB", err);
        DFM_TRY(read_member(s, &members[out->n_members++], err));
        DFM_TRY(read_header(s, err));
    } while (s->pending && !strcmp(s->key, out->key));
    out->members = members;
    return DFM_OK;
}

/* -- opening ------------------------------------------------------------------------------- */

dfm_status data_shard_open(const char *path, uint64_t offset, bool contents, data_shard **out,
                           dfm_err *err)
{
    dfm_arena *a = dfm_arena_create("shard");
    data_shard *s = dfm_new(a, data_shard);
    *s = (data_shard){.arena = a, .sample = dfm_arena_create("sample"), .fd = -1,
                      .path = dfm_strdup(a, path), .contents = contents};
    dfm_status status = dfm_file_open(path, &s->fd, &s->file_bytes, err);
    if (status == DFM_OK && offset > s->file_bytes)
        status = bad(s, "it is shorter than before", err);
    if (status == DFM_OK) {
        s->buffer = dfm_alloc(a, READ_BYTES);
        status = begin_tar(s, offset, err);
    }
    *out = s;
    if (status != DFM_OK) {
        data_shard_close(s);
        *out = NULL;
    }
    return status;
}

void data_shard_close(data_shard *s)
{
    if (!s) return;
    if (s->tar) archive_read_free(s->tar);
    dfm_file_close(s->fd);
    dfm_arena_destroy(s->sample);
    dfm_arena_destroy(s->arena);
}
