/* dev_process.c - what must be settled before the process's libraries start.
 *
 * GNU's OpenMP lets waiting threads spin, for minutes if it believes that it has the processors to
 * itself. Where other programs run, the spinning thread then keeps the working one from its
 * processor: a training step of the digits model was measured at 1 s instead of 0.05 s. A short
 * spin (about 50 us) loses little on an idle machine and nothing on a busy one. The library reads
 * its setting before main, so the program starts itself again with it.
 */
#include <stdlib.h>
#include <unistd.h>

#include "runtime/device/device.h"

void dev_process_settings(char **argv)
{
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT")) return;
    if (setenv("GOMP_SPINCOUNT", "1000", 1) != 0) return;
    execv("/proc/self/exe", argv);
    /* It could not be started: go on without. */
}
