/* test_wds.c - shards: samples, random access, shard patterns, and every refusal. */
#include "tests/rt/tar_test.h"

#include "runtime/data/wds.h"

static const char *write_tar(rt_fixture *f, const char *name, dfm_sb *sb)
{
    const char *path = rt_path(f, name);
    rt_write(path, sb->p ? sb->p : "", sb->n);
    return path;
}

/* All samples as "key(member=text,...) ..."; stops at an error. */
static dfm_status read_all(rt_fixture *f, const char *path, uint64_t offset, char *out, size_t size)
{
    data_shard *s;
    dfm_sb sb = dfm_sb_make(f->arena);
    dfm_status status = data_shard_open(path, offset, true, &s, &f->err);
    while (status == DFM_OK) {
        data_sample x;
        bool end;
        status = data_shard_next(s, &x, &end, &f->err);
        if (status != DFM_OK || end) break;
        dfm_sb_printf(&sb, "%s%s(", sb.n ? " " : "", x.key);
        for (uint32_t i = 0; i < x.n_members; i++)
            dfm_sb_printf(&sb, "%s%s=%.*s", i ? "," : "", x.members[i].name,
                          (int)x.members[i].n, (const char *)x.members[i].p);
        dfm_sb_puts(&sb, ")");
    }
    data_shard_close(s);
    snprintf(out, size, "%s", dfm_sb_cstr(&sb));
    return status;
}

static void samples(void **state)
{
    rt_fixture *f = *state;
    dfm_sb t = dfm_sb_make(f->arena);
    tar_add(&t, "train/", '5', NULL, 0);
    tar_add_text(&t, "README", "no dot");
    tar_add_text(&t, "._junk.npy", "empty key");
    tar_add_text(&t, "./a.cls", "1");
    tar_add_text(&t, "./a.x.txt", "hello");
    tar_add(&t, "a.link", '2', NULL, 0);
    tar_add(&t, "a.hard", '1', NULL, 0);
    tar_add(&t, "a.device", '3', NULL, 0);
    tar_add_text(&t, "v1.0/a.cls", "2");
    tar_add_text(&t, "v1.0/b.cls", "");
    tar_add_text(&t, "caf\xc3\xa9.cls", "4");
    tar_end(&t);
    const char *path = write_tar(f, "a.tar", &t);
    char text[400];
    RT_OK(f, read_all(f, path, 0, text, sizeof text));
    assert_string_equal(text, "a(cls=1,x.txt=hello) v1.0/a(cls=2) v1.0/b(cls=) caf\xc3\xa9(cls=4)");
}

/* Long names go through pax headers; a sample's offset includes them. */
static void random_access(void **state)
{
    rt_fixture *f = *state;
    const char *folder = rt_path(f, "in");
    RT_OK(f, dfm_make_folders(folder, &f->err));
    char name[200];
    for (int i = 0; i < 20; i++) {
        memset(name, 'a' + i, 180);
        snprintf(name + (i % 2 ? 10 : 150), 20, ".cls");
        rt_write_text(dfm_path_join(f->arena, folder, name), dfm_fmt(f->arena, "%0*d", i * 97, i));
    }
    const char *path = rt_path(f, "p.tar");
    assert_int_equal(system(dfm_fmt(f->arena, "cd '%s' && tar --format=pax --sort=name -cf '%s' *",
                                    folder, path)), 0);
    data_shard *s, *again;
    RT_OK(f, data_shard_open(path, 0, false, &s, &f->err));
    for (int i = 0;; i++) {
        data_sample x, y;
        bool end;
        RT_OK(f, data_shard_next(s, &x, &end, &f->err));
        if (end) {
            assert_int_equal(i, 20);
            break;
        }
        assert_null(x.members[0].p);
        RT_OK(f, data_shard_open(path, x.offset, true, &again, &f->err));
        RT_OK(f, data_shard_next(again, &y, &end, &f->err));
        assert_false(end);
        assert_string_equal(x.key, y.key);
        assert_int_equal(y.members[0].n, x.members[0].n);
        assert_int_equal(atoi(y.members[0].p), i);
        data_shard_close(again);
    }
    data_shard_close(s);
}

/* All samples of a shard, and each again, from its own offset alone. */
static void reads_again(rt_fixture *f, dfm_sb *t, const char *want)
{
    tar_end(t);
    const char *path = write_tar(f, "again.tar", t);
    char text[400];
    RT_OK(f, read_all(f, path, 0, text, sizeof text));
    assert_string_equal(text, want);
    data_shard *s;
    data_sample x;
    RT_OK(f, data_shard_open(path, 0, false, &s, &f->err));
    for (;;) {
        bool end;
        RT_OK(f, data_shard_next(s, &x, &end, &f->err));
        if (end) break;
        RT_OK(f, read_all(f, path, x.offset, text, sizeof text));
        assert_string_equal(text, want);
        want = strchr(want, ' ') ? strchr(want, ' ') + 1 : "";
    }
    assert_string_equal(want, "");
    data_shard_close(s);
}

