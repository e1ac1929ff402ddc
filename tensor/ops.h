/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads ops.def with whatever of OP, UNARY and BINARY the includer defines (BINARY_AS, with a signature of its own, falls
   back to BINARY); elementwise rows fall back to OP, and what stays undefined expands to nothing. Undefines them all:
   include it again for another expansion. */
#ifndef OP
#define OP(...)
#endif
#ifndef UNARY
#define UNARY(name, class, value, derivative, saves, doc, example) OP(name, "")
#endif
#ifndef BINARY
#define BINARY(name, class, value, da, db, saves, doc, example) OP(name, "")
#endif
#ifndef BINARY_AS
#define BINARY_AS(name, signature, ...) BINARY(name, __VA_ARGS__)
#endif
#ifndef TOPIC
#define TOPIC(title)
#endif
#include "ops.def"
#undef OP
#undef UNARY
#undef BINARY
#undef BINARY_AS
#undef TOPIC
