/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Special functions of one double, for kernels and ops. NaN gives NaN; no function sets anything but its result, so any
   thread may call them. Error bounds, tested in tests/tensor/test_special.c: 1e-13 relative to the value or, where a
   value passes through zero, to 1. */
#ifndef TESSERA_SPECIAL_H
#define TESSERA_SPECIAL_H

#define SPECIAL_MAX_ORDER 60

double special_erfinv(double y);
double special_ndtri(double p);
double special_log_ndtr(double x);
double special_lgamma(double x);
double special_digamma(double x);
double special_polygamma(int order, double x);     /* order 0 (digamma) to SPECIAL_MAX_ORDER */
double special_i0e(double x);                      /* e^-|x| I0(x) */
double special_i1e(double x);

#endif
