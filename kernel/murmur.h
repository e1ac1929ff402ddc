/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The hash by which a front end and the kernel agree on the file name of a cell. */
#ifndef TESSERA_MURMUR_H
#define TESSERA_MURMUR_H

#include <stddef.h>
#include <stdint.h>

/* MurmurHash2 of 32 bits over bytes, read as little-endian words on any machine. */
uint32_t murmur2(const void *bytes, size_t length, uint32_t seed);

#endif
