/* device.c - the list of devices. */
#include <string.h>

#include "runtime/device/dev_impl.h"

static const dev_ops *const devices[] = {&dev_cpu_ops, &dev_null_ops};

const dev_ops *const *dev_list_all(uint32_t *out_n)
{
    *out_n = DFM_LEN(devices);
    return devices;
}

const dev_ops *dev_find(const char *target)
{
    for (size_t i = 0; i < DFM_LEN(devices); i++)
        if (!strcmp(devices[i]->name, target)) return devices[i];
    return NULL;
}
