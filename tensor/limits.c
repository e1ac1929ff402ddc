/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the machine and the control groups (version 1 and 2) grant this process: bytes and cores.
   A group's limit binds all groups below it, so the path is walked up to the root; inside a container the path may
   not exist, and then the root of the mount is the container's own group. */
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core.h"

#define GROUP_PATH 2048

/* Reads one line; false when the file is not there. */
static bool read_line(const char *path, char *line, int size)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool got = fgets(line, size, file) != NULL;
    fclose(file);
    return got;
}

/* The path of this process's group: for version 2 [controller] is "", else "memory" or "cpu". */
static bool group_path(const char *controller, char *path, size_t size)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (!file)
        return false;
    char line[GROUP_PATH];
    bool found = false;
    while (!found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *names = strchr(line, ':');
        char *where = names ? strchr(names + 1, ':') : NULL;
        if (!where)
            continue;
        *where++ = '\0';
        names++;
        if (!*controller)
            found = !*names;
        for (char *name = strtok(names, ","); *controller && name && !found; name = strtok(NULL, ","))
            found = strcmp(name, controller) == 0;
        if (found)
            snprintf(path, size, "%s", where);
    }
    fclose(file);
    return found;
}

/* Calls [visit] on MOUNT/path/file for the process's group and each group above it. */
static void walk_groups(const char *controller, const char *mount, const char *name,
                        void (*visit)(const char *folder, const char *name, void *to), void *to)
{
    char path[GROUP_PATH] = "";
    if (!group_path(controller, path, sizeof path))
        return;
    for (;;) {
        char folder[2 * GROUP_PATH];
        snprintf(folder, sizeof folder, "%s%s", mount, path);
        visit(folder, name, to);
        char *slash = strrchr(path, '/');
        if (!slash)
            return;
        *slash = '\0';
    }
}

static void lower_bytes(const char *folder, const char *name, void *to)
{
    char path[2 * GROUP_PATH + 64], line[64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!read_line(path, line, sizeof line) || strncmp(line, "max", 3) == 0)
        return;
    unsigned long long limit = strtoull(line, NULL, 10);
    size_t *least = to;
    if (limit > 0 && limit < *least)
        *least = (size_t)limit;
}

size_t limits_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    size_t least = pages > 0 && page > 0 ? (size_t)pages * (size_t)page : SIZE_MAX / 2;
    walk_groups("", "/sys/fs/cgroup", "memory.max", lower_bytes, &least);
    walk_groups("memory", "/sys/fs/cgroup/memory", "memory.limit_in_bytes", lower_bytes, &least);
    return least;
}

static void lower_cpus(double quota, double period, void *to)
{
    double *least = to;
    if (quota > 0 && period > 0 && quota / period < *least)
        *least = quota / period;
}

static void cpus_v2(const char *folder, const char *name, void *to)
{
    char path[2 * GROUP_PATH + 64], line[64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    double quota = 0, period = 0;
    if (read_line(path, line, sizeof line) && sscanf(line, "%lf %lf", &quota, &period) == 2)
        lower_cpus(quota, period, to);
}

static void cpus_v1(const char *folder, const char *name, void *to)
{
    char path[2 * GROUP_PATH + 64], quota[64], period[64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!read_line(path, quota, sizeof quota))
        return;
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
    if (read_line(path, period, sizeof period))
        lower_cpus(strtod(quota, NULL), strtod(period, NULL), to);
}

int limits_cpus(void)
{
    int cores = 1;
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        cores = CPU_COUNT(&set);
    else if (sysconf(_SC_NPROCESSORS_ONLN) > 0)
        cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
    double granted = cores;
    walk_groups("", "/sys/fs/cgroup", "cpu.max", cpus_v2, &granted);
    walk_groups("cpu", "/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", cpus_v1, &granted);
    int whole = (int)(granted + 0.5);
    return whole < 1 ? 1 : whole;
}
