/* temporary.c - what a process must not leave behind when it ends in the middle.
 *
 * The table is the process's, as its files are, and of a fixed size: it is used when there is no
 * memory. Only a program's main calls dfm_temp_remove_all, on its way out.
 */
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/sys.h"

enum { MAX_NOTED = 32 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char noted[MAX_NOTED][PATH_MAX];                 /* "": free */

/* The slot of a path; of "" a free one; NULL: none. */
static char *slot_of(const char *path)
{
    for (int i = 0; i < MAX_NOTED; i++)
        if (!strcmp(noted[i], path)) return noted[i];
    return NULL;
}

void dfm_temp_note(const char *path)
{
    if (strlen(path) >= PATH_MAX) return;
    pthread_mutex_lock(&lock);
    char *slot = slot_of("");
    if (slot) strcpy(slot, path);
    pthread_mutex_unlock(&lock);
}

void dfm_temp_forget(const char *path)
{
    if (!*path) return;
    pthread_mutex_lock(&lock);
    char *slot = slot_of(path);
    if (slot) *slot = 0;
    pthread_mutex_unlock(&lock);
}

void dfm_temp_remove_all(void)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; i < MAX_NOTED; i++) {
        char gone[PATH_MAX + 8];
        if (!noted[i][0]) continue;
        strcat(strcpy(gone, noted[i]), "-gone");
        if (dfm_sys_unlink(AT_FDCWD, noted[i], 0) != 0 && dfm_sys_rename(noted[i], gone) == 0)
            (void)dfm_remove_tree(gone, NULL);
        noted[i][0] = 0;
    }
    pthread_mutex_unlock(&lock);
}
