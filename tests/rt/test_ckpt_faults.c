/* test_ckpt_faults.c - every system call that saving makes fails once, in turn: the save says so or
 * succeeds, the previous or the new checkpoint loads, and the next save works.
 *
 * The linker routes the calls through the wrappers below (-Wl,--wrap, see tests.cmake).
 */
#include "tests/rt/rt_test.h"

#include <errno.h>

#include "runtime/ckpt/ckpt.h"

typedef struct fault_plan {
    int countdown;             /* the call at which to fail; < 0: never */
    int error;
    bool was_short;            /* writes: put half, and fail at the next call */
    const char *hit;           /* name of the call that failed */
} fault_plan;

static fault_plan plan = {.countdown = -1};

static bool fails(const char *name)
{
    if (plan.countdown < 0 || plan.countdown-- > 0) return false;
    plan.hit = name;
    errno = plan.error;
    return true;
}

ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n)
{
    if (!fails("write")) return __real_write(fd, p, n);
    if (plan.error == EINTR || n < 2 || plan.was_short) return -1;
    plan.was_short = true;
    plan.countdown = 0;
    return __real_write(fd, p, n / 2);
}
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd) { return fails("fsync") ? -1 : __real_fsync(fd); }
int __real_rename(const char *a, const char *b);
int __wrap_rename(const char *a, const char *b);
int __wrap_rename(const char *a, const char *b)
{
    return fails("rename") ? -1 : __real_rename(a, b);
}
int __real_mkdir(const char *p, mode_t m);
int __wrap_mkdir(const char *p, mode_t m);
int __wrap_mkdir(const char *p, mode_t m) { return fails("mkdir") ? -1 : __real_mkdir(p, m); }
int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    bool bad = fails("close");
    int e = errno, r = __real_close(fd);
    errno = e;
    return bad ? -1 : r;
}

static dfm_status save(rt_fixture *f, const char *folder, uint64_t step)
{
    static const uint64_t shape[1] = {40000};
    static float w[40000];
    for (int i = 0; i < 40000; i++) w[i] = (float)step;
    const ckpt_tensor t = {.name = "w", .dtype = DFM_F32, .rank = 1, .shape = shape, .data = w};
    const ckpt_part parts[] = {{.file = "a.safetensors", .tensors = &t, .n_tensors = 1},
                               {.file = "b.safetensors", .tensors = &t, .n_tensors = 1}};
    const ckpt_save_args args = {.folder = folder, .step = step, .parts = parts, .n_parts = 2,
                                 .state = "{}", .keep = 1};
    return ckpt_save(&args, &f->err);
}

static uint64_t loaded_step(rt_fixture *f, const char *folder)
{
    ckpt_loaded l;
    RT_OK(f, ckpt_load(f->arena, folder, &l, &f->err));
    assert_true(l.found);
    for (int p = 0; p < 2; p++) {
        const ckpt_tensor *t = ckpt_loaded_find(&l, p ? "b.safetensors" : "a.safetensors", "w");
        assert_true(((const float *)t->data)[39999] == (float)l.step);
    }
    uint64_t step = l.step;
    ckpt_loaded_close(&l);
    return step;
}

/* Returns the number of calls at which a fault was injected. */
static int run_faults(rt_fixture *f, const char *name, int error)
{
    const char *folder = rt_path(f, name);
    uint64_t step = 1;
    RT_OK(f, save(f, folder, step));
    for (int n = 0;; n++) {
        plan = (fault_plan){.countdown = n, .error = error};
        dfm_status s = save(f, folder, step + 1);
        const char *hit = plan.hit;
        plan.countdown = -1;
        if (s != DFM_OK && s != DFM_CANNOT_WRITE)
            fail_msg("call %d (%s): status %d", n, hit, (int)s);
        if (s != DFM_OK && !f->err.text[0]) fail_msg("call %d (%s): no message", n, hit);
        if (error == EINTR && hit && !strcmp(hit, "write")) RT_OK(f, s);
        dfm_err_clear(&f->err);
        uint64_t got = loaded_step(f, folder);
        if (got != step + 1 && (s == DFM_OK || got != step))
            fail_msg("call %d (%s): step %d loads after a save of %d", n, hit, (int)got,
                     (int)step + 1);
        if (!hit) return n;
        assert_true(n < 500);
        step = got + 1;
        RT_OK(f, save(f, folder, step));        /* the next save works, and prunes */
        assert_int_equal(loaded_step(f, folder), step);
    }
}

static void every_call_fails(void **state)
{
    rt_fixture *f = *state;
    assert_true(run_faults(f, "eio", EIO) > 25);
    assert_true(run_faults(f, "enospc", ENOSPC) > 25);
    assert_true(run_faults(f, "eintr", EINTR) > 25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {RT_TEST(every_call_fails)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
