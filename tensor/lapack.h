/* SPDX-License-Identifier: GPL-3.0-or-later */
/* LAPACK, as OpenBLAS carries it, and what every op on matrices shares: a batch of column-major matrices inside a job,
   worked on one matrix a time, with trouble noted for each.

   An op describes its matrices (factor_part), copies its inputs in (factor_input), runs a function over the batch
   (factor_run) and copies results out (factor_output). Matrices with NaN or infinity never reach LAPACK, which may
   loop on them: they are an error that says where. */
#ifndef TESSERA_LAPACK_H
#define TESSERA_LAPACK_H

#include "job.h"

/* ROUTINE(name, arguments) for a routine without its letter of precision: all arguments are pointers, and the lengths
   of character arguments follow at the end. */
#define LAPACK_ROUTINES                                                                                                \
    ROUTINE(gemm, (const char *ta, const char *tb, const int *m, const int *n, const int *k, const void *alpha,        \
                   const void *a, const int *lda, const void *b, const int *ldb, const void *beta, void *c,            \
                   const int *ldc, size_t, size_t))                                                                    \
    ROUTINE(trtrs, (const char *uplo, const char *trans, const char *diag, const int *n, const int *nrhs,              \
                    const void *a, const int *lda, void *b, const int *ldb, int *info, size_t, size_t, size_t))        \
    ROUTINE(getrf, (const int *m, const int *n, void *a, const int *lda, int *pivots, int *info))                      \
    ROUTINE(getrs, (const char *trans, const int *n, const int *nrhs, const void *a, const int *lda,                   \
                    const int *pivots, void *b, const int *ldb, int *info, size_t))                                    \
    ROUTINE(potrf, (const char *uplo, const int *n, void *a, const int *lda, int *info, size_t))                       \
    ROUTINE(geqrf, (const int *m, const int *n, void *a, const int *lda, void *tau, void *work, const int *lwork,      \
                    int *info))                                                                                        \
    ROUTINE(orgqr, (const int *m, const int *n, const int *k, void *a, const int *lda, const void *tau, void *work,    \
                    const int *lwork, int *info))                                                                      \
    ROUTINE(gesdd, (const char *jobz, const int *m, const int *n, void *a, const int *lda, void *s, void *u,           \
                    const int *ldu, void *vt, const int *ldvt, void *work, const int *lwork, int *iwork, int *info,    \
                    size_t))                                                                                           \
    ROUTINE(syevd, (const char *jobz, const char *uplo, const int *n, void *a, const int *lda, void *w, void *work,    \
                    const int *lwork, int *iwork, const int *liwork, int *info, size_t, size_t))                       \
    ROUTINE(geev, (const char *jobvl, const char *jobvr, const int *n, void *a, const int *lda, void *wr, void *wi,    \
                   void *vl, const int *ldvl, void *vr, const int *ldvr, void *work, const int *lwork, int *info,      \
                   size_t, size_t))

typedef struct Lapack {
#define ROUTINE(name, arguments) void (*name) arguments;
    LAPACK_ROUTINES
#undef ROUTINE
} Lapack;
/* The routines for f32 or f64; NULL with the error set. */
const Lapack *lapack_open(Error *error, Dtype dtype);

typedef enum TroubleKind {
    TROUBLE_NONE,
    TROUBLE_NOT_FINITE,       /* at: row of the element */
    TROUBLE_SINGULAR,         /* at: the pivot, from 0 */
    TROUBLE_MINOR,            /* not positive definite; at: order of the leading minor */
    TROUBLE_NO_CONVERGENCE,
    TROUBLE_MEMORY
} TroubleKind;

typedef struct Trouble {
    TroubleKind kind;
    int64_t at, column;       /* column and input: of an element that is not finite */
    int input;
} Trouble;

#define FACTOR_PARTS 6

typedef struct Part { int64_t rows, columns; size_t at; } Part;

typedef struct Factor Factor;
typedef void FactorRun(Factor *f, int64_t item);
struct Factor {               /* lies at the start of its job's data */
    const Lapack *lapack;
    FactorRun *run;
    Dtype dtype;
    int64_t count, group;     /* matrices; how many a task takes */
    int n_parts;
    Part part[FACTOR_PARTS];
    size_t bytes;             /* of the job so far */
    Trouble *trouble;         /* [count] */
    int inputs;               /* how many parts come from inputs, the first ones */
    int m, n, k;              /* sizes, as the op means them */
    bool triangular, upper, transpose, unit, full;
};

/* Adds a matrix [rows, columns] to every item, before factor_open. */
void factor_part(Factor *plan, int64_t rows, int64_t columns);
/* The job that [plan] describes, or NULL with the error set. The batch is spec's leading axes, all but the last
   [inner] ones. */
Job *factor_open(OpCall *call, Factor *plan, const TensorSpec *spec, int inner);
static inline Factor *factor_of(Job *job) { return job_data(job); }
/* Copies x, broadcast over the batch [n_batch] of [batch], into part [which]; a vector is a column. */
bool factor_input(OpCall *call, Factor *f, int which, Tensor *x, bool vector, int n_batch, const int64_t *batch);
/* Runs over the batch; [work]: multiply-adds a matrix takes, roughly. Reports the first trouble, x being the input
   called [name]. False: the job's data may not be looked at again. */
bool factor_run(OpCall *call, Job *job, double work, FactorRun *run, const TensorSpec *spec, int inner);
/* Copies part [which] into out. */
bool factor_output(OpCall *call, Factor *f, int which, Tensor *out, bool vector);

/* ---- inside a run ---- */
void *factor_matrix(Factor *f, int which, int64_t item);
static inline double factor_load(const Factor *f, const void *matrix, int64_t i)
{
    return f->dtype == DTYPE_f32 ? (double)((const float *)matrix)[i] : ((const double *)matrix)[i];
}
static inline void factor_store(const Factor *f, void *matrix, int64_t i, double value)
{
    if (f->dtype == DTYPE_f32) ((float *)matrix)[i] = (float)value;
    else ((double *)matrix)[i] = value;
}
/* Memory for one matrix's work, given back with scratch_release; NULL is noted as the item's trouble. */
void *factor_scratch(Factor *f, int64_t item, size_t bytes);
/* What LAPACK's info says: positive is [kind] at info - 1. False when there is trouble. */
bool factor_info(Factor *f, int64_t item, int info, TroubleKind kind);
/* Negates column [j] of a, [rows] long, steps of [step] between its elements. */
void factor_negate(const Factor *f, void *a, int64_t first, int64_t step, int64_t count);

/* ---- shape rules (lapack.c) ---- */
/* Checks that input i is a matrix or a batch of them, and square. */
bool check_matrix(OpCall *call, int i);
bool check_square(OpCall *call, int i);

#endif
