/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Work that cannot be interrupted from inside: calls into LAPACK and FFTW. A job owns all that it reads and writes, so
   that a caller who is interrupted can walk away from it; whoever leaves last frees it. */
#ifndef TESSERA_JOB_H
#define TESSERA_JOB_H

#include "op.h"

typedef struct Job Job;

/* A job with [bytes] of its own, 64-byte aligned, uninitialised. NULL with the error set. */
Job *job_new(Error *error, size_t bytes);
void *job_data(Job *job);
/* Runs fn(job_data, i) for i in 0..items-1 over several threads, in any order; how it is cut does not depend on their
   number. [slow]: an item may take longer than an interrupt may wait, so the items run on threads of the job's own,
   which are abandoned when one is asked for. False and the error set on an interrupt: then nothing in the data may be
   looked at any more. */
bool job_run(TensorContext *ctx, Job *job, int64_t items, bool slow, void (*fn)(void *data, int64_t item));
void job_release(Job *job);

#endif