/* What libarchive asks of the first header of a file it does not ask of the others. */
static void odd_header_again(void **state)
{
    rt_fixture *f = *state;
    dfm_sb t = dfm_sb_make(f->arena);
    tar_add_text(&t, "a.cls", "1");
    tar_add_text(&t, "b.cls", "2");
    memcpy(t.p + 1024 + 100, "rw-r--r", 8);             /* its mode */
    tar_resum(t.p + 1024);
    tar_add_text(&t, "c.cls", "3");
    reads_again(f, &t, "a(cls=1) b(cls=2) c(cls=3)");
}

/* What libarchive has seen before changes what it takes a hard link for: with a body after a pax
 * header, else without one if its body is a header. A sample is read without what was before it. */
static void link_with_body_again(void **state)
{
    rt_fixture *f = *state;
    dfm_sb t = dfm_sb_make(f->arena), body = dfm_sb_make(f->arena);
    static const char record[] = "13 comment=x\n";
    tar_add_text(&body, "b.txt", "");
    tar_add(&t, "pax", 'x', record, strlen(record));
    tar_add_text(&t, "a.cls", "1");
    tar_add_text(&t, "b.cls", "2");
    tar_add(&t, "b.hard", '1', body.p, body.n);
    tar_add_text(&t, "c.cls", "3");
    reads_again(f, &t, "a(cls=1) b(cls=2,txt=) c(cls=3)");
}

static void refused_names(void **state)
{
    rt_fixture *f = *state;
    static const struct { const char *name, *words; } t[] = {
        {"/etc/passwd.cls", "absolute"}, {"../a.cls", "'..'"}, {"a/../b.cls", "'..'"},
        {"a/..", "'..'"}, {"a\xff.cls", "UTF-8"}, {"a\x1b[31m.cls", "UTF-8"},
        {"\xed\xa0\x80.cls", "UTF-8"}, {"\xc0\xaf.cls", "UTF-8"}, {"\xf8\x88.cls", "UTF-8"},
    };
    for (size_t i = 0; i < DFM_LEN(t); i++) {
        dfm_sb sb = dfm_sb_make(f->arena);
        char text[100];
        tar_add_text(&sb, "ok.cls", "1");
        tar_add_text(&sb, t[i].name, "2");
        tar_end(&sb);
        const char *path = write_tar(f, "n.tar", &sb);
        RT_FAILS(f, read_all(f, path, 0, text, sizeof text), DFM_BAD_DATA, t[i].words);
    }
    dfm_sb sb = dfm_sb_make(f->arena);          /* a pax header with a long name */
    char text[100], record[1200], name[1101];
    memset(name, 'n', 1100);
    name[1100] = 0;
    int n = snprintf(record, sizeof record, "1111 path=%s\n", name);
    tar_add(&sb, "pax", 'x', record, (size_t)n);
    tar_add_text(&sb, "short.cls", "1");
    tar_end(&sb);
    RT_FAILS(f, read_all(f, write_tar(f, "l.tar", &sb), 0, text, sizeof text), DFM_BAD_DATA,
             "longer than 1 KiB");
}

static void refused_members(void **state)
{
    rt_fixture *f = *state;
    char text[100];
    dfm_sb sb = dfm_sb_make(f->arena);
    tar_add_text(&sb, "a.cls", "1");
    tar_add_text(&sb, "a.cls", "2");
    tar_end(&sb);
    RT_FAILS(f, read_all(f, write_tar(f, "t.tar", &sb), 0, text, sizeof text), DFM_BAD_DATA,
             "member 'cls' at byte 1024: its sample has it twice");

    sb = dfm_sb_make(f->arena);
    for (int i = 0; i < 300; i++) tar_add_text(&sb, dfm_fmt(f->arena, "a.%d", i), "");
    tar_end(&sb);
    RT_FAILS(f, read_all(f, write_tar(f, "t.tar", &sb), 0, text, sizeof text), DFM_BAD_DATA,
             "over 256 members");

    sb = dfm_sb_make(f->arena);                 /* sizes that lie */
    tar_add_text(&sb, "a.cls", "1");
    memcpy(sb.p + 124, "77777777777", 11);
    tar_resum(sb.p);
    tar_end(&sb);
    RT_FAILS(f, read_all(f, write_tar(f, "t.tar", &sb), 0, text, sizeof text), DFM_BAD_DATA,
             "larger than 1 GiB");
    memcpy(sb.p + 124, "00000100000", 11);
    tar_resum(sb.p);
    RT_FAILS(f, read_all(f, write_tar(f, "t.tar", &sb), 0, text, sizeof text), DFM_BAD_DATA,
             "cut off");
}

