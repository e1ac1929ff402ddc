/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The wall between libtensor and the module `fft`, which alone links FFTW: plain C data on both sides. */
#ifndef TESSERA_FFT_H
#define TESSERA_FFT_H

#include <stdbool.h>
#include <stdint.h>

typedef enum FftKind {        /* of one row of n numbers, in place, without a factor */
    FFT_FORWARD,              /* n complex numbers, exponent -i */
    FFT_BACKWARD,             /* n complex numbers, exponent +i */
    FFT_REAL,                 /* n real numbers to n / 2 + 1 complex ones */
    FFT_HALF                  /* and back */
} FftKind;

typedef struct FftPlan FftPlan;

typedef struct FftModule {
    /* How to transform rows of [n] numbers, f64 if [wide]; [row] is 64-byte aligned like all rows to come and is not
       looked at. NULL when there is no memory. Thread-safe; the same plan for the same arguments, made once. */
    FftPlan *(*plan)(FftKind kind, bool wide, int64_t n, void *row);
    void (*run)(const FftPlan *plan, void *row);               /* any thread */
    void (*release)(FftPlan *plan);
} FftModule;

extern const FftModule tessera_module_fft;

#endif
