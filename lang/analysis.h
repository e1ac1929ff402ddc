/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the analysis share: analysis.c (names, outline, shapes), analysis_complete.c (completion, signatures)
   and analysis_rename.c. lang.h is what front ends see of it. */
#ifndef TESSERA_ANALYSIS_H
#define TESSERA_ANALYSIS_H

#include "scopes.h"

struct Analysis {
    Checker checker;
    Unit *unit;
    Names names;
    char *path;
};

const Symbol *analysis_symbol(const Analysis *a, int i);   /* of the i-th mention; NULL: not known */
void analysis_piece(const Source *source, Span span, Text *out);   /* on one line */
char *analysis_taken(Text *text, bool *fine);              /* malloc'ed; NULL when empty; frees the text */

#endif