/* Cut anywhere: refused. */
static void refuses_every_cut(void **state)
{
    rt_fixture *f = *state;
    dfm_sb sb = dfm_sb_make(f->arena);
    for (int i = 0; i < 5; i++) tar_add_text(&sb, dfm_fmt(f->arena, "%d.cls", i), "12345");
    tar_end(&sb);
    char text[200];
    const char *path = write_tar(f, "c.tar", &sb);
    RT_OK(f, read_all(f, path, 0, text, sizeof text));
    for (size_t n = 0; n < sb.n; n += 64) {
        rt_write(path, sb.p, n);
        RT_FAILS(f, read_all(f, path, 0, text, sizeof text), DFM_BAD_DATA, "shard '");
    }
    dfm_sb_add(&sb, dfm_fmt(f->arena, "%*s", 512, "tail"), 512);
    rt_write(path, sb.p, sb.n);
    RT_FAILS(f, read_all(f, path, 0, text, sizeof text), DFM_BAD_DATA, "end mark");
    rt_write(path, sb.p, sb.n);
    rt_flip(path, 1024 + 3);                    /* a header's checksum */
    RT_FAILS(f, read_all(f, path, 0, text, sizeof text), DFM_BAD_DATA, "c.tar");
    rt_write_text(path, "this is no tar file, it is a letter");
    RT_FAILS(f, read_all(f, path, 0, text, sizeof text), DFM_BAD_DATA, "c.tar");
}

static dfm_status list(rt_fixture *f, const char *spec, const char **joined)
{
    const char **names;
    uint32_t n;
    dfm_status s = data_shard_list(f->arena, dfm_path_join(f->arena, f->folder, spec), &names, &n,
                                   &f->err);
    dfm_sb sb = dfm_sb_make(f->arena);
    for (uint32_t i = 0; s == DFM_OK && i < n; i++)
        dfm_sb_printf(&sb, "%s%s", i ? " " : "", names[i] + strlen(f->folder) + 1);
    *joined = dfm_sb_cstr(&sb);
    return s;
}

static void patterns(void **state)
{
    rt_fixture *f = *state;
    static const char *const files[] = {"x-008.tar", "x-009.tar", "x-010.tar", "a-1.tar", "b-1.tar",
                                        "a-2.tar", "b-2.tar", "odd{.tar"};
    const char *got;
    for (size_t i = 0; i < DFM_LEN(files); i++) rt_write_text(rt_path(f, files[i]), "");
    RT_OK(f, list(f, "x-{008..010}.tar", &got));
    assert_string_equal(got, "x-008.tar x-009.tar x-010.tar");
    RT_OK(f, list(f, "{a,b}-{1..2}.tar", &got));
    assert_string_equal(got, "a-1.tar a-2.tar b-1.tar b-2.tar");
    RT_OK(f, list(f, "odd{.tar", &got));
    assert_string_equal(got, "odd{.tar");
    RT_OK(f, list(f, "", &got));
    assert_string_equal(got, "a-1.tar a-2.tar b-1.tar b-2.tar odd{.tar x-008.tar x-009.tar "
                             "x-010.tar");
    RT_FAILS(f, list(f, "x-{008..011}.tar", &got), DFM_BAD_DATA, "no data at");
    RT_FAILS(f, list(f, "x-{3..1}.tar", &got), DFM_BAD_DATA, "ends before it starts");
    RT_FAILS(f, list(f, "x-{1..", &got), DFM_BAD_DATA, "not closed");
    RT_FAILS(f, list(f, "x-{1..b}", &got), DFM_BAD_DATA, "{000..012}");
    RT_FAILS(f, list(f, "x-{1..99999999999999999999}", &got), DFM_BAD_DATA, "{000..012}");
    RT_FAILS(f, list(f, "x-{1..9999999}", &got), DFM_BAD_DATA, "1,000,000");
    RT_FAILS(f, list(f, "{1..9999}{1..9999}", &got), DFM_BAD_DATA, "1,000,000");
    RT_FAILS(f, list(f, "{a,{b}}", &got), DFM_BAD_DATA, "nest");
    const char **names;
    uint32_t n;
    RT_FAILS(f, data_shard_list(f->arena, "pipe:cat x", &names, &n, &f->err), DFM_BAD_DATA,
             "commands");
    RT_FAILS(f, data_shard_list(f->arena, "s3://x/y.tar", &names, &n, &f->err), DFM_BAD_DATA,
             "addresses");
    RT_FAILS(f, data_shard_list(f->arena, "", &names, &n, &f->err), DFM_BAD_DATA, "empty");
    RT_OK(f, dfm_make_folders(rt_path(f, "hollow"), &f->err));
    RT_FAILS(f, list(f, "hollow", &got), DFM_BAD_DATA, "no *.tar");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RT_TEST(samples), RT_TEST(random_access), RT_TEST(odd_header_again),
        RT_TEST(link_with_body_again), RT_TEST(refused_names), RT_TEST(refused_members),
        RT_TEST(refuses_every_cut), RT_TEST(patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
